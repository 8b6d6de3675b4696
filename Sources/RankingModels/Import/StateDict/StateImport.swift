import Artifacts
import Features

/// The networks by the names that people know.
package enum ImportedNetwork: String, CaseIterable, Sendable {
    case deepfm
    /// Linear part and layers, without pairs.
    case wideDeep = "wide-deep"
    case mlp, fm, lr

    var hasLinear: Bool { self != .mlp }
    var hasPairs: Bool { self == .deepfm || self == .fm }
    var isDeep: Bool { self == .deepfm || self == .wideDeep || self == .mlp }
}

/// What the names and shapes of a state dictionary do not tell.
package struct StateImportOptions: Sendable {
    /// On which side of the rectifier a batch norm stands.
    package enum BatchNormPlace: String, CaseIterable, Sendable {
        case before, after
    }

    package var network: ImportedNetwork
    /// Nil: as the numbers of a `Sequential` say.
    package var batchNorm: BatchNormPlace?
    /// PyTorch's default, which a state dictionary does not hold.
    package var batchNormEpsilon = 1e-5
    /// Whether the layers' input begins with the numbers instead of the embeddings.
    package var isDenseFirst = false
    /// New names by old ones, nil to leave a tensor out; a name that ends in a point stands for all that begin so.
    package var names: [String: String?] = [:]

    package init(_ network: ImportedNetwork) { self.network = network }
}

