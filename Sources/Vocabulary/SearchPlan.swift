/// How the nearest rows of a query are found. The raw value is its name in configuration, answers and metrics.
public enum SearchPlan: String, CaseIterable, Hashable, Sendable, Codable {
    /// Bounds over all rows, the true score of those that can still be among the best. Exact.
    case scan
    /// The same over the eligible rows one by one, where few are. Exact.
    case lookUp = "look_up"
    /// A scan that takes only a share of what its bounds prove: faster, and it may miss rows.
    case approximateScan = "approximate_scan"
    /// A walk over the graph; rows that are not eligible are dropped afterwards.
    case walk
    /// A walk that passes through rows that are not eligible and keeps those that are.
    case filteredWalk = "filtered_walk"

    /// Whether the answer may miss rows.
    public var isApproximate: Bool { self == .approximateScan || isWalk }
    /// Whether the graph is used.
    public var isWalk: Bool { self == .walk || self == .filteredWalk }
}
