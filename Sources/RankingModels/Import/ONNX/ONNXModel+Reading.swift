import Artifacts

extension ONNXModel {
    /// Reads a file's bytes; tensors are read whole, other things as far as they are needed.
    ///
    /// - Throws: `ImportFault` for what breaks the format or a limit, and for data outside the file.
    init(_ bytes: [UInt8]) throws(ImportFault) {
        do throws(ProtobufReader.Fault) {
            var reader = ProtobufReader(bytes)
            var graphs = 0
            while let (number, value) = try reader.next() {
                switch number {
                case 7:
                    graphs += 1
                    guard graphs == 1 else { throw reader.refusal("it has several graphs") }
                    try readGraph(reader.message(value))
                case 8: try readVersion(reader.message(value))
                case 25: try readFunction(reader.message(value))
                default: break
                }
            }
            guard graphs == 1, !nodes.isEmpty else { throw reader.refusal("it has no graph; is it an ONNX file?") }
        } catch {
            throw ImportFault("\(error.reason) (at byte \(error.offset) of the ONNX file)")
        }
    }

    private mutating func readVersion(_ message: ProtobufReader) throws(ProtobufReader.Fault) {
        var message = message
        var (domain, version) = ("", 0)
        while let (number, value) = try message.next() {
            if number == 1 { domain = try message.text(value) }
            if number == 2 { version = Int(clamping: try message.integer(value)) }
        }
        guard versions.count < ImportLimits.listMax else { throw message.refusal("too many sets of operators") }
        versions[domain == "ai.onnx" ? "" : domain] = version
    }

    private mutating func readFunction(_ message: ProtobufReader) throws(ProtobufReader.Fault) {
        var message = message
        while let (number, value) = try message.next() {
            if number == 1, functions.count < ImportLimits.listMax { functions.insert(try message.text(value)) }
        }
    }

    private mutating func readGraph(_ message: ProtobufReader) throws(ProtobufReader.Fault) {
        var message = message
        while let (number, value) = try message.next() {
            switch number {
            case 1:
                guard nodes.count < ImportLimits.nodesMax else {
                    throw message.refusal("it has more than \(ImportLimits.nodesMax) nodes")
                }
                nodes.append(try Self.node(message.message(value)))
            case 5:
                guard constants.count < ImportLimits.tensorsMax else {
                    throw message.refusal("it has more than \(ImportLimits.tensorsMax) tensors")
                }
                let (name, tensor) = try ONNXTensor.read(message.message(value))
                guard constants.updateValue(tensor, forKey: name) == nil else {
                    throw message.refusal("the tensor \"\(name)\" stands there twice")
                }
            case 11: inputs.append(try Self.port(message.message(value)))
            case 12: outputs.append(try Self.port(message.message(value)))
            case 15: throw message.refusal("it has sparse tensors, which are not read")
            default: break
            }
            guard inputs.count + outputs.count <= ImportLimits.listMax + ImportLimits.tensorsMax else {
                throw message.refusal("it has too many inputs and outputs")
            }
        }
        // Older files name their constants among the inputs too.
        inputs.removeAll { constants[$0.name] != nil }
    }

    private static func node(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> Node {
        var message = message
        var node = Node()
        while let (number, value) = try message.next() {
            switch number {
            case 1: node.inputs.append(try message.text(value))
            case 2: node.outputs.append(try message.text(value))
            case 3: node.name = try message.text(value)
            case 4: node.type = try message.text(value)
            case 5:
                let (name, attribute) = try self.attribute(message.message(value))
                node.attributes[name] = attribute
            case 7: node.domain = try message.text(value)
            default: break
            }
            guard max(node.inputs.count, node.outputs.count, node.attributes.count) <= ImportLimits.listMax else {
                throw message.refusal("a node has more than \(ImportLimits.listMax) inputs, outputs or attributes")
            }
        }
        if node.domain == "ai.onnx" { node.domain = "" }
        return node
    }

    private static func attribute(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> (String, Attribute) {
        var message = message
        var name = ""
        var (floats, ints): ([Float], [Int64]) = ([], [])
        var found: Attribute?
        var type: Int64 = 0
        while let (number, value) = try message.next() {
            switch number {
            case 1: name = try message.text(value)
            case 2:
                guard case .fixed32(let bits) = value else { throw message.refusal("the float \"\(name)\" is none") }
                found = .float(Float(bitPattern: bits))
            case 3: found = .int(try message.integer(value))
            case 4: found = (try? message.text(value)).map { .text($0) } ?? .other
            case 5: found = .tensor(try ONNXTensor.read(message.message(value)).1)
            case 7: try message.appendFloats(value, to: &floats)
            case 8: try message.appendVarints(value, to: &ints, max: ImportLimits.elementsMax)
            case 20: type = try message.integer(value)
            default: break
            }
        }
        // Written by its type, as an empty list and a zero leave no field behind.
        switch type {
        case 1: return (name, found ?? .float(0))
        case 2: return (name, found ?? .int(0))
        case 3: return (name, found ?? .text(""))
        case 6: return (name, .floats(floats))
        case 7: return (name, .ints(ints))
        default: return (name, found ?? (!floats.isEmpty ? .floats(floats) : !ints.isEmpty ? .ints(ints) : .other))
        }
    }

    private static func port(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> Port {
        var message = message
        var port = Port()
        while let (number, value) = try message.next() {
            if number == 1 { port.name = try message.text(value) }
            guard number == 2 else { continue }
            var type = try message.message(value)
            while let (number, value) = try type.next() {
                guard number == 1 else { continue }
                var tensor = try type.message(value)
                while let (number, value) = try tensor.next() {
                    if number == 1 { port.elementType = Int(clamping: try tensor.integer(value)) }
                    if number == 2 { port.shape = try shape(tensor.message(value)) }
                }
            }
        }
        return port
    }

    private static func shape(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> [Int?] {
        var message = message
        var shape: [Int?] = []
        while let (number, value) = try message.next() {
            guard number == 1 else { continue }
            var extent = try message.message(value)
            var size: Int?
            while let (number, value) = try extent.next() {
                if number == 1 { size = Int(clamping: try extent.integer(value)) }
            }
            guard shape.count < ImportLimits.rankMax, size ?? 0 >= 0 else {
                throw message.refusal("an input has an impossible shape")
            }
            shape.append(size)
        }
        return shape
    }
}

extension ProtobufReader {
    /// A fault of what was read, rather than of the bytes.
    func refusal(_ reason: String) -> Fault { Fault(offset: 0, reason: reason) }
}
