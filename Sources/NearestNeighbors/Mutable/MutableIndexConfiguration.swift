import VectorMath

/// What a mutable index is made for.
package struct MutableIndexConfiguration: Sendable, Equatable {
    /// Floats of a vector, 1 to 4096.
    package var dimension: Int
    package var metric: SimilarityMetric
    /// How links are chosen; `linkMetric` as for a sealed graph.
    package var parameters: HNSWParameters
    /// Rows it can hold at a time.
    package var capacity: Int
    /// Row numbers that there can be, 0 to this less 1; nil: as many as `capacity`.
    package var rowCount: Int?
    /// Share of dead nodes among those of the graph from which on it is repaired.
    package var tombstoneRatio: Double
    /// Whether each change does its share of a repair that is due. If not, `MutableIndex.repair(steps:)` is to be called.
    package var repairsWithChanges: Bool

    package init(
        dimension: Int, metric: SimilarityMetric, _ parameters: HNSWParameters = HNSWParameters(), capacity: Int,
        rowCount: Int? = nil, tombstoneRatio: Double = 0.1, repairsWithChanges: Bool = true
    ) {
        self.dimension = dimension
        self.metric = metric
        self.parameters = parameters
        self.capacity = capacity
        self.rowCount = rowCount
        self.tombstoneRatio = tombstoneRatio
        self.repairsWithChanges = repairsWithChanges
    }

    /// Largest dimension.
    package static let dimensionMax = 4096

    package func validate() throws(IndexBuildError) {
        func check(_ isGood: Bool, _ text: @autoclosure () -> String) throws(IndexBuildError) {
            if !isGood { throw .invalidParameter(text()) }
        }
        try parameters.validate()
        try check(
            (1...Self.dimensionMax).contains(dimension),
            "the dimension is \(dimension); it is 1 to \(Self.dimensionMax)")
        try check(
            (1...Self.capacityMax).contains(capacity), "the capacity is \(capacity); it is 1 to \(Self.capacityMax)")
        let rows = rowCount ?? capacity
        try check(
            rows >= capacity && rows < Int(UInt32.max),
            "the row count is \(rows); it is \(capacity) (the capacity) or more")
        try check(
            tombstoneRatio >= 0.01 && tombstoneRatio <= 0.5,
            "the tombstone ratio is \(tombstoneRatio); it is 0.01 to 0.5")
    }

    /// With the slots of dead rows, still as many as nodes have numbers.
    private static let capacityMax = 1 << 28

    /// Slots: rows, dead ones that wait for a repair, those of a repair under way, and those that readers may still see.
    var slotCount: Int { capacity + Int(Double(capacity) * 2.5 * tombstoneRatio) + 1024 }
}
