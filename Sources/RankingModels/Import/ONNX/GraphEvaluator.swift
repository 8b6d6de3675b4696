/// Follows a graph with features for values: each element of a tensor becomes the sum of products that it is.
///
/// What comes out does not depend on how an exporter wrote the model down, only on what it computes. All shapes are known,
/// as the graph is followed for one or two rows.
struct GraphEvaluator {
    /// A constant whose rows features look up.
    struct Table {
        var name: String
        /// Shape `[rows, columns]`.
        var value: GraphValue
    }

    let model: ONNXModel
    /// Version of ONNX's own operators.
    let version: Int
    var atoms: Atoms
    private(set) var tables: [Table] = []
    private var values: [String: GraphValue]
    /// The constant that a name stands for.
    private var origins: [String: String] = [:]
    private let termsMax: Int
    private var termsLeft: Int

    static let versions = 11...21

    /// - Parameters:
    ///   - inputs: What the graph's inputs are.
    ///   - termsMax: Terms of all sums together.
    init(
        _ model: ONNXModel, inputs: [String: GraphValue], atoms: Atoms, termsMax: Int
    ) throws(ImportFault) {
        guard let version = model.versions[""] ?? (model.versions["ai.onnx.ml"] == nil ? nil : Self.versions.upperBound)
        else { throw ImportFault("it does not say which version of ONNX's operators it uses") }
        guard Self.versions.contains(version) else {
            throw ImportFault(
                "it uses version \(version) of ONNX's operators; export it with opset_version from \(Self.versions.lowerBound) to \(Self.versions.upperBound)"
            )
        }
        self.model = model
        self.version = version
        self.atoms = atoms
        self.termsMax = termsMax
        termsLeft = termsMax
        values = model.constants.merging(inputs) { $1 }
        for name in model.constants.keys { origins[name] = name }
    }

    /// The nodes that a value needs, in the file's order.
    private func needed(_ name: String) -> [ONNXModel.Node] {
        var names: Set = [name]
        var nodes: [ONNXModel.Node] = []
        for node in model.nodes.reversed() where node.outputs.contains(where: { names.contains($0) && !$0.isEmpty }) {
            nodes.append(node)
            names.formUnion(node.inputs)
        }
        return nodes.reversed()
    }

    /// The value of a name.
    mutating func value(of name: String) throws(ImportFault) -> GraphValue {
        for node in needed(name) {
            do throws(ImportFault) {
                let inputs = try node.inputs.map { (input) throws(ImportFault) -> GraphValue? in
                    if input.isEmpty { return nil }
                    guard let value = values[input] else {
                        throw ImportFault("its input \"\(input)\" is made by no node before it")
                    }
                    return value
                }
                let outputs = try evaluate(node, GraphInputs(inputs))
                for (name, value) in zip(node.outputs, outputs) where !name.isEmpty {
                    guard value.count <= ImportLimits.elementsMax || value.isConstant else {
                        throw ImportFault("its result has \(value.count) elements; at most \(ImportLimits.elementsMax)")
                    }
                    try spend(min(value.count, ImportLimits.elementsMax))
                    values[name] = value
                }
                if node.type == "Identity", let from = node.inputs.first, let to = node.outputs.first {
                    origins[to] = origins[from]
                }
            } catch {
                throw ImportFault("the node \(node.label): \(error.text)")
            }
        }
        guard let value = values[name] else { throw ImportFault("nothing makes its output \"\(name)\"") }
        return value
    }

    /// Counts the terms of a sum that is about to be formed.
    mutating func spend(_ terms: Int) throws(ImportFault) {
        termsLeft -= min(terms, termsLeft + 1)
        if termsLeft < 0 {
            throw ImportFault("its sums have more than \(termsMax) terms with those before")
        }
    }

    /// The number of a table, by the constant it is.
    mutating func table(_ name: String, _ value: GraphValue) -> Int {
        let name = origins[name] ?? name
        if let number = tables.firstIndex(where: { $0.name == name && $0.value.shape == value.shape }) { return number }
        tables.append(Table(name: name, value: value))
        return tables.count - 1
    }

