import Artifacts
import Features

/// A network with the schema of the features it takes: what a ranker's file holds.
package struct NetworkRanker: Sendable, Equatable {
    package var schema: FeatureSchema
    package var weights: NetworkWeights
    /// Nil where it was neither fitted to the candidates of retrieval nor judged by them, as far as is known.
    package var candidates: FittedCandidates?

    /// - Throws: `ArtifactError` when they do not fit each other.
    package init(schema: FeatureSchema, weights: NetworkWeights, path: String) throws(ArtifactError) {
        if let fault = schema.fault() ?? schema.networkFault() {
            throw ArtifactError(.invalidContent, path: path, "its feature schema cannot be used: \(fault)")
        }
        if let fault = weights.fault(FeatureLayout(schema)) {
            throw ArtifactError(.invalidContent, path: path, "its weights cannot be used: \(fault)")
        }
        self.schema = schema
        self.weights = weights
    }
}

// ranker.safetensors
//   metadata  kind = "network", shape = JSON of NetworkShape, weights_sha256 = the hash of all F32 tensors in the order below;
//             the schema (see StoredSchema); candidates = JSON of FittedCandidates, where they are known
//   embedding.weight      F32 or F16 [table rows, embedding width]
//   linear.weight         F32 [table rows]        dense_linear.weight  F32 [dense fields]
//   mlp.N.weight          F32 [outputs, inputs]   mlp.N.bias           F32 [outputs]
//   output.weight         F32 [last layer]        bias                 F32 [1]
extension NetworkRanker {
    package static let fileName = "ranker"
    static let kind = "network"

    package var metadata: [String: String] {
        get throws(ArtifactError) {
            let shape: JSONValue = [
                "embedding_width": .int(Int64(weights.shape.embeddingWidth)),
                "hidden": .array(weights.shape.hidden.map { .int(Int64($0)) }),
                "linear": .bool(weights.shape.hasLinear), "pairs": .bool(weights.shape.hasPairs),
            ]
            var metadata = StoredSchema(schema).metadata
            metadata["kind"] = Self.kind
            metadata["shape"] = JSONText.print(shape, indented: false)
            metadata[StoredSchema.weightsHash] = weights.hash
            if let candidates { metadata[FittedCandidates.key] = candidates.text }
            return metadata
        }
    }

    /// Writes all tensors; the file was begun with `metadata`.
    package func write(to writer: TensorFileWriter) throws(ArtifactError) {
        let dictionaries = try StoredSchema(schema).dictionaries()
        for (name, dictionary) in dictionaries { dictionary.declare(name, in: writer) }
        let layout = FeatureLayout(schema)
        writer.declare("embedding.weight", .f32, shape: [layout.tableRows, weights.shape.embeddingWidth])
        writer.declare("linear.weight", .f32, shape: [weights.linear.count])
        writer.declare("dense_linear.weight", .f32, shape: [weights.denseLinear.count])
        for (number, layer) in weights.layers.enumerated() {
            writer.declare("mlp.\(number).weight", .f32, shape: [layer.bias.count, layer.inputs])
            writer.declare("mlp.\(number).bias", .f32, shape: [layer.bias.count])
        }
        writer.declare("output.weight", .f32, shape: [weights.output.count])
        writer.declare("bias", .f32, shape: [1])
        for (name, dictionary) in dictionaries { try dictionary.write(name, to: writer) }
        try writer.append(weights.table, to: "embedding.weight")
        try writer.append(weights.linear, to: "linear.weight")
        try writer.append(weights.denseLinear, to: "dense_linear.weight")
        for (number, layer) in weights.layers.enumerated() {
            try writer.append(layer.weights, to: "mlp.\(number).weight")
            try writer.append(layer.bias, to: "mlp.\(number).bias")
        }
        try writer.append(weights.output, to: "output.weight")
        try writer.append([weights.bias], to: "bias")
        try writer.finish()
    }

    /// Reads and checks a ranker's file.
    ///
    /// - Throws: `ArtifactError` naming what does not fit, and where.
    package init(_ file: TensorFile) throws(ArtifactError) {
        func invalid(_ fault: String) -> ArtifactError { ArtifactError(.invalidContent, path: file.path, fault) }
        guard file.metadata["kind"] == Self.kind else {
            throw invalid("its metadata says kind \(file.metadata["kind"] ?? "nothing"); a ranker's says \(Self.kind)")
        }
        let schema = try StoredSchema(file).schema
        let shape = try Self.shape(file)
        let layout = FeatureLayout(schema)
        let inputs = shape.inputs(layout)
        var layers: [NetworkWeights.Layer] = []
        for (number, outputs) in shape.hidden.enumerated() {
            let before = number == 0 ? inputs : shape.hidden[number - 1]
            layers.append(
                NetworkWeights.Layer(
                    weights: try file.floats("mlp.\(number).weight", shape: [outputs, before]),
                    bias: try file.floats("mlp.\(number).bias", shape: [outputs])))
        }
        let bias: [Float] = try file.floats("bias", shape: [1])
        let weights = NetworkWeights(
            shape: shape, table: try file.floats("embedding.weight", shape: [layout.tableRows, shape.embeddingWidth]),
            linear: try file.floats("linear.weight", shape: [shape.hasLinear ? layout.tableRows : 0]),
            denseLinear: try file.floats("dense_linear.weight", shape: [shape.hasLinear ? layout.dense.count : 0]),
            layers: layers, output: try file.floats("output.weight", shape: [shape.hidden.last ?? 0]), bias: bias[0])
        // Of halves, what was hashed is not what was read.
        let isExact = file.describe("embedding.weight")?.type == .f32
        if isExact { try StoredSchema.check(weights: weights.hash, file) }
        try self.init(schema: schema, weights: weights, path: file.path)
        candidates = try FittedCandidates.read(file)
    }

    private static func shape(_ file: TensorFile) throws(ArtifactError) -> NetworkShape {
        let value = try StoredSchema.json("shape", file)
        guard let width = value["embedding_width"]?.intValue, let list = value["hidden"]?.arrayValue,
            case .bool(let hasLinear)? = value["linear"], case .bool(let hasPairs)? = value["pairs"]
        else {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its shape needs \"embedding_width\", \"hidden\", \"linear\" and \"pairs\"")
        }
        let hidden = list.compactMap(\.intValue)
        let shape = NetworkShape(embeddingWidth: width, hidden: hidden, hasLinear: hasLinear, hasPairs: hasPairs)
        guard hidden.count == list.count, shape.fault() == nil else {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its shape cannot be used: \(shape.fault() ?? "layers are no numbers")")
        }
        return shape
    }
}

extension NetworkWeights {
    /// Of all numbers in the order of the file's tensors.
    fileprivate var hash: String {
        ContentHash.sha256(
            of: [table, linear, denseLinear] + layers.flatMap { [$0.weights, $0.bias] } + [output, [bias]])
    }
}
