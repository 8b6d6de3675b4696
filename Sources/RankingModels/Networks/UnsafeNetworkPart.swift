import Features
import VectorMath

/// The share of some sides in a network's first layer, in the sums of embeddings and in the logit.
///
/// ```
/// first   bias + weights of the sides' columns * their embeddings and numbers     [rows, first layer, padded]
/// sums    the sum of the sides' embeddings                                        [rows, embedding width]
/// logits  bias + linear terms - half the squares that pairs must not count        [rows]
/// ```
/// The result of a row does not depend on the rows beside it. `@unchecked Sendable`: nothing is written after `init`.
final class NetworkPart: @unchecked Sendable {
    let inputStride: Int
    private let network: Network
    private let layer: DenseLayer
    private let categorical: [Int]
    /// For each of `categorical` its place among the rows' lists; nil where it has one value.
    private let bags: [Int?]
    private let dense: [Int]
    private let bias: Float

    /// - Parameters:
    ///   - hasBias: The biases are counted in one of the parts that are added up.
    ///   - isMine: By side, and whether a field differs from candidate to candidate.
    init(
        _ weights: NetworkWeights, of network: Network, precision: LayerPrecision, hasBias: Bool,
        where isMine: (FeatureSide, Bool) -> Bool
    ) {
        self.network = network
        let layout = network.layout
        bias = hasBias ? weights.bias : 0
        let categorical = layout.categorical.indices.filter {
            isMine(layout.categorical[$0].side, layout.categorical[$0].isPerCandidate)
        }
        self.categorical = categorical
        let lists = layout.categorical.indices.filter { layout.categorical[$0].isMultivalued }
        bags = categorical.map { lists.firstIndex(of: $0) }
        dense = layout.dense.indices.filter { isMine(layout.dense[$0].side, layout.dense[$0].isPerCandidate) }
        let first = weights.layers[0]
        let width = weights.shape.embeddingWidth
        let columns =
            categorical.flatMap { field in (0..<width).map { field * width + $0 } }
            + dense.map { layout.categorical.count * width + $0 }
        layer = Self.layer(first, columns, hasBias: hasBias, precision)
        inputStride = layer.inputStride
    }

    /// Some of a layer's inputs.
    static func layer(
        _ first: NetworkWeights.Layer, _ columns: [Int], hasBias: Bool, _ precision: LayerPrecision
    ) -> DenseLayer {
        let outputs = first.bias.count
        let bias = hasBias ? first.bias : [Float](repeating: 0, count: outputs)
        // Without columns, one input that is always 0 leaves the bias.
        let weights =
            columns.isEmpty
            ? [Float](repeating: 0, count: outputs)
            : (0..<outputs).flatMap { output in columns.map { first.weights[output * first.inputs + $0] } }
        return DenseLayer(weights: weights, bias: bias, inputs: max(columns.count, 1), precision: precision)
    }

    /// Computes rows.
    ///
    /// - Parameters:
    ///   - range: At most `Network.rowsTogether` rows.
    ///   - first: Rows a padded first layer apart.
    ///   - sums: Rows an embedding apart.
    func apply(
        _ rows: FeatureRows, _ range: Range<Int>, _ scratch: NetworkScratch,
        first: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>, logits: UnsafeMutablePointer<Float>
    ) {
        let input = scratch.input
        input.update(repeating: 0, count: range.count * inputStride)
        for (row, place) in zip(range, 0...) {
            let own = input + place * inputStride
            logits[place] = bias + takeFields(rows, row, into: own, sum: sums + place * network.shape.embeddingWidth)
            let at = categorical.count * network.shape.embeddingWidth
            for (column, number) in dense.enumerated() {
                let x = rows.dense[row * rows.layout.dense.count + number]
                own[at + column] = x
                if network.shape.hasLinear { logits[place] += x * network.denseLinear[number] }
            }
        }
        scratch.apply(layer, input, stride: inputStride, rows: range.count, into: first)
    }

    /// Puts a row's embeddings side by side and adds them up; gives the linear terms less half the squares.
    private func takeFields(
        _ rows: FeatureRows, _ row: Int, into input: UnsafeMutablePointer<Float>, sum: UnsafeMutablePointer<Float>
    ) -> Float {
        let (shape, width) = (network.shape, network.shape.embeddingWidth)
        sum.update(repeating: 0, count: width)
        var (logit, squares) = (Float(0), Float(0))
        let ids = rows.ids + row * rows.layout.categorical.count
        for (column, field) in categorical.enumerated() {
            let own = input + column * width
            if let place = bags[column], rows.bag(row, place).count > 1 {
                let bag = rows.bag(row, place)
                network.pool(bag, into: own)
                if shape.hasLinear {
                    logit += bag.reduce(0) { $0 + network.linear[Int($1)] } / Float(bag.count)
                }
            } else {
                network.embed(ids + field, into: own)
                if shape.hasLinear { logit += network.linear[Int(ids[field])] }
            }
            guard shape.hasPairs else { continue }
            for place in 0..<width {
                sum[place] += own[place]
                squares += own[place] * own[place]
            }
        }
        return logit - squares / 2
    }
}
