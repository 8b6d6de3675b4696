import Artifacts
import Features
import RankingModels

/// What there is to say of a ranker.
struct RankerSummary {
    private let ranker: RankerArtifact
    private let layout: FeatureLayout
    private let path: String
    private let fileBytes: Int
    private let hash: String

    init(_ ranker: RankerArtifact, path: String, fileBytes: Int) {
        self.ranker = ranker
        self.path = path
        self.fileBytes = fileBytes
        layout = FeatureLayout(ranker.schema)
        hash = ranker.schema.hash
    }

    /// What items' parts depend on; nil of trees.
    var network: (shape: NetworkShape, layout: FeatureLayout)? {
        guard case .network(let ranker) = ranker else { return nil }
        return (ranker.weights.shape, layout)
    }

    /// Nil where nobody knows with what it was fitted or judged.
    var fitted: FittedCandidates? { ranker.candidates }

    /// "3 item, 1 user"
    private var sides: String {
        FeatureSide.allCases.compactMap { side in
            let count = ranker.schema.fields.count { $0.side == side }
            return count == 0 ? nil : "\(count) \(side.rawValue)"
        }.joined(separator: ", ")
    }

    var table: String {
        var text = """
            file         \(AnswerTable.printable(path, most: .max)), \(fileBytes) bytes
            \(content)
            features     \(ranker.schema.fields.count) (\(sides)), SHA-256 \(hash)


            """
        var rows = AnswerTable([
            ("feature", .left), ("from", .left), ("side", .left), ("rows", .right), ("encoding", .left),
        ])
        for field in ranker.schema.fields {
            rows.add([
                field.name, field.source.text, field.side.rawValue, field.tableRows > 0 ? "\(field.tableRows)" : "",
                field.encodingText,
            ])
        }
        text += rows.text
        while text.last == "\n" { text.removeLast() }
        return text
    }

    /// What stands between the file and its features.
    private var content: String {
        switch ranker {
        case .network(let ranker):
            let shape = ranker.weights.shape
            let layers = ([shape.inputs(layout)] + shape.hidden + [1]).map(String.init).joined(separator: " > ")
            return """
                network      \(ranker.words)
                layers       \(shape.isDeep ? layers : "none")
                embeddings   \(layout.tableRows) rows of \(shape.embeddingWidth)
                weights      \(ranker.weights.count)
                """
        case .trees(let ranker):
            return """
                trees        \(ranker.ensemble.treeCount) of \(ranker.library.rawValue), \(ranker.ensemble.leafCount) leaves
                objective    \(AnswerTable.printable(ranker.ensemble.objective, most: 60))
                """
        }
    }

    private var contentJSON: [String: JSONValue] {
        switch ranker {
        case .network(let ranker):
            let shape = ranker.weights.shape
            return [
                "kind": "network", "network": .string(shape.word), "linear": .bool(shape.hasLinear),
                "pairs": .bool(shape.hasPairs), "embedding_width": .int(Int64(shape.embeddingWidth)),
                "hidden": .array(shape.hidden.map { .int(Int64($0)) }), "inputs": .int(Int64(shape.inputs(layout))),
                "table_rows": .int(Int64(layout.tableRows)), "weights": .int(Int64(ranker.weights.count)),
            ]
        case .trees(let ranker):
            return [
                "kind": "trees", "library": .string(ranker.library.rawValue),
                "objective": .string(ranker.ensemble.objective), "trees": .int(Int64(ranker.ensemble.treeCount)),
                "leaves": .int(Int64(ranker.ensemble.leafCount)),
            ]
        }
    }

    var json: JSONValue {
        let own: [String: JSONValue] = [
            "path": .string(path), "bytes": .int(Int64(fileBytes)),
            "features_sha256": .string(hash),
            "features": .array(
                ranker.schema.fields.map { field in
                    [
                        "name": .string(field.name), "from": .string(field.source.text),
                        "side": .string(field.side.rawValue), "rows": .int(Int64(field.tableRows)),
                        "encoding": .string(field.encodingText),
                    ]
                }),
        ]
        return .object(own.merging(contentJSON) { own, _ in own })
    }
}

extension RankerArtifact {
    /// For people.
    var words: String {
        switch self {
        case .network(let ranker): ranker.words
        case .trees(let ranker):
            "\(ranker.ensemble.treeCount) trees of \(ranker.library.rawValue), \(ranker.ensemble.objective)"
        }
    }
}

extension NetworkRanker {
    /// For people.
    var words: String {
        let shape = weights.shape
        var words = [shape.word]
        if shape.embeddingWidth > 0 { words.append("embeddings of \(shape.embeddingWidth)") }
        if shape.isDeep { words.append("layers of \(shape.hidden.map(String.init).joined(separator: ", "))") }
        return words.joined(separator: ", ")
    }
}

extension NetworkShape {
    /// The name that people know it by.
    fileprivate var word: String {
        switch (hasLinear, hasPairs, isDeep) {
        case (true, true, true): "deepfm"
        case (true, true, false): "fm"
        case (true, false, true): "wide-deep"
        case (true, false, false): "lr"
        case (false, false, true): "mlp"
        case (false, true, true): "pairs and layers"
        case (false, true, false): "pairs"
        case (false, false, false): "nothing"
        }
    }
}

extension NetworkWeights {
    fileprivate var count: Int {
        table.count + linear.count + denseLinear.count + layers.reduce(0) { $0 + $1.weights.count + $1.bias.count }
            + output.count + 1
    }
}

extension FeatureField {
    fileprivate var encodingText: String {
        switch kind {
        case .dense(let normalisation, let missing):
            let form =
                switch normalisation {
                case .none: "as it is"
                case .standard(let mean, let deviation): "(x - \(mean)) / \(deviation)"
                case .log(let mean, let deviation): "(log(1 + x) - \(mean)) / \(deviation)"
                case .quantile(let edges): "quantile, \(edges.count) edges"
                }
            let age = timeToLive.map { ", too old after \($0) s" } ?? ""
            return "\(form); missing \(missing.map { "is \($0)" } ?? "stays missing")\(age)"
        case .categorical(let encoding, let isMultivalued):
            let way =
                switch encoding {
                case .dictionary(let values): "dictionary of \(values.count)"
                case .hashed(let buckets): "hashed into \(buckets)"
                case .rows(let count): "\(count) rows of the bundle"
                }
            return isMultivalued ? "\(way), several values" : way
        }
    }
}
