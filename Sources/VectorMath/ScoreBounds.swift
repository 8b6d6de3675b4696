import CKernels

/// A query ready to be held against the codes of an index: coarse and fine coordinates, and all of them.
///
/// It belongs to one search at a time; `set` may be called again and again.
package final class ScoreProbes {
    private var coarse: CodeProbe
    private var fine: CodeProbe
    private var rows: CodeProbe

    package init(coarse: Int, fine: Int, dimension: Int) {
        self.coarse = CodeProbe(dimensions: coarse)
        self.fine = CodeProbe(dimensions: fine)
        rows = CodeProbe(dimensions: dimension)
    }

    deinit {
        coarse.deallocate()
        fine.deallocate()
        rows.deallocate()
    }

    /// - Parameters:
    ///   - coordinates: The query along the axes of the blocks: the coarse ones, then the fine ones.
    ///   - query: The query as the rows of `codes` are written.
    ///   - length: The length of `query`.
    ///   - confidence: Takes that share of what the rests could add; below 1 the bounds may be too low.
    package func set(
        coordinates: UnsafePointer<Float>, query: UnsafePointer<Float>, length: Double, bounds: ScoreBounds,
        confidence: Float
    ) {
        var left = length * length
        func rest(after first: Int, _ count: Int) -> Float {
            for i in first..<first + count { left -= Double(coordinates[i]) * Double(coordinates[i]) }
            // What the subtraction may have lost of a query that the axes hold nearly all of.
            return confidence * Float((max(left, 0) + 1e-6 * length * length).squareRoot())
        }
        let coarseCount = bounds.coarse.dimensions
        coarse.set(
            coordinates, count: coarseCount, against: bounds.coarse.rounding, rest: rest(after: 0, coarseCount))
        if let blocks = bounds.fine {
            fine.set(
                coordinates + coarseCount, count: blocks.dimensions, against: blocks.rounding,
                rest: rest(after: coarseCount, blocks.dimensions))
        }
        rows.set(query, count: bounds.rows.dimension, against: bounds.rows.rounding, rest: 0)
    }

    fileprivate func withRaw<Result>(
        _ body: (UnsafePointer<ck_probe>, UnsafePointer<ck_probe>, UnsafePointer<ck_probe>) -> Result
    ) -> Result {
        withUnsafePointer(to: coarse.raw) { a in
            withUnsafePointer(to: fine.raw) { b in
                withUnsafePointer(to: rows.raw) { c in body(a, b, c) }
            }
        }
    }
}

/// The codes of an index's rows, and the kernels that tell which rows can still reach a score.
package struct ScoreBounds: Sendable {
    package let coarse: CodeBlocks
    /// Further coordinates of the same blocks.
    package let fine: CodeBlocks?
    package let rows: CodeRows
    /// Added to each row's inner product, by position; room for whole blocks.
    package let offsets: FactorMatrix?

    package init(coarse: CodeBlocks, fine: CodeBlocks?, rows: CodeRows, offsets: FactorMatrix?) {
        self.coarse = coarse
        self.fine = fine
        self.rows = rows
        self.offsets = offsets
    }

    package var byteCount: Int {
        coarse.byteCount + (fine?.byteCount ?? 0) + rows.byteCount + (offsets.map { $0.columnCount * 4 } ?? 0)
    }

    /// The positions in `blocks` whose bound is not below `threshold`, ascending.
    ///
    /// - Parameter hits: Room for 16 positions per block and 16 more.
    /// - Returns: How many.
    package func scan(
        _ probes: ScoreProbes, blocks: Range<Int>, threshold: Float, into hits: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let first = blocks.lowerBound * CodeBlocks.rowsPerBlock
        var count = probes.withRaw { a, b, _ in
            ck_bounding().pointee.scan(
                coarse.block(blocks.lowerBound), a, fine?.block(blocks.lowerBound), b, offsets.map { $0.base + first },
                blocks.count, threshold, UInt32(first), hits)
        }
        // Rows that only fill up the last block.
        while count > 0, hits[count - 1] >= rows.rowCount { count -= 1 }
        return count
    }

    /// Keeps those of `count` positions, in place, whose bound from all coordinates is not below `threshold`.
    package func keep(
        _ probes: ScoreProbes, _ positions: UnsafeMutablePointer<UInt32>, count: Int, threshold: Float
    ) -> Int {
        probes.withRaw { _, _, c in
            ck_bounding().pointee.rows(
                rows.codes, rows.stride, rows.scales, offsets?.base, c, positions, count, threshold, positions)
        }
    }
}