/// Reads the weights of a network that PyTorch trained, as `safetensors.torch.save_file(model.state_dict(), path)` writes
/// them. docs/ranker-import.md lists the names.
package enum StateImport {
    /// - Throws: `ArtifactError` that names the tensor and what was expected.
    /// - Complexity: O(weights).
    package static func ranker(
        _ path: String, schema: FeatureSchema, _ options: StateImportOptions
    ) throws(ArtifactError) -> NetworkRanker {
        let file = try TensorFile(path: path)
        let weights: NetworkWeights
        do throws(ImportFault) {
            if file.metadata["kind"] == "network", file.metadata["features_sha256"] != nil {
                throw ImportFault("it is a ranker's file already; use it as it is")
            }
            weights = try self.weights(StateDictionary(file, options.names), FeatureLayout(schema), options)
        } catch {
            throw ArtifactError(.invalidContent, path: path, error.text)
        }
        return try NetworkRanker(schema: schema, weights: weights, path: path)
    }

    private static func weights(
        _ state: StateDictionary, _ layout: FeatureLayout, _ options: StateImportOptions
    ) throws(ImportFault) -> NetworkWeights {
        var state = state
        let network = options.network
        let embeds = !layout.categorical.isEmpty && (network.hasPairs || network.isDeep)
        let parts = embeds ? try tables("embedding", &state, layout, columns: nil) : []
        let widths = layout.categorical.indices.map { parts.isEmpty ? 0 : parts[$0].columns }
        let width = widths.max() ?? 0
        if network.hasPairs, let other = widths.firstIndex(where: { $0 != width }) {
            throw ImportFault(
                "the embeddings of \"\(layout.categorical[other].name)\" have \(widths[other]) columns and others \(width); pairs need the same of all"
            )
        }
        try ImportLimits.checkTable(rows: layout.tableRows, width: width)
        guard !network.hasPairs || embeds else { throw ImportFault("a \(network.rawValue) needs categorical fields") }
        var table = [Float](repeating: 0, count: layout.tableRows * width)
        for (field, part) in zip(layout.categorical, parts) {
            for row in 0..<field.tableRows {
                for column in 0..<part.columns {
                    table[(field.tableOffset + row) * width + column] = part.values[row * part.columns + column]
                }
            }
        }
        var (linear, denseLinear): ([Float], [Float]) = ([], [])
        if network.hasLinear {
            linear =
                layout.categorical.isEmpty ? [] : try tables("linear", &state, layout, columns: 1).flatMap(\.values)
            denseLinear = layout.dense.isEmpty ? [] : try denseWeights(&state, layout)
        }
        var layers: [NetworkWeights.Layer] = []
        var (output, outputBias): ([Float], Float) = ([], 0)
        if network.isDeep {
            let columns = InputColumns(widths, dense: layout.dense.count, isDenseFirst: options.isDenseFirst)
            (layers, output, outputBias) = try StateLayers.read(&state, columns, options)
        }
        var bias = outputBias
        for name in ["bias", "linear.bias", "dense_linear.bias"] where network.hasLinear || name == "bias" {
            bias += try state.takeIfThere(name, [[1], []])?[0] ?? 0
        }
        try state.checkAllTaken(network)
        let shape = NetworkShape(
            embeddingWidth: width, hidden: layers.map(\.bias.count), hasLinear: network.hasLinear,
            hasPairs: network.hasPairs)
        return NetworkWeights(
            shape: shape, table: table, linear: linear, denseLinear: denseLinear, layers: layers, output: output,
            bias: bias)
    }

    /// Values of one field's rows, shape `[rows, columns]`.
    private struct Part {
        var values: [Float]
        var columns: Int
    }

    /// A tensor for all fields, or one for each, by number or name.
    private static func tables(
        _ root: String, _ state: inout StateDictionary, _ layout: FeatureLayout, columns: Int?
    ) throws(ImportFault) -> [Part] {
        func shapes(_ rows: Int) -> [[Int?]] { columns == 1 ? [[rows, 1], [1, rows], [rows]] : [[rows, columns]] }
        if state.has("\(root).weight") {
            let values = try state.take("\(root).weight", shapes(layout.tableRows), rows: layout)
            let width = values.count / layout.tableRows
            return layout.categorical.map { field in
                let range = (field.tableOffset * width)..<((field.tableOffset + field.tableRows) * width)
                return Part(values: Array(values[range]), columns: width)
            }
        }
        return try layout.categorical.enumerated().map { (number, field) throws(ImportFault) -> Part in
            let names = ["\(root).\(field.name).weight", "\(root).\(number).weight"]
            guard let name = names.first(where: { state.has($0) }) else {
                throw ImportFault(
                    "it lacks the tensor \"\(root).weight\" of shape [\(layout.tableRows), \(columns.map(String.init) ?? "any")], or \"\(names[0])\" of shape [\(field.tableRows), \(columns.map(String.init) ?? "any")]; it has \(state.sample)"
                )
            }
            let values = try state.take(name, shapes(field.tableRows), field: field)
            return Part(values: values, columns: values.count / field.tableRows)
        }
    }

    private static func denseWeights(
        _ state: inout StateDictionary, _ layout: FeatureLayout
    ) throws(ImportFault) -> [Float] {
        let count = layout.dense.count
        // Where there are numbers alone, a layer called linear is theirs.
        let name =
            layout.categorical.isEmpty && !state.has("dense_linear.weight") && state.has("linear.weight")
            ? "linear.weight" : "dense_linear.weight"
        guard state.has(name) else {
            throw ImportFault(
                "it lacks the tensor \"\(name)\" of shape [1, \(count)], the linear weights of the numbers; save zeros where the model has none"
            )
        }
        return try state.take(name, [[1, count], [count]])
    }
}

/// Where the inputs of the first layer go: embeddings are brought to the same width.
struct InputColumns {
    /// For every input of the file, its column in the network.
    let columns: [Int]
    let inputs: Int

    init(_ widths: [Int], dense: Int, isDenseFirst: Bool) {
        let width = widths.max() ?? 0
        let embedded = widths.enumerated().flatMap { field, own in (0..<own).map { field * width + $0 } }
        let numbers = (0..<dense).map { widths.count * width + $0 }
        columns = isDenseFirst ? numbers + embedded : embedded + numbers
        inputs = widths.count * width + dense
    }

    /// A first layer's weights, columns moved.
    func moved(_ weights: [Float], outputs: Int) -> [Float] {
        var result = [Float](repeating: 0, count: outputs * inputs)
        for row in 0..<outputs {
            for (from, to) in columns.enumerated() { result[row * inputs + to] = weights[row * columns.count + from] }
        }
        return result
    }
}
