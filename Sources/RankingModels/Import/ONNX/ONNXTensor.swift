/// Reads the tensors of ONNX files (TensorProto).
enum ONNXTensor {
    /// ONNX's numbers of the types that are read.
    enum ElementType: Int {
        case float = 1
        case uint8, int8, uint16, int16, int32, int64
        case bool = 9
        case float16, double
        case bfloat16 = 16

        var isFloat: Bool { self == .float || self == .float16 || self == .double || self == .bfloat16 }

        var byteCount: Int {
            switch self {
            case .uint8, .int8, .bool: 1
            case .uint16, .int16, .float16, .bfloat16: 2
            case .float, .int32: 4
            case .int64, .double: 8
            }
        }
    }

    /// - Returns: Name and value.
    static func read(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> (String, GraphValue) {
        var message = message
        var name = ""
        var extents: [Int64] = []
        var number = 0
        var raw: Range<Int>?
        var (floats, doubles, ints): ([Float], [Double], [Int64]) = ([], [], [])
        var isOutside = false
        var file = ""
        while let (field, value) = try message.next() {
            switch field {
            case 1: try message.appendVarints(value, to: &extents, max: ImportLimits.rankMax)
            case 2: number = Int(clamping: try message.integer(value))
            case 4: try message.appendFloats(value, to: &floats)
            case 5, 7: try message.appendVarints(value, to: &ints, max: ImportLimits.onnxBytesMax / 8)
            case 8: name = try message.text(value)
            case 9: if case .bytes(let range) = value { raw = range }
            case 10: try message.appendDoubles(value, to: &doubles)
            case 13: file = try location(message.message(value)) ?? file
            case 14: isOutside = try message.integer(value) == 1
            default: break
            }
        }
        let label = "the tensor \"\(name)\""
        if isOutside || !file.isEmpty {
            throw message.refusal(
                "\(label) is kept in another file (\"\(file)\"); write one file: torch.onnx.export(..., external_data=False), or onnx.save(onnx.load(path), path)"
            )
        }
        let shape = extents.map { Int(clamping: $0) }
        let count: Int
        do throws(ImportFault) {
            count = try GraphShape.count(shape)
        } catch {
            throw message.refusal("\(label): \(error.text)")
        }
        // Texts are labels of classes, which no score needs.
        if number == 8 { return (name, GraphValue(shape: [0], .ints([]))) }
        guard let type = ElementType(rawValue: number) else {
            throw message.refusal("\(label) has the element type \(number), which is not read; use floats and int64")
        }
        if let raw {
            guard raw.count % type.byteCount == 0, raw.count / type.byteCount == count else {
                throw message.refusal("\(label) has \(raw.count) bytes; its shape \(shape) needs \(count) values")
            }
            return (name, GraphValue(shape: shape, elements(message.bytes, raw, type)))
        }
        let elements: GraphValue.Elements
        switch type {
        case .float: elements = .floats(floats)
        case .double: elements = .floats(doubles.map { Float($0) })
        case .float16: elements = .floats(ints.map { half(UInt16(truncatingIfNeeded: $0)) })
        case .bfloat16: elements = .floats(ints.map { Float(bitPattern: UInt32(truncatingIfNeeded: $0) << 16) })
        default: elements = .ints(ints)
        }
        let value = GraphValue(shape: shape, elements)
        guard value.count == count else {
            throw message.refusal("\(label) has \(value.count) values; its shape \(shape) needs \(count)")
        }
        return (name, value)
    }

    private static func location(_ message: ProtobufReader) throws(ProtobufReader.Fault) -> String? {
        var message = message
        var (key, text) = ("", "")
        while let (number, value) = try message.next() {
            if number == 1 { key = try message.text(value) }
            if number == 2 { text = try message.text(value) }
        }
        return key == "location" ? text : nil
    }

    private static func elements(
        _ bytes: [UInt8], _ range: Range<Int>, _ type: ElementType
    ) -> GraphValue.Elements {
        let places = stride(from: range.lowerBound, to: range.upperBound, by: type.byteCount)
        func bits(_ at: Int) -> UInt64 { ProtobufReader.littleEndian(bytes, at, type.byteCount) }
        switch type {
        case .float: return .floats(places.map { Float(bitPattern: UInt32(bits($0))) })
        case .double: return .floats(places.map { Float(Double(bitPattern: bits($0))) })
        case .float16: return .floats(places.map { half(UInt16(bits($0))) })
        case .bfloat16: return .floats(places.map { Float(bitPattern: UInt32(bits($0)) << 16) })
        case .int8: return .ints(places.map { Int64(Int8(truncatingIfNeeded: bits($0))) })
        case .int16: return .ints(places.map { Int64(Int16(truncatingIfNeeded: bits($0))) })
        case .int32: return .ints(places.map { Int64(Int32(truncatingIfNeeded: bits($0))) })
        case .int64, .uint8, .uint16, .bool: return .ints(places.map { Int64(bitPattern: bits($0)) })
        }
    }

    /// IEEE half to single; the type Float16 is not on every platform.
    private static func half(_ bits: UInt16) -> Float {
        let sign = UInt32(bits >> 15) << 31
        let (exponent, fraction) = (UInt32(bits >> 10) & 31, UInt32(bits) & 1023)
        switch exponent {
        case 0: return Float(bitPattern: sign | 0x3F80_0000) * Float(fraction) * 0x1p-24
        case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
