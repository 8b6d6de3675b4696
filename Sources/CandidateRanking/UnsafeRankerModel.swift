import Features
import RankingModels

/// What gives encoded rows their scores: a network or trees. Immutable; shared by all shards.
package enum RankerModel: Sendable {
    case network(Network)
    case trees(TreeScorer)

    package var layout: FeatureLayout {
        switch self {
        case .network(let network): network.layout
        case .trees(let trees): trees.layout
        }
    }

    package var byteCount: Int {
        switch self {
        case .network(let network): network.byteCount
        case .trees(let trees): trees.byteCount
        }
    }

    /// A network's precision, or that it is trees; for logs.
    package var word: String {
        switch self {
        case .network(let network): network.precision.rawValue
        case .trees: "trees"
        }
    }

    /// The scores of whole rows: a network's logits, before any sigmoid; trees' predictions as their library gives them.
    ///
    /// - Parameters:
    ///   - range: Rows of `rows`, which have this model's layout.
    ///   - scratch: For whole rows of this model.
    ///   - scores: Room for `range.count`; the result of a row does not depend on the others.
    package func score(
        _ rows: FeatureRows, _ range: Range<Int>, _ scratch: RankerScratch, into scores: UnsafeMutablePointer<Float>
    ) {
        switch (self, scratch) {
        case (.network(let network), .network(let scratch)): network.score(rows, range, scratch, into: scores)
        case (.trees(let trees), .trees(let scratch)): trees.score(rows, range, scratch, into: scores)
        default: preconditionFailure("scratch of another kind of ranker")
        }
    }

    /// Log-odds of a score that stands for a probability, else the score as it is.
    package func logit(of score: Float) -> Float {
        switch self {
        case .network: score
        case .trees(let trees): trees.logit(of: score)
        }
    }

    /// Whether scores stand for probabilities; else they only order.
    package var givesProbabilities: Bool {
        switch self {
        case .network: true
        case .trees(let trees): trees.givesProbabilities
        }
    }
}

/// Room for a model's intermediate values, shared by scorers of one thread.
package enum RankerScratch {
    case network(NetworkScratch)
    /// Of a network that is cut by side.
    case parts(SplitBatch)
    case trees(TreeScratch)

    /// For what serves: whole rows, or parts where the ranker has them.
    package init(_ ranker: CandidateRanker) {
        self = ranker.split.map { .parts(SplitBatch($0)) } ?? RankerScratch(wholeRowsOf: ranker.model)
    }

    package init(wholeRowsOf model: RankerModel) {
        switch model {
        case .network(let network): self = .network(NetworkScratch(network))
        case .trees(let trees): self = .trees(TreeScratch(trees))
        }
    }
}
