/// The buckets of every duration histogram: 1, 1.5, 2, 3, 5, 7 in each decade from 1 us to 10 s, and one for the rest.
///
/// The bucket of a value is found by its position in a log-linear grid (8 cells an octave): neighbouring bounds
/// are at least 4/3 apart and a cell spans at most 9/8, so a cell holds at most one bound and one comparison decides.
package enum DurationBuckets {
    /// Upper bounds in nanoseconds, ascending, inclusive; what is longer falls in one more bucket, `le="+Inf"`.
    package static let boundsNanoseconds: [UInt64] = {
        var bounds: [UInt64] = []
        var decade: UInt64 = 1_000
        while decade < 10_000_000_000 {
            for tenths: UInt64 in [10, 15, 20, 30, 50, 70] { bounds.append(decade * tenths / 10) }
            decade *= 10
        }
        bounds.append(decade)
        return bounds
    }()

    /// Buckets of a histogram, the one for the rest included.
    @inlinable package static var count: Int { 44 }

    /// Values beyond the grid are counted in its last cell, which lies beyond the last bound.
    @inlinable package static var gridBits: Int { 35 }
    @inlinable package static var gridCells: Int { (gridBits - 2) << 3 }

    /// The cell of the log-linear grid that holds `value`: for values below 8 the value itself.
    @inlinable
    package static func cell(_ value: UInt64) -> Int {
        if value < 8 { return Int(truncatingIfNeeded: value) }
        let exponent = 63 &- value.leadingZeroBitCount
        if exponent >= gridBits { return gridCells &- 1 }
        let mantissa = Int(truncatingIfNeeded: value &>> UInt64(exponent &- 3)) & 7
        return ((exponent &- 2) &<< 3) | mantissa
    }

    /// Upper bounds in seconds, as the exposition spells them.
    package static let boundsSeconds = boundsNanoseconds.map { "\(Double($0) / 1e9)" }

    private static let grid = makeGrid()

    /// The bucket of a duration in nanoseconds.
    package static func bucket(_ nanoseconds: UInt64) -> Int {
        let bucket = Int(grid[cell(nanoseconds)])
        return bucket < boundsNanoseconds.count && nanoseconds > boundsNanoseconds[bucket] ? bucket + 1 : bucket
    }

    /// The bucket of the smallest value of each cell.
    static func makeGrid() -> [UInt8] {
        precondition(boundsNanoseconds.count + 1 == count, "\(boundsNanoseconds.count) bounds for \(count) buckets")
        return (0..<gridCells).map { cell in
            let smallest: UInt64
            if cell < 8 {
                smallest = UInt64(cell)
            } else {
                let exponent = (cell >> 3) + 2
                smallest = (8 | UInt64(cell & 7)) << UInt64(exponent - 3)
            }
            return UInt8(bucketBySearch(smallest))
        }
    }

    /// The bucket of `value` by its definition; the oracle of the grid.
    package static func bucketBySearch(_ value: UInt64) -> Int {
        boundsNanoseconds.firstIndex { value <= $0 } ?? boundsNanoseconds.count
    }
}
