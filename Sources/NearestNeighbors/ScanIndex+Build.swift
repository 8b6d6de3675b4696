import VectorMath

extension ScanIndex {
    /// - Parameter threads: That build; nil takes one for each core. The index is the same whatever the number.
    convenience init(scorer: RowScorer, threads: Int? = nil) {
        let threads = threads ?? Parallel.coreCount
        let rowCount = scorer.rowCount
        let space = ScanSpace(scorer)
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

        let rows = order
        let levels = space.levels.map { level in
            CodeBlocks(rowCount: rowCount, dimensions: level.dimensions, form: level.form, threads: threads) {
                position, target in
                placed.read(Int(rows[position]), level, into: target)
            }
        }
        let codes =
            space.isWhole
            ? nil
            : CodeRows(rowCount: rowCount, dimension: space.dimension, threads: threads) { position, target in
                space.place(Int(rows[position]), of: scorer, into: target)
            }
        let padded = max(levels[0].blockCount * CodeBlocks.rowsPerBlock, 1)
        let offsets =
            scorer.metric == .l2
            ? FactorMatrix(rowCount: 1, columnCount: padded) { _, target in
                for position in 0..<rowCount {
                    target[position] = Float(-placed.squares[Int(rows[position])] / 2)
                }
            } : nil
        self.init(
            scorer: scorer, space: space,
            bounds: ScoreBounds(rowCount: rowCount, levels: levels, rows: codes, offsets: offsets),
            order: ScanOrder(order, lengths: placed.lengths))
    }
}

/// What building needs of each row in the index's space: its length and its first coordinates along the axes.
private struct PlacedRows: @unchecked Sendable {
    /// Rounded up.
    let lengths: [Float]
    let squares: [Double]
    /// One row per row, one column per axis of the first level.
    let coordinates: FactorMatrix
    private let scorer: RowScorer
    private let space: ScanSpace

    init(_ scorer: RowScorer, _ space: ScanSpace, threads: Int) {
        self.scorer = scorer
        self.space = space
        let rowCount = scorer.rowCount
        let axes = space.levels[0].axes
        let coordinates = DenseMatrix(rowCount: rowCount, columnCount: max(axes.count, 1))
        var squares = [Double](repeating: 0, count: rowCount)
        squares.withUnsafeMutableBufferPointer { squares in
            nonisolated(unsafe) let squares = squares
            // Each range of rows is written by one thread.
            Parallel.forEach(count: rowCount, grain: 2048, threads: threads) { rows in
                let values = UnsafeMutablePointer<Float>.allocate(capacity: space.dimension)
                let projected = UnsafeMutablePointer<Float>.allocate(capacity: axes.count + 16)
                defer {
                    values.deallocate()
                    projected.deallocate()
                }
                for row in rows {
                    space.place(row, of: scorer, into: values)
                    var square = 0.0
                    for i in 0..<space.dimension { square += Double(values[i]) * Double(values[i]) }
                    squares[row] = square
                    space.axes.project(values, axes, into: projected)
                    let target = coordinates.row(row)
                    for axis in axes { target[axis] = projected[axis] }
                }
            }
        }
        self.squares = squares
        lengths = squares.map { Float($0.squareRoot()).nextUp }
        self.coordinates = coordinates.sealed()
    }

    /// Writes a row's coordinates along the axes of `level` (zeros past the last) and returns the length of what the axes
    /// up to those leave out.
    func read(_ row: Int, _ level: ScanSpace.Level, into target: UnsafeMutablePointer<Float>) -> Float {
        let kept = coordinates.base + row * coordinates.stride
        target.update(repeating: 0, count: level.dimensions)
        if level.axes.upperBound <= coordinates.columnCount {
            for axis in level.axes { target[axis - level.axes.lowerBound] = kept[axis] }
        } else {
            withUnsafeTemporaryAllocation(of: Float.self, capacity: space.dimension + level.axes.count + 16) { room in
                guard let values = room.baseAddress else { return }
                let projected = values + space.dimension
                space.place(row, of: scorer, into: values)
                space.axes.project(values, level.axes, into: projected)
                target.update(from: projected, count: level.axes.count)
            }
        }
        guard level.form == .bytes else { return 0 }
        var left = squares[row]
        for axis in 0..<min(level.axes.lowerBound, coordinates.columnCount) {
            left -= Double(kept[axis]) * Double(kept[axis])
        }
        for i in 0..<level.axes.count { left -= Double(target[i]) * Double(target[i]) }
        // What the subtraction may have lost of a row that the axes hold nearly all of.
        return Float((max(left, 0) + 1e-6 * squares[row]).squareRoot())
    }
}
