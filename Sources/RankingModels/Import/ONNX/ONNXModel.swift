/// A model as the ONNX format has it (onnx.proto3), as far as it is read here.
struct ONNXModel {
    struct Node {
        var name = ""
        var type = ""
        var domain = ""
        var inputs: [String] = []
        var outputs: [String] = []
        var attributes: [String: Attribute] = [:]

        /// For messages.
        var label: String { name.isEmpty ? type : "\(type) \"\(name)\"" }
    }

    enum Attribute {
        case float(Float)
        case int(Int64)
        case text(String)
        case tensor(GraphValue)
        case floats([Float])
        case ints([Int64])
        /// Texts, graphs and whatever else no operator here needs.
        case other
    }

    /// An input or output of the graph.
    struct Port {
        var name = ""
        /// ONNX's number of the element type; nil for sequences and maps.
        var elementType: Int?
        /// Nil: unknown, or named rather than numbered.
        var shape: [Int?] = []
    }

    /// Versions of the sets of operators, by domain.
    var versions: [String: Int] = [:]
    var nodes: [Node] = []
    var constants: [String: GraphValue] = [:]
    var inputs: [Port] = []
    var outputs: [Port] = []
    /// Names of operators that the model defines itself.
    var functions: Set<String> = []
}

/// A tensor in the course of a graph.
struct GraphValue {
    enum Elements {
        case floats([Float])
        case ints([Int64])
        /// Numbers that depend on the features.
        case features([Polynomial])
        /// Table rows of fields, plus a constant.
        case ids([ID])
    }

    /// The table row of a categorical field, of a row of the batch, plus `offset`.
    struct ID: Equatable {
        var field: Int
        var row: Int
        var offset: Int
    }

    var shape: [Int]
    var elements: Elements

    init(shape: [Int], _ elements: Elements) {
        self.shape = shape
        self.elements = elements
    }

    init(ints: [Int64]) { self.init(shape: [ints.count], .ints(ints)) }

    var count: Int {
        switch elements {
        case .floats(let values): values.count
        case .ints(let values): values.count
        case .features(let values): values.count
        case .ids(let values): values.count
        }
    }

    var isConstant: Bool {
        switch elements {
        case .floats, .ints: true
        case .features, .ids: false
        }
    }

    /// The elements at these places, in a new shape.
    ///
    /// - Precondition: The places are there, as many as the shape says.
    func taking(_ places: [Int], shape: [Int]) -> GraphValue {
        switch elements {
        case .floats(let values): GraphValue(shape: shape, .floats(places.map { values[$0] }))
        case .ints(let values): GraphValue(shape: shape, .ints(places.map { values[$0] }))
        case .features(let values): GraphValue(shape: shape, .features(places.map { values[$0] }))
        case .ids(let values): GraphValue(shape: shape, .ids(places.map { values[$0] }))
        }
    }

    func reshaped(_ shape: [Int]) -> GraphValue {
        var result = self
        result.shape = shape
        return result
    }
}
