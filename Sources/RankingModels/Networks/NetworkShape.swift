import Features

/// What a network is made of. Its score is the sum of the parts it has:
///
/// ```
/// logit = bias
///       + linear    sum of a weight for each value, and dense numbers times weights
///       + pairs     sum over pairs of categorical fields of the inner product of their embeddings
///       + deep      a perceptron over all embeddings, side by side, and the dense numbers
/// ```
/// All three are DeepFM (Guo et al. 2017, arXiv:1703.04247); linear alone is logistic regression, linear and pairs a
/// factorization machine (Rendle 2010), deep alone a multi-layer perceptron.
package struct NetworkShape: Sendable, Equatable, Codable {
    /// Floats of an embedding; 0 where neither pairs nor deep are there.
    package var embeddingWidth: Int
    /// Outputs of the perceptron's layers, each followed by a rectifier; empty: no deep part.
    package var hidden: [Int]
    package var hasLinear: Bool
    package var hasPairs: Bool

    package static let embeddingWidthMax = 256
    package static let layersMax = 8
    package static let layerWidthMax = 4096

    package init(embeddingWidth: Int, hidden: [Int], hasLinear: Bool, hasPairs: Bool) {
        self.embeddingWidth = embeddingWidth
        self.hidden = hidden
        self.hasLinear = hasLinear
        self.hasPairs = hasPairs
    }

    package var isDeep: Bool { !hidden.isEmpty }

    /// Inputs of the perceptron.
    package func inputs(_ layout: FeatureLayout) -> Int {
        layout.categorical.count * embeddingWidth + layout.dense.count
    }

    /// What is wrong with it; nil: nothing.
    package func fault() -> String? {
        guard (0...Self.embeddingWidthMax).contains(embeddingWidth) else {
            return "embeddings of \(embeddingWidth); at most \(Self.embeddingWidthMax)"
        }
        guard hidden.count <= Self.layersMax, hidden.allSatisfy({ (1...Self.layerWidthMax).contains($0) }) else {
            return "layers of \(hidden); at most \(Self.layersMax) of 1 to \(Self.layerWidthMax) are possible"
        }
        guard hasLinear || hasPairs || isDeep else { return "no part: neither linear, pairs nor layers" }
        return hasPairs && embeddingWidth == 0 ? "pairs of embeddings without width" : nil
    }
}
