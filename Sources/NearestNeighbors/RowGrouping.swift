import VectorMath

/// Puts rows that point the same way beside each other.
///
/// A band of rows is halved where it is widest along a principal axis, the halves again, down to blocks.
struct RowGrouping {
    /// Rows of falling length that may be put in another order: more make blocks more alike in direction, fewer in length.
    static let rowsOfLikeLength = 2048
    /// The same where length does not matter.
    static let rowsOfAnyLength = 65_536
    private static let firstBandRows = 64

    /// A row's coordinates along the axes.
    let coordinates: FactorMatrix

    /// Axes that are looked at.
    private var axisCount: Int { min(coordinates.columnCount, 16) }

    /// Rearranges each band of `order`. Bands grow from a few blocks to `bandRows`: the first rows set the threshold for
    /// all others, so there the order of lengths counts most.
    ///
    /// - Complexity: O(rows * log(band) * axes).
    func arrange(_ order: inout [UInt32], bandRows: Int, _ threads: Int) {
        guard bandRows > 0, !order.isEmpty else { return }
        let count = order.count
        var starts = [0]
        var length = min(bandRows, Self.firstBandRows)
        while starts[starts.count - 1] + length < count {
            starts.append(starts[starts.count - 1] + length)
            length = min(bandRows, length * 2)
        }
        let bandStarts = starts
        order.withUnsafeMutableBufferPointer { order in
            // Each band is touched by one thread.
            nonisolated(unsafe) let order = order
            Parallel.forEach(count: bandStarts.count, grain: 1, threads: threads) { bands in
                for band in bands {
                    var order = order
                    halve(&order, bandStarts[band]..<(band + 1 < bandStarts.count ? bandStarts[band + 1] : count))
                }
            }
        }
    }

    private func halve(_ order: inout UnsafeMutableBufferPointer<UInt32>, _ range: Range<Int>) {
        guard range.count > CodeBlocks.rowsPerBlock else { return }
        var widest = 0
        var spread = -1.0
        for axis in 0..<axisCount {
            var (sum, squares) = (0.0, 0.0)
            for row in order[range] {
                let value = Double(coordinates.base[Int(row) * coordinates.stride + axis])
                sum += value
                squares += value * value
            }
            let variance = squares / Double(range.count) - sum * sum / Double(range.count * range.count)
            if variance > spread {
                spread = variance
                widest = axis
            }
        }
        func value(_ row: UInt32) -> Float { coordinates.base[Int(row) * coordinates.stride + widest] }
        order[range].sort { (value($0), $0) < (value($1), $1) }
        let blocks = (range.count + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock
        let middle = range.lowerBound + blocks / 2 * CodeBlocks.rowsPerBlock
        halve(&order, range.lowerBound..<middle)
        halve(&order, middle..<range.upperBound)
    }
}
