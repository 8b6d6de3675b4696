import Features

/// Which features the inputs of a graph take.
///
/// - An input with the name of a feature takes that feature, `[rows]` or `[rows, 1]`.
/// - One other input of whole numbers takes the table rows of all other categorical fields, in the schema's order.
/// - One other input of floats takes all other numbers; where no input of whole numbers is there, all other features in the
///   schema's order, categorical ones as numbers.
struct GraphFeatures {
    let layout: FeatureLayout
    /// Rows of the batch that the graph is followed for: two, so that a graph that mixes them is found out, or one where
    /// the file fixes that.
    let rows: Int
    private(set) var atoms = Atoms()
    private(set) var values: [String: GraphValue] = [:]

    private struct Column {
        var isNumber: Bool
        /// Among the categorical fields, or among the numbers.
        var number: Int
        var field: Int
        var name: String
    }

    /// - Parameter ports: The graph's inputs.
    /// - Throws: `ImportFault` when they are not as above.
    init(_ ports: [ONNXModel.Port], _ layout: FeatureLayout) throws(ImportFault) {
        self.layout = layout
        if let field = layout.categorical.first(where: \.isMultivalued) {
            throw ImportFault(
                "the field \"\(field.name)\" has several values, which graphs take in too many ways; import the weights with --weights"
            )
        }
        var first: [Int?] = []
        for port in ports { first.append(port.shape.isEmpty ? nil : port.shape[0]) }
        if let wrong = zip(ports, first).first(where: { $1 ?? 1 != 1 }) {
            throw ImportFault(
                "the input \"\(wrong.0.name)\" has \(wrong.1 ?? 0) rows; export the model with one row, or any number of them"
            )
        }
        rows = first.contains(1) ? 1 : 2
        let columns =
            layout.categorical.enumerated().map {
                Column(isNumber: false, number: $0, field: $1.field, name: $1.name)
            }
            + layout.dense.enumerated().map { Column(isNumber: true, number: $0, field: $1.field, name: $1.name) }
        let named = Set(columns.map(\.name)).intersection(ports.filter(\.isColumn).map(\.name))
        let others = ports.filter { !named.contains($0.name) }
        for port in ports where named.contains(port.name) {
            try bind(port, columns.filter { $0.name == port.name }, others: "")
        }
        try bindTogether(others, columns.filter { !named.contains($0.name) }.sorted { $0.field < $1.field })
    }

    private mutating func bindTogether(_ ports: [ONNXModel.Port], _ columns: [Column]) throws(ImportFault) {
        let seen =
            "the graph's inputs \(ports.map { "\"\($0.name)\" \(Self.text($0.shape))" }.joined(separator: ", "))"
        let wanted =
            "the schema has \(columns.filter { !$0.isNumber }.count) categorical fields and \(columns.filter(\.isNumber).count) numbers for them; "
            + "name inputs as the fields, or give whole numbers [rows, fields] and floats [rows, numbers]"
        let (whole, floating) = (ports.filter(\.isWhole), ports.filter { !$0.isWhole })
        guard whole.count <= 1, floating.count <= 1 else { throw ImportFault("\(seen): \(wanted)") }
        if let port = whole.first { try bind(port, columns.filter { !$0.isNumber }, others: wanted) }
        if let port = floating.first {
            try bind(port, whole.isEmpty ? columns : columns.filter(\.isNumber), others: wanted)
        }
        let left = columns.filter { column in
            column.isNumber ? floating.isEmpty : floating.isEmpty && whole.isEmpty
        }
        if let column = left.first {
            throw ImportFault(
                "the feature \"\(column.name)\" goes into no input of the graph; take it out of the schema")
        }
    }

    private mutating func bind(_ port: ONNXModel.Port, _ columns: [Column], others: String) throws(ImportFault) {
        let width = port.shape.count == 1 ? 1 : port.shape.count == 2 ? port.shape[1] ?? columns.count : -1
        guard width == columns.count, width > 0 else {
            throw ImportFault(
                "the input \"\(port.name)\" has the shape \(Self.text(port.shape)); \(columns.count) columns are its features\(others.isEmpty ? "" : ": \(others)")"
            )
        }
        let shape = port.shape.count == 1 ? [rows] : [rows, width]
        if port.isWhole {
            if let column = columns.first(where: \.isNumber) {
                throw ImportFault("the input \"\(port.name)\" takes whole numbers; \"\(column.name)\" is none")
            }
            let ids = (0..<rows).flatMap { row in
                columns.map { GraphValue.ID(field: $0.number, row: row, offset: 0) }
            }
            values[port.name] = GraphValue(shape: shape, .ids(ids))
            return
        }
        var features: [Polynomial] = []
        for row in 0..<rows {
            for column in columns {
                let atom: Atom = column.isNumber ? .number(column.number, row: row) : .code(column.number, row: row)
                features.append(Polynomial(atom: atoms.number(atom)))
            }
        }
        values[port.name] = GraphValue(shape: shape, .features(features))
    }

    private static func text(_ shape: [Int?]) -> String {
        "[\(shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", "))]"
    }
}

extension ONNXModel.Port {
    /// Whether it may be one value a row.
    var isColumn: Bool { shape.count == 1 || shape.count == 2 && (shape[1] ?? 1) == 1 }

    var isWhole: Bool { elementType.flatMap(ONNXTensor.ElementType.init(rawValue:)).map { !$0.isFloat } ?? false }
    var isFloat: Bool { elementType.flatMap(ONNXTensor.ElementType.init(rawValue:)).map(\.isFloat) ?? false }
}
