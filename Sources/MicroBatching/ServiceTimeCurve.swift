/// What a batch costs, `fixed + perRow * rows`, learned from the batches that were measured.
///
/// Durations of batches have long tails: the system takes the core away in the middle. So each size keeps its last costs and
/// stands for their median, and a line is laid through the sizes by least squares of relative errors. Up to seven of the last
/// fifteen batches of a size may be as wrong as they like.
///
/// Sizes are octaves of rows. One that has not been seen for `forgottenAfter` batches does not count while others do.
package struct ServiceTimeCurve: Sendable {
    /// Nanoseconds of a batch, however small.
    package private(set) var fixed: Double = 0
    /// Nanoseconds of each row.
    package private(set) var perRow: Double = 0
    /// Whether batches of two sizes were measured often enough lately to tell the fixed part from the rows'.
    package private(set) var isSettled = false
    /// Batches that were measured.
    package private(set) var batches = 0

    static let keptOfEach = 15
    static let forgottenAfter = 4096
    /// Batches of a size that make it known.
    static let settledAfter = 5
    /// After the first ones, the line is laid anew with every eighth batch.
    private static let refitEvery = 8

    /// The last batches of one octave of rows.
    private struct Size {
        var rows: [Double] = []
        var costs: [Double] = []
        var next = 0
        var seen = 0
        /// The middle of the octave as it occurs, and the median cost of a row there.
        var point: (rows: Double, cost: Double) = (0, 0)

        mutating func take(_ row: Double, _ cost: Double, at number: Int) {
            if rows.count < keptOfEach {
                rows.append(row)
                costs.append(cost / row)
            } else {
                rows[next] = row
                costs[next] = cost / row
            }
            next = (next + 1) % keptOfEach
            seen = number
            let mean = rows.reduce(0, +) / Double(rows.count)
            point = (mean, costs.sorted()[costs.count / 2] * mean)
        }
    }

    private var sizes = [Size](repeating: Size(), count: 24)

    package init() {}

    /// Learns from a batch.
    ///
    /// - Complexity: O(1): a sort of fifteen numbers, now and then a sum over two dozen sizes.
    package mutating func record(rows: Int, nanoseconds: UInt64) {
        guard rows > 0 else { return }
        batches += 1
        let size = min(rows.bitWidth - 1 - rows.leadingZeroBitCount, sizes.count - 1)
        sizes[size].take(Double(rows), Double(max(nanoseconds, 1)), at: batches)
        if batches <= 64 || batches % Self.refitEvery == 0 { fit() }
    }

    private mutating func fit() {
        // Relative errors: each point counts by the inverse square of its cost.
        var (w, wr, wrr, wc, wrc) = (0.0, 0.0, 0.0, 0.0, 0.0)
        var points = 0
        var known = 0
        for size in sizes where !size.rows.isEmpty && batches - size.seen < Self.forgottenAfter {
            let (rows, cost) = size.point
            let weight = 1 / (cost * cost)
            w += weight
            wr += weight * rows
            wrr += weight * rows * rows
            wc += weight * cost
            wrc += weight * rows * cost
            points += 1
            if size.rows.count >= Self.settledAfter { known += 1 }
        }
        isSettled = known > 1
        let spread = w * wrr - wr * wr
        if points > 1, spread > 0 {
            perRow = (w * wrc - wr * wc) / spread
            fixed = (wc - perRow * wr) / w
        }
        // Of one size alone, nothing tells the two parts from each other: all is taken to be the rows'.
        if points == 1 || fixed < 0 {
            fixed = 0
            perRow = wrc / wrr
        } else if perRow < 0 {
            perRow = 0
            fixed = wc / w
        }
    }

    /// What a batch of so many rows will probably take, in nanoseconds; 0 before the first one was measured.
    package func cost(rows: Int) -> UInt64 {
        let cost = fixed + perRow * Double(rows)
        return cost < 1e18 ? UInt64(cost) : UInt64(1e18)
    }

    /// The largest batch that takes no longer; nil before the first one was measured. May be 0.
    package func rows(within nanoseconds: UInt64) -> Int? {
        guard batches > 0 else { return nil }
        let left = Double(nanoseconds) - fixed
        guard left > 0 else { return 0 }
        return perRow > 0 ? Int(min(left / perRow, 1e9)) : 1_000_000_000
    }
}
