import Artifacts

/// Why a model of others cannot become a network: what, where, and what to do.
struct ImportFault: Error {
    let text: String

    init(_ text: String) { self.text = text }
}

/// What a file of others may hold. A file beyond a limit is refused with the limit in the message.
package enum ImportLimits {
    /// Of a schema's JSON text, which may hold whole dictionaries.
    package static let schemaBytesMax = 256 << 20
    package static let namesBytesMax = 1 << 20
    package static let onnxBytesMax = 1 << 30
    /// Tensors of a file, constants included.
    package static let tensorsMax = 20_000
    package static let nodesMax = 20_000
    /// Inputs, outputs or attributes of a node; inputs or outputs of a graph.
    package static let listMax = 4096
    package static let nameBytesMax = 1024
    static let rankMax = 8
    /// Elements of a tensor that is computed rather than stored.
    static let elementsMax = 1 << 22
    /// Terms of all sums that are formed together.
    static let termsMax = 1 << 25
    /// Values of a network's one table of embeddings, after all fields were brought to the same width.
    static let tableValuesMax = 1 << 31

    static func checkTable(rows: Int, width: Int) throws(ImportFault) {
        guard width <= NetworkShape.embeddingWidthMax else {
            throw ImportFault("its embeddings have \(width) columns; at most \(NetworkShape.embeddingWidthMax)")
        }
        guard rows * width <= tableValuesMax else {
            throw ImportFault(
                "\(rows) rows of \(width) columns, the widest of any field; at most \(tableValuesMax) values")
        }
    }
}
