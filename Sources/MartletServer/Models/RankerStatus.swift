import CandidateRanking

/// What `/status` says of the ranker that serves.
struct RankerStatus: Sendable, Encodable {
    /// How its layers are computed.
    let precision: String
    let bytes: Int
    /// Whether items' parts of its first layer are held, and why.
    let itemParts: ItemPartsFinding

    init(_ ranker: CandidateRanker) {
        precision = ranker.network.precision.rawValue
        bytes = ranker.byteCount
        itemParts = ranker.itemParts
    }
}
