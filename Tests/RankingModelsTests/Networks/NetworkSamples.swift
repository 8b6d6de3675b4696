import Features
import RankingModels
import TestSupport

/// A schema of some fields of every kind, random weights for it, and the slow way to a score.
struct NetworkSample {
    var schema: FeatureSchema
    var layout: FeatureLayout
    var weights: NetworkWeights

    init(
        tables: [Int], bags: Set<Int> = [], dense: Int, shape: NetworkShape, seed: UInt64
    ) {
        var fields: [FeatureField] = tables.enumerated().map { number, rows in
            FeatureField(
                "c\(number)", from: .context("c\(number)"),
                .categorical(.hashed(buckets: rows - 1), isMultivalued: bags.contains(number)))
        }
        for number in 0..<dense {
            fields.append(FeatureField("d\(number)", from: .context("d\(number)"), .dense(.none, missing: 0)))
        }
        schema = FeatureSchema(fields: fields)
        let layout = FeatureLayout(schema)
        self.layout = layout
        var random = SeededGenerator(seed: seed)
        func values(_ count: Int, _ size: Float) -> [Float] {
            (0..<count).map { _ in Float.random(in: -size...size, using: &random) }
        }
        var inputs = shape.inputs(layout)
        var layers: [NetworkWeights.Layer] = []
        for outputs in shape.hidden {
            layers.append(
                .init(weights: values(inputs * outputs, (3 / Float(inputs)).squareRoot()), bias: values(outputs, 0.1)))
            inputs = outputs
        }
        weights = NetworkWeights(
            shape: shape, table: values(layout.tableRows * shape.embeddingWidth, 0.5),
            linear: values(shape.hasLinear ? layout.tableRows : 0, 0.5),
            denseLinear: values(shape.hasLinear ? dense : 0, 0.5), layers: layers,
            output: values(shape.hidden.last ?? 0, 0.2), bias: 0.25)
    }

    /// Random rows, and their values: for each row a list of table rows for each field, and the numbers.
    func rows(_ count: Int, seed: UInt64) -> (FeatureRows, [(ids: [[UInt32]], dense: [Float])]) {
        var random = SeededGenerator(seed: seed)
        let rows = FeatureRows(layout, capacity: 1)
        var plain: [(ids: [[UInt32]], dense: [Float])] = []
        for _ in 0..<count {
            let row = rows.append()
            var ids: [[UInt32]] = layout.categorical.map { field in
                let length = field.isMultivalued ? Int.random(in: 0...4, using: &random) : 1
                return (0..<length).map { _ in
                    UInt32(field.tableOffset + Int.random(in: 0..<field.tableRows, using: &random))
                }
            }
            for (number, field) in layout.categorical.enumerated() where !field.isMultivalued {
                rows.set(row, categorical: number, to: ids[number][0])
            }
            rows.setBags { ids[$0] }
            for number in ids.indices where ids[number].isEmpty {
                ids[number] = [UInt32(layout.categorical[number].tableOffset)]
            }
            let dense = layout.dense.indices.map { _ in Float.random(in: -1...1, using: &random) }
            for (number, value) in dense.enumerated() { rows.set(row, dense: number, to: value) }
            plain.append((ids, dense))
        }
        return (rows, plain)
    }

    /// The logit, straight from the definition, in Float64.
    func logit(_ row: (ids: [[UInt32]], dense: [Float])) -> Double {
        let width = weights.shape.embeddingWidth
        var logit = Double(weights.bias)
        let embeddings = row.ids.map { list in
            (0..<width).map { place in
                list.reduce(0.0) { $0 + Double(weights.table[Int($1) * width + place]) } / Double(list.count)
            }
        }
        if weights.shape.hasLinear {
            for list in row.ids {
                logit += list.reduce(0.0) { $0 + Double(weights.linear[Int($1)]) } / Double(list.count)
            }
            for (x, w) in zip(row.dense, weights.denseLinear) { logit += Double(x) * Double(w) }
        }
        if weights.shape.hasPairs {
            for i in embeddings.indices {
                for j in 0..<i { logit += zip(embeddings[i], embeddings[j]).reduce(0) { $0 + $1.0 * $1.1 } }
            }
        }
        if weights.shape.isDeep {
            var x = embeddings.flatMap { $0 } + row.dense.map(Double.init)
            for layer in weights.layers {
                x = layer.bias.indices.map { output in
                    max(
                        0,
                        x.indices.reduce(Double(layer.bias[output])) {
                            $0 + x[$1] * Double(layer.weights[output * x.count + $1])
                        })
                }
            }
            logit += zip(x, weights.output).reduce(0) { $0 + $1.0 * Double($1.1) }
        }
        return logit
    }
}
