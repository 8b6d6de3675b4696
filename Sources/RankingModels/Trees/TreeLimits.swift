/// What a file of trees may hold. A file beyond a limit is refused with the limit in the message.
package enum TreeLimits {
    package static let fileBytesMax = 256 << 20
    package static let treesMax = 100_000
    /// Of all trees together.
    package static let leavesMax = 1 << 24
    /// Features of a row.
    package static let featuresMax = 1 << 16
    /// Outputs of a row (classes, targets).
    package static let outputsMax = 1024
    /// The highest category of a split, as XGBoost has it.
    package static let categoryMax = 1 << 24 - 1
    /// Bytes of all sets of categories together.
    package static let categoryBytesMax = 64 << 20
    /// Entries of the bitvectors, 12 bytes each; with more of them an ensemble is only walked.
    package static let entriesMax = 1 << 23
    /// Nesting of a UBJSON document.
    package static let depthMax = 64
}
