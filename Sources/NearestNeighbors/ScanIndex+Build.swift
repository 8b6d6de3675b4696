import Foundation
import VectorMath

extension ScanIndex {
    /// - Parameter threads: That build; nil takes one for each core. The index is the same whatever the number.
    convenience init(scorer: RowScorer, threads: Int? = nil) {
        let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
        let rowCount = scorer.vectors.rowCount
        let space = ScanSpace(scorer)
        let dimension = space.dimension
        let placed = PlacedRows(scorer, space, threads: threads)

        var order = (0..<UInt32(rowCount)).map { $0 }
        if scorer.metric == .innerProduct {
            let keys = order.map { UInt64(placed.lengths[Int($0)].bitPattern) << 32 | UInt64(~$0) }
            order = keys.sorted(by: >).map { ~UInt32(truncatingIfNeeded: $0) }
        }
        // Rows of like length are grouped by direction, so that a block is passed over, or not, as one.
        RowGrouping(coordinates: placed.coordinates).arrange(
            &order,
            bandRows: scorer.metric == .innerProduct ? RowGrouping.rowsOfLikeLength : RowGrouping.rowsOfAnyLength,
            threads)

        let coarse = (space.coarse + 3) / 4 * 4
        let fine = (space.fine + 3) / 4 * 4
        let rows = order
        let coarseBlocks = CodeBlocks(rowCount: rowCount, dimensions: coarse, threads: threads) { position, target in
            placed.read(Int(rows[position]), axes: 0..<coarse, into: target)
        }
        let fineBlocks =
            fine == 0
            ? nil
            : CodeBlocks(rowCount: rowCount, dimensions: fine, threads: threads) { position, target in
                placed.read(Int(rows[position]), axes: coarse..<coarse + fine, into: target)
            }
        let codes = CodeRows(rowCount: rowCount, dimension: dimension, threads: threads) { position, target in
            space.place(Int(rows[position]), of: scorer, into: target)
        }
        let padded = max(coarseBlocks.blockCount * CodeBlocks.rowsPerBlock, 1)
        let offsets =
            scorer.metric == .l2
            ? FactorMatrix(rowCount: 1, columnCount: padded) { _, target in
                for position in 0..<rowCount {
                    target[position] = Float(-placed.squares[Int(rows[position])] / 2)
                }
            } : nil
        self.init(
            scorer: scorer, space: space,
            bounds: ScoreBounds(coarse: coarseBlocks, fine: fineBlocks, rows: codes, offsets: offsets), order: order,
            lengths: placed.lengths)
    }
}

/// What building needs of each row in the index's space: its length and its coordinates along the axes.
private struct PlacedRows: @unchecked Sendable {
    /// Rounded up.
    let lengths: [Float]
    let squares: [Double]
    /// One row per row, one column per axis.
    let coordinates: FactorMatrix

    init(_ scorer: RowScorer, _ space: ScanSpace, threads: Int) {
        let rowCount = scorer.vectors.rowCount
        let axisCount = max(space.axes.count, 1)
        let coordinates = DenseMatrix(rowCount: rowCount, columnCount: axisCount)
        var squares = [Double](repeating: 0, count: rowCount)
        squares.withUnsafeMutableBufferPointer { squares in
            nonisolated(unsafe) let squares = squares
            // Each range of rows is written by one thread.
            Parallel.forEach(count: rowCount, grain: 2048, threads: threads) { rows in
                let values = UnsafeMutablePointer<Float>.allocate(capacity: space.dimension)
                let projected = UnsafeMutablePointer<Float>.allocate(capacity: axisCount + 16)
                defer {
                    values.deallocate()
                    projected.deallocate()
                }
                for row in rows {
                    space.place(row, of: scorer, into: values)
                    var square = 0.0
                    for i in 0..<space.dimension { square += Double(values[i]) * Double(values[i]) }
                    squares[row] = square
                    if space.axes.count > 0 { space.axes.project(values, into: projected) }
                    let target = coordinates.row(row)
                    for axis in 0..<axisCount { target[axis] = space.axes.count > 0 ? projected[axis] : 0 }
                }
            }
        }
        self.squares = squares
        lengths = squares.map { Float($0.squareRoot()).nextUp }
        self.coordinates = coordinates.sealed()
    }

    /// Writes a row's coordinates along `axes` (zeros past the last) and returns the length of what the axes up to
    /// those leave out.
    func read(_ row: Int, axes: Range<Int>, into target: UnsafeMutablePointer<Float>) -> Float {
        let all = coordinates.base + row * coordinates.stride
        var left = squares[row]
        for axis in 0..<min(axes.upperBound, coordinates.columnCount) { left -= Double(all[axis]) * Double(all[axis]) }
        for axis in axes { target[axis - axes.lowerBound] = axis < coordinates.columnCount ? all[axis] : 0 }
        // What the subtraction may have lost of a row that the axes hold nearly all of.
        return Float((max(left, 0) + 1e-6 * squares[row]).squareRoot())
    }
}
