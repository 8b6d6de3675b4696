import VectorMath
import Vocabulary

/// An exact search that reads a few bytes of most rows, and all of only those that can still be among the best.
///
/// Rows are ordered by falling length (inner product) and held in 8-bit codes at three depths. A row goes on to the next
/// depth only while the upper bound of its score reaches the worst of the best `k` so far:
///
/// ```
///  coarse blocks   16 rows at once, the first principal coordinates   } bound = codes + rounding + rest by Cauchy-Schwarz
///  fine blocks     the next coordinates, where a row of a block is left }
///  coded rows      all coordinates, row by row
///  the factors     the true score, as `ExactIndex` computes it
/// ```
/// The answer is that of `ExactIndex`, bit for bit: bounds are proved, not estimated, unless `confidence` is below 1.
///
/// - Note: Norm order after LEMP (Teflioudi et al. 2015), coordinates and integer bounds after FEXIPRO (Li et al. 2017).
package final class ScanIndex: NeighborIndex {
    package var metric: SimilarityMetric { scorer.metric }
    package var rowCount: Int { scorer.vectors.rowCount }
    package var dimension: Int { scorer.vectors.columnCount }

    let scorer: RowScorer
    let space: ScanSpace
    let bounds: ScoreBounds
    /// Position to row.
    let order: [UInt32]
    /// Row to position.
    let positions: [UInt32]
    /// The longest row from each block on, in the space's units.
    let lengthsFrom: [Float]

    /// Share of what a row's rest could add that the bounds take; 1 is proved, less may miss rows.
    package let confidence: Float

    init(scorer: RowScorer, space: ScanSpace, bounds: ScoreBounds, order: [UInt32], lengths: [Float]) {
        confidence = 1
        self.scorer = scorer
        self.space = space
        self.bounds = bounds
        self.order = order
        var positions = [UInt32](repeating: 0, count: order.count)
        var lengthsFrom = [Float](repeating: 0, count: bounds.coarse.blockCount)
        var longest: Float = 0
        for (position, row) in order.enumerated().reversed() {
            positions[Int(row)] = UInt32(position)
            longest = max(longest, lengths[Int(row)])
            lengthsFrom[position / CodeBlocks.rowsPerBlock] = longest
        }
        self.positions = positions
        self.lengthsFrom = lengthsFrom
    }

    /// The same index, whose bounds take only a share of what each row's rest could add: faster, no longer exact.
    package func with(confidence: Float) -> ScanIndex { ScanIndex(self, confidence: confidence) }

    private init(_ other: ScanIndex, confidence: Float) {
        scorer = other.scorer
        space = other.space
        bounds = other.bounds
        order = other.order
        positions = other.positions
        lengthsFrom = other.lengthsFrom
        self.confidence = confidence
    }

    /// Blocks between two looks at the threshold.
    static let blocksPerTurn = 64
    static let blocksOfFirstTurn = 8
    /// With fewer eligible rows than one in so many, `search` looks them up one by one.
    static let sparsity = 12

    /// Reads all of `vectors`, a few times.
    ///
    /// - Parameter threads: That build; nil takes one for each core. The index is the same whatever the number.
    /// - Throws: `vectorNotFinite` for the first such row.
    package convenience init(
        _ vectors: FactorMatrix, metric: SimilarityMetric, threads: Int? = nil
    ) throws(IndexBuildError) {
        self.init(scorer: try RowScorer(vectors, metric), threads: threads)
    }

    /// Bytes held beside the factors.
    package var byteCount: Int { bounds.byteCount + (order.count + positions.count) * 4 + lengthsFrom.count * 4 }

    /// See `NeighborIndex`; `efSearch` is not used.
    ///
    /// - Complexity: O(rows) at worst; a small part of that where lengths or principal coordinates tell rows apart.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int = 0, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        let eligible = predicate?.eligibleCount ?? rowCount
        let plan = eligible * Self.sparsity < rowCount ? SearchPlan.lookUp : .scan
        try search(query, k: k, where: predicate, plan: plan, scratch: scratch, into: &results)
    }

    /// The same by a plan of the caller's: `scan` or `lookUp`.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate?, plan: SearchPlan,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        results.removeAll(keepingCapacity: true)
        let scan = scratch.scan(for: self)
        try begin(scan, query, k: k, where: predicate, plan: plan)
        while !advance(scan, turns: .max, scratch) {}
        scan.top.drain(into: &results)
    }

    // MARK: In steps

    /// Makes `scan` ready to search for `query`.
    package func begin(
        _ scan: RunningScan, _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate? = nil,
        plan: SearchPlan = .scan
    ) throws(SearchError) {
        let base = try validate(query, k: k, efSearch: 0, predicate)
        let eligible = predicate?.eligibleCount ?? rowCount
        scan.top.reset(k: min(k, eligible))
        scan.predicate = eligible == rowCount ? nil : predicate
        scan.nextBlock = 0
        scan.nextTurn = Self.blocksOfFirstTurn
        scan.isDone = scan.top.k == 0
        if scan.isDone { return }
        scan.set(base, confidence: confidence)
        scan.isSparse = plan == .lookUp && scan.predicate != nil
        scan.nextWord = 0
    }

    /// Does up to `turns` turns of at most some 10 microseconds; true when `scan.top` holds the answer.
    package func advance(_ scan: RunningScan, turns: Int, _ scratch: SearchScratch) -> Bool {
        var turns = turns
        while !scan.isDone, turns > 0 {
            if scan.isSparse { lookUp(scan, scratch) } else { turn(scan, scratch) }
            turns -= 1
        }
        return scan.isDone
    }

    /// Ends several scans together, turn by turn: what one reads of the codes, the others find in the nearest caches.
    ///
    /// Worth it where the codes do not fit there; each scan's answer is the one it would have had alone.
    package func finish(_ scans: [RunningScan], _ scratch: SearchScratch) {
        var isOpen = true
        while isOpen {
            isOpen = false
            for scan in scans where !advance(scan, turns: 1, scratch) { isOpen = true }
        }
    }

    private func turn(_ scan: RunningScan, _ scratch: SearchScratch) {
        let first = scan.nextBlock
        let end = min(first + scan.nextTurn, lengthsFrom.count)
        let longest = lengthsFrom[first]
        let bar = scan.bar(lengthMax: longest)
        // No later row is longer: none can reach the bar.
        if metric == .innerProduct, Float(scan.length) * longest < bar {
            scan.isDone = true
            return
        }
        let hits = scratch.hits
        var count = bounds.scan(scan.probes, blocks: first..<end, threshold: bar, into: hits)
        if let predicate = scan.predicate { count = keepEligible(hits, count, predicate) }
        score(scan, hits, count, lengthMax: longest, scratch)
        scan.top.tighten()
        scan.nextBlock = end
        scan.nextTurn = min(scan.nextTurn * 2, Self.blocksPerTurn)
        scan.isDone = end == lengthsFrom.count
    }

    /// The next eligible rows, where most are not.
    private func lookUp(_ scan: RunningScan, _ scratch: SearchScratch) {
        guard let predicate = scan.predicate else {
            scan.isDone = true
            return
        }
        let hits = scratch.hits
        let wordCount = (rowCount + 63) / 64
        var count = 0
        while scan.nextWord < wordCount, count + 64 <= Self.blocksPerTurn * CodeBlocks.rowsPerBlock {
            var bits = predicate.words[scan.nextWord]
            while bits != 0 {
                hits[count] = positions[scan.nextWord * 64 + bits.trailingZeroBitCount]
                bits &= bits - 1
                count += 1
            }
            scan.nextWord += 1
        }
        score(scan, hits, count, lengthMax: lengthsFrom[0], scratch)
        scan.top.tighten()
        scan.isDone = scan.nextWord == wordCount
    }

    private func keepEligible(
        _ hits: UnsafeMutablePointer<UInt32>, _ count: Int, _ predicate: RowPredicate
    ) -> Int {
        order.withUnsafeBufferPointer { order in
            var kept = 0
            for i in 0..<count {
                let row = order[Int(hits[i])]
                hits[kept] = hits[i]
                kept += Int(truncatingIfNeeded: predicate.words[Int(row >> 6)] >> UInt64(row & 63) & 1)
            }
            return kept
        }
    }

    /// Rows whose coded bound is looked at between two looks at the threshold.
    private static let rowsPerPart = 128

    /// Offers those of the rows at `hits` that can still enter.
    private func score(
        _ scan: RunningScan, _ hits: UnsafeMutablePointer<UInt32>, _ count: Int, lengthMax: Float,
        _ scratch: SearchScratch
    ) {
        let rows = scratch.rows
        let scores = scratch.scores
        var start = 0
        while start < count {
            let part = min(Self.rowsPerPart, count - start)
            let kept = bounds.keep(scan.probes, hits + start, count: part, threshold: scan.bar(lengthMax: lengthMax))
            if kept > 0 {
                for i in 0..<kept { rows[i] = order[Int(hits[start + i])] }
                scorer.score(scan.query, ids: rows, count: kept, into: scores)
                scan.top.push(rows: rows, scores: scores, count: kept)
            }
            start += part
        }
    }
}