    /// - Returns: A value for each output that anything uses.
    private mutating func evaluate(
        _ node: ONNXModel.Node, _ inputs: GraphInputs
    ) throws(ImportFault) -> [GraphValue] {
        if node.domain == "ai.onnx.ml" {
            if let values = try classical(node, inputs) { return values }
        } else if node.domain.isEmpty {
            if let values = try movement(node, inputs) { return values }
            if let value = try arithmetic(node, inputs) { return [value] }
            if let value = try layer(node, inputs) { return [value] }
        }
        let own = model.functions.contains(node.type) ? " (the model defines it itself)" : ""
        throw ImportFault(
            "this operator cannot be read\(own); where it cannot be avoided, save the weights instead, "
                + "safetensors.torch.save_file(model.state_dict(), path), and import them with --weights. "
                + "Operators that can be read: \(Self.operators.joined(separator: ", "))")
    }

    /// All that can be read.
    static let operators = [
        "Add", "ArrayFeatureExtractor", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape",
        "Div",
        "Dropout", "Einsum", "Equal", "Expand", "Flatten", "Gather", "GatherND", "Gemm", "Identity", "LinearClassifier",
        "LinearRegressor", "MatMul", "Max", "Mul", "Neg", "Normalizer", "Pow", "Range", "ReduceMean", "ReduceSum",
        "ReduceSumSquare", "Relu", "Reshape", "Scaler", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt",
        "Squeeze",
        "Sub", "Sum", "Transpose", "Unsqueeze", "Where", "ZipMap",
    ]
}

/// The inputs of a node, with what is wrong where one is not as needed.
struct GraphInputs {
    private let values: [GraphValue?]

    init(_ values: [GraphValue?]) { self.values = values }

    var all: [GraphValue] { values.compactMap { $0 } }

    func optional(_ number: Int) -> GraphValue? { number < values.count ? values[number] : nil }

    func callAsFunction(_ number: Int) throws(ImportFault) -> GraphValue {
        guard let value = optional(number) else { throw ImportFault("it lacks its input \(number + 1)") }
        return value
    }

    /// Whole numbers that the file fixes; nil where the input is left out.
    func integers(_ number: Int) throws(ImportFault) -> [Int]? {
        guard let value = optional(number) else { return nil }
        guard case .ints(let values) = value.elements else {
            throw ImportFault("its input \(number + 1) has to be whole numbers that do not depend on the features")
        }
        return values.map { Int(clamping: $0) }
    }

    /// Numbers that the file fixes; nil where the input is left out.
    func floats(_ number: Int) throws(ImportFault) -> [Float]? {
        guard let value = optional(number) else { return nil }
        switch value.elements {
        case .floats(let values): return values
        case .ints(let values): return values.map { Float($0) }
        default: throw ImportFault("its input \(number + 1) depends on the features and may not")
        }
    }
}

extension ONNXModel.Node {
    func integer(_ name: String, default value: Int) throws(ImportFault) -> Int {
        switch attributes[name] {
        case nil: return value
        case .int(let number): return Int(clamping: number)
        default: throw ImportFault("its attribute \(name) is no whole number")
        }
    }

    func float(_ name: String, default value: Float) throws(ImportFault) -> Float {
        switch attributes[name] {
        case nil: return value
        case .float(let number): return number
        default: throw ImportFault("its attribute \(name) is no number")
        }
    }

    func integers(_ name: String) throws(ImportFault) -> [Int]? {
        switch attributes[name] {
        case nil: return nil
        case .ints(let numbers): return numbers.map { Int(clamping: $0) }
        default: throw ImportFault("its attribute \(name) is no list of whole numbers")
        }
    }

    /// A list that older versions have as an attribute and newer ones as an input.
    func integers(_ name: String, orInput number: Int, _ inputs: GraphInputs) throws(ImportFault) -> [Int]? {
        if let list = try integers(name) { return list }
        return try inputs.integers(number)
    }

    func floats(_ name: String) throws(ImportFault) -> [Float]? {
        switch attributes[name] {
        case nil: return nil
        case .floats(let numbers): return numbers
        default: throw ImportFault("its attribute \(name) is no list of numbers")
        }
    }

    func text(_ name: String, default value: String) -> String {
        if case .text(let text) = attributes[name] { text } else { value }
    }
}
