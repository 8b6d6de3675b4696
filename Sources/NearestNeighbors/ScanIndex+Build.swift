import VectorMath

extension ScanIndex {
    convenience init(scorer: RowScorer) {
        let vectors = scorer.vectors
        let space = ScanSpace(scorer)
        let dimension = space.dimension
        let axes = space.axes
        let coarse = (space.coarse + 3) / 4 * 4
        let fine = (space.fine + 3) / 4 * 4

        // A row's coordinates: the coarse ones, the fine ones; then the row itself.
        let row = UnsafeMutablePointer<Float>.allocate(capacity: dimension)
        let coordinates = UnsafeMutablePointer<Float>.allocate(capacity: coarse + fine + 16)
        defer {
            row.deallocate()
            coordinates.deallocate()
        }
        func place(_ index: UInt32) { space.place(Int(index), of: scorer, into: row) }
        func length(_ vector: UnsafePointer<Float>, _ count: Int) -> Double {
            var square = 0.0
            for i in 0..<count { square += Double(vector[i]) * Double(vector[i]) }
            return square.squareRoot()
        }

        var order = (0..<UInt32(vectors.rowCount)).map { $0 }
        var lengths = [Float](repeating: 0, count: vectors.rowCount)
        for index in order {
            place(index)
            lengths[Int(index)] = Float(length(row, dimension)).nextUp
        }
        if scorer.metric == .innerProduct {
            let keys = order.map { UInt64(lengths[Int($0)].bitPattern) << 32 | UInt64(~$0) }
            order = keys.sorted(by: >).map { ~UInt32(truncatingIfNeeded: $0) }
        }

        /// The coordinates `first..<first + count` in `coordinates`, and the length of what all up to them leave out.
        func project(_ position: Int, upTo count: Int) -> Float {
            place(order[position])
            coordinates.update(repeating: 0, count: coarse + fine)
            axes.project(row, into: coordinates)
            var left = Double(lengths[Int(order[position])]) * Double(lengths[Int(order[position])])
            for i in 0..<min(count, axes.count) { left -= Double(coordinates[i]) * Double(coordinates[i]) }
            // What the subtraction may have lost of a row that the axes hold nearly all of.
            let whole = Double(lengths[Int(order[position])])
            return Float((max(left, 0) + 1e-6 * whole * whole).squareRoot())
        }
        let coarseBlocks = CodeBlocks(rowCount: vectors.rowCount, dimensions: coarse) { position, target in
            let rest = project(position, upTo: coarse)
            target.update(from: coordinates, count: coarse)
            return rest
        }
        let fineBlocks =
            fine == 0
            ? nil
            : CodeBlocks(rowCount: vectors.rowCount, dimensions: fine) { position, target in
                let rest = project(position, upTo: coarse + fine)
                target.update(from: coordinates + coarse, count: fine)
                return rest
            }
        let codes = CodeRows(rowCount: vectors.rowCount, dimension: dimension) { position, target in
            place(order[position])
            target.update(from: row, count: dimension)
        }
        let padded = coarseBlocks.blockCount * CodeBlocks.rowsPerBlock
        let offsets =
            scorer.metric == .l2
            ? FactorMatrix(rowCount: 1, columnCount: max(padded, 1)) { _, target in
                for position in 0..<vectors.rowCount {
                    place(order[position])
                    let long = length(row, dimension)
                    target[position] = Float(-long * long / 2)
                }
            } : nil
        self.init(
            scorer: scorer, space: space,
            bounds: ScoreBounds(coarse: coarseBlocks, fine: fineBlocks, rows: codes, offsets: offsets), order: order,
            lengths: lengths)
    }
}
