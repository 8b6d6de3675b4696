import NearestNeighbors
import VectorMath
import Vocabulary

/// An approximate search that was made for a request, kept so that it can be made again exactly.
package struct SampledSearch: Sendable {
    /// How it was made.
    package let plan: SearchPlan
    let index: PlannedIndex
    let query: [Float]
    let limit: Int
    /// The rows that were eligible; nil: all.
    let predicate: RowPredicate?
    /// What it found.
    let rows: [UInt32]

    package init(
        plan: SearchPlan, index: PlannedIndex, query: [Float], limit: Int, predicate: RowPredicate?, rows: [UInt32]
    ) {
        self.plan = plan
        self.index = index
        self.query = query
        self.limit = limit
        self.predicate = predicate
        self.rows = rows
    }

    /// Makes it again, exactly: some hundred microseconds, for a thread that nobody waits for.
    ///
    /// - Returns: How many of the best rows there are, and how many of them had been found.
    package func check() throws -> (found: Int, expected: Int) {
        var exact: [ScoredRow] = []
        try query.withUnsafeBufferPointer {
            try index.scan.search($0, k: limit, where: predicate, scratch: SearchScratch(), into: &exact)
        }
        let best = Set(exact.map(\.row))
        return (rows.count { best.contains($0) }, exact.count)
    }
}
