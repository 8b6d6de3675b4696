import Synchronization
import VectorMath

extension ScanIndex {
    /// What rounding to half precision moves a row by, and under cosine its length again, is half of this.
    private static let rowDriftMax: Float = 0x1p-9

    /// The same codes over the same rows in another precision, by which searches score; the answer is exact for those.
    ///
    /// Bounds were proved for the rows that the codes were made of. How far each of the new rows lies from the old one is
    /// measured here, and every bound allows for the most there was (`RunningScan.bar`).
    ///
    /// - Returns: Nil where a row moved too far, as very short ones may: make an index of the rows themselves.
    package func scored(by rows: RowMatrix, threads: Int) throws(IndexBuildError) -> ScanIndex? {
        precondition(
            rows.rowCount == rowCount && rows.columnCount == dimension,
            "\(rows.rowCount) x \(rows.columnCount) for \(rowCount) x \(dimension)")
        precondition(rowDrift == 0, "the rows were rounded before")
        let new = try RowScorer(rows: rows, metric, threads: threads)
        let drift = drift(to: new, threads: threads)
        guard drift <= Self.rowDriftMax else { return nil }
        return ScanIndex(
            scorer: new, space: space, bounds: bounds, order: order, confidence: confidence, rowDrift: drift)
    }

    private func drift(to new: RowScorer, threads: Int) -> Float {
        let most = Mutex(0.0)
        Parallel.forEach(count: rowCount, grain: 4096, threads: threads) { positions in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * dimension) { room in
                guard let old = room.baseAddress else { return }
                let moved = old + dimension
                var share = 0.0
                for position in positions {
                    let row = Int(order.rows[position])
                    space.place(row, of: scorer, into: old)
                    space.place(row, of: new, into: moved)
                    var square = 0.0
                    for i in 0..<dimension {
                        let difference = Double(moved[i]) - Double(old[i])
                        square += difference * difference
                    }
                    if square == 0 { continue }
                    share = max(
                        share, square.squareRoot() / Double(order.lengthsFrom[position / CodeBlocks.rowsPerBlock]))
                }
                most.withLock { $0 = max($0, share) }
            }
        }
        return Float(most.withLock { $0 }).nextUp
    }
}
