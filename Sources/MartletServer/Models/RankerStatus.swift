import CandidateRanking
import Features
import RankingModels

/// What `/status` says of the ranker that serves.
struct RankerStatus: Sendable, Encodable {
    enum Kind: String, Sendable, Encodable { case network, trees }

    let kind: Kind
    /// Of the model, the encoded items and the items' parts.
    let bytes: Int
    /// How many features there are of the user, the item, the context and of both together.
    let features: [String: Int]
    /// How a network's layers are computed; absent of trees.
    let precision: String?
    /// Whether items' parts of a network's first layer are held, and why; absent of trees.
    let itemParts: ItemPartsFinding?
    /// What trees were trained for; absent of networks, as are the next.
    let objective: String?
    let trees: Int?
    let leaves: Int?

    init(_ ranker: CandidateRanker) {
        bytes = ranker.byteCount
        features = ranker.plan.schema.fields.reduce(into: [:]) { $0[$1.side.rawValue, default: 0] += 1 }
        switch ranker.model {
        case .network(let network):
            kind = .network
            precision = network.precision.rawValue
            itemParts = ranker.itemParts
            (objective, trees, leaves) = (nil, nil, nil)
        case .trees(let scorer):
            kind = .trees
            precision = nil
            itemParts = nil
            objective = scorer.ensemble.objective
            trees = scorer.ensemble.treeCount
            leaves = scorer.ensemble.leafCount
        }
    }
}
