/// Where a ranker's feature comes from: what missing values are counted by.
package enum FeatureGroup: UInt8, CaseIterable, Sendable {
    /// The user's ID.
    case user
    /// Values that the request names, and columns of files of examples.
    case context
    /// Products of the user's and the item's factors.
    case product
    /// Shares of the history.
    case shared
    /// Retrieval's fused score and place.
    case retrieval
    /// The score of one source of retrieval.
    case source
    /// Live state; also where it is too old.
    case live

    package var label: String { "\(self)" }
}
