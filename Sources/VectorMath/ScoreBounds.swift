import CKernels

/// A query ready to be held against the codes of an index.
///
/// It belongs to one search at a time; `set` may be called again and again.
package final class ScoreProbes {
    /// What rounding the query may hide of a score, for each unit of a row's length.
    package private(set) var errorLength = 0.0

    private let levels: UnsafeMutablePointer<CodeProbe>
    /// The same as the kernels take them, with the blocks they go with.
    private let raw: UnsafeMutablePointer<ck_level>
    private let rawProbes: UnsafeMutablePointer<ck_probe>
    private var rows: CodeProbe
    private let bounds: ScoreBounds

    package init(_ bounds: ScoreBounds) {
        self.bounds = bounds
        levels = .allocate(capacity: bounds.levels.count)
        raw = .allocate(capacity: bounds.levels.count)
        rawProbes = .allocate(capacity: bounds.levels.count)
        for (index, blocks) in bounds.levels.enumerated() {
            let probe = CodeProbe(dimensions: blocks.dimensions)
            (levels + index).initialize(to: probe)
            (rawProbes + index).initialize(to: probe.raw)
            (raw + index).initialize(
                to: ck_level(
                    blocks: blocks.block(0), probe: UnsafePointer(rawProbes + index),
                    nibbles: blocks.form == .nibbles ? 1 : 0))
        }
        rows = CodeProbe(dimensions: bounds.rows?.dimension ?? 0)
    }

    deinit {
        for index in 0..<bounds.levels.count { levels[index].deallocate() }
        levels.deallocate()
        raw.deallocate()
        rawProbes.deallocate()
        rows.deallocate()
    }

    /// - Parameters:
    ///   - coordinates: The query along the axes of the levels, in their order; zeros to the end of the last.
    ///   - query: The query as the rows of `CodeRows` are written.
    ///   - length: The length of `query`.
    ///   - confidence: Takes that share of what the rests could add and of what rounding could hide; below 1 the bounds
    ///     may be too low.
    package func set(
        coordinates: UnsafePointer<Float>, query: UnsafePointer<Float>, length: Double, confidence: Float
    ) {
        var left = length * length
        var error = 0.0
        var first = coordinates
        for (index, blocks) in bounds.levels.enumerated() {
            var square = 0.0
            for i in 0..<blocks.dimensions { square += Double(first[i]) * Double(first[i]) }
            left -= square
            // What the subtraction may have lost of a query that the axes hold nearly all of.
            let beyond = max(left, 0) + 1e-6 * length * length
            let rest = confidence * Float((blocks.form == .bytes ? beyond : square).squareRoot())
            error += levels[index].set(
                first, count: blocks.dimensions, against: blocks.rounding, rest: rest, share: confidence)
            rawProbes[index] = levels[index].raw
            first += blocks.dimensions
        }
        if let codes = bounds.rows {
            error = max(
                error, rows.set(query, count: codes.dimension, against: codes.rounding, rest: 0, share: confidence))
        }
        errorLength = error.squareRoot() * Double(confidence)
    }

    /// The positions in `blocks` that pass; see `ScoreBounds.scan`.
    fileprivate func scan(
        _ blocks: Range<Int>, offsets: UnsafePointer<Float>?, threshold: Float,
        into hits: UnsafeMutablePointer<UInt32>
    ) -> Int {
        ck_bounding().pointee.scan(
            raw, bounds.levels.count, offsets, blocks.lowerBound, blocks.upperBound, threshold, hits)
    }

    fileprivate func withRows<Result>(_ body: (UnsafePointer<ck_probe>) -> Result) -> Result {
        withUnsafePointer(to: rows.raw, body)
    }
}

/// The codes of an index's rows, and the kernels that tell which rows can still reach a score.
package struct ScoreBounds: Sendable {
    /// 1 to 3, read one after the other while a row of a block is left in.
    package let levels: [CodeBlocks]
    /// All coordinates row by row, where the levels do not hold them all.
    package let rows: CodeRows?
    /// Added to each row's inner product, by position; room for whole blocks.
    package let offsets: FactorMatrix?
    private let rowCount: Int

    package init(rowCount: Int, levels: [CodeBlocks], rows: CodeRows?, offsets: FactorMatrix?) {
        precondition((1...3).contains(levels.count), "\(levels.count) levels")
        self.rowCount = rowCount
        self.levels = levels
        self.rows = rows
        self.offsets = offsets
    }

    package var byteCount: Int {
        levels.reduce(0) { $0 + $1.byteCount } + (rows?.byteCount ?? 0) + (offsets.map { $0.columnCount * 4 } ?? 0)
    }

    package var blockCount: Int { levels[0].blockCount }

    /// The positions in `blocks` whose bound is not below `threshold`, ascending.
    ///
    /// - Parameter hits: Room for 16 positions per block and 16 more.
    /// - Returns: How many.
    package func scan(
        _ probes: ScoreProbes, blocks: Range<Int>, threshold: Float, into hits: UnsafeMutablePointer<UInt32>
    ) -> Int {
        var count = probes.scan(blocks, offsets: offsets?.base, threshold: threshold, into: hits)
        // Rows that only fill up the last block.
        while count > 0, hits[count - 1] >= rowCount { count -= 1 }
        return count
    }

    /// Keeps those of `count` positions, in place, whose bound from all coordinates is not below `threshold`; all where
    /// there are no codes row by row.
    package func keep(
        _ probes: ScoreProbes, _ positions: UnsafeMutablePointer<UInt32>, count: Int, threshold: Float
    ) -> Int {
        guard let rows else { return count }
        return probes.withRows {
            ck_bounding().pointee.rows(
                rows.codes, rows.stride, rows.scales, offsets?.base, $0, positions, count, threshold, positions)
        }
    }
}
