import VectorMath
import Vocabulary

/// An exact search that reads a few bytes of most rows, and all of only those that can still be among the best.
///
/// Rows are ordered by falling length (inner product), turned onto their principal axes and held in codes at up to three
/// levels. A row goes on to the next level only while the upper bound of its score reaches the worst of the best `k` so
/// far:
///
/// ```
///  first level    16 rows at once, the first principal coordinates, 8 bits  } bound = codes + rounding
///  second level   the next coordinates, where a row of a block is left      }   + rest by Cauchy-Schwarz
///  third level    all others, 4 bits
///  the factors    the true score, as `ExactIndex` computes it
/// ```
/// Rows of many dimensions have all coordinates in 8 bits, row by row, in place of the third level.
///
/// The answer is that of `ExactIndex`, bit for bit: bounds are proved, not estimated, unless `confidence` is below 1.
///
/// - Note: Norm order after LEMP (Teflioudi et al. 2015), coordinates and integer bounds after FEXIPRO (Li et al. 2017).
package final class ScanIndex: NeighborIndex {
    package var metric: SimilarityMetric { scorer.metric }
    package var rowCount: Int { scorer.rowCount }
    package var dimension: Int { scorer.dimension }

    let scorer: RowScorer
    let space: ScanSpace
    let bounds: ScoreBounds
    let order: ScanOrder

    /// Share of what a row's rest could add that the bounds take; 1 is proved, less may miss rows.
    package let confidence: Float
    /// How far the rows that are scored lie from those of the codes at most, as a share of the longest row from there on.
    let rowDrift: Float

    init(
        scorer: RowScorer, space: ScanSpace, bounds: ScoreBounds, order: ScanOrder, confidence: Float = 1,
        rowDrift: Float = 0
    ) {
        self.scorer = scorer
        self.space = space
        self.bounds = bounds
        self.order = order
        self.confidence = confidence
        self.rowDrift = rowDrift
    }

    /// The same index, whose bounds take only a share of what each row's rest could add: faster, no longer exact.
    package func with(confidence: Float) -> ScanIndex {
        ScanIndex(
            scorer: scorer, space: space, bounds: bounds, order: order, confidence: confidence, rowDrift: rowDrift)
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

    /// The same over rows of either precision; the answer is exact for the rows as they are held.
    package convenience init(
        _ rows: RowMatrix, metric: SimilarityMetric, threads: Int? = nil
    ) throws(IndexBuildError) {
        self.init(scorer: try RowScorer(rows: rows, metric, threads: threads ?? Parallel.coreCount), threads: threads)
    }

    /// Bytes held beside the factors.
    package var byteCount: Int { bounds.byteCount + order.byteCount }

    /// The same, of an index over so many rows by inner product or cosine.
    package static func byteCount(rowCount: Int, dimension: Int) -> Int {
        let blocks = (rowCount + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock
        let levels = ScanSpace.levels(dimension: dimension).reduce(0) {
            $0 + blocks * CodeBlocks.blockBytes($1.dimensions, $1.form)
        }
        let rows =
            dimension > ScanSpace.turnedDimensionMax ? rowCount * (CodeRows.stride(dimension: dimension) + 4) : 0
        return levels + rows + ScanOrder.byteCount(rowCount: rowCount)
    }

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

    /// The rows that are nearest to `row` itself.
    package func search(
        like row: Int, k: Int, where predicate: RowPredicate? = nil, scratch: SearchScratch,
        into results: inout [ScoredRow]
    ) throws(SearchError) {
        precondition(row >= 0 && row < rowCount, "row \(row) is not in 0..<\(rowCount)")
        scratch.reserveQuery(dimension)
        let vector = UnsafeBufferPointer(start: scorer.floats(of: row, scratch.query), count: dimension)
        try search(vector, k: k, where: predicate, scratch: scratch, into: &results)
    }

    /// The same over all rows with a confidence of the caller's.
    func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, confidence: Float, scratch: SearchScratch,
        into results: inout [ScoredRow]
    ) throws(SearchError) {
        results.removeAll(keepingCapacity: true)
        let scan = scratch.scan(for: self)
        try begin(scan, query, k: k, confidence: confidence)
        while !advance(scan, turns: .max, scratch) {}
        scan.top.drain(into: &results)
    }

    // MARK: In steps

    /// Makes `scan` ready to search for `query`.
    package func begin(
        _ scan: RunningScan, _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate? = nil,
        plan: SearchPlan = .scan, confidence: Float? = nil
    ) throws(SearchError) {
        scan.finish()
        scan.awaitFree()
        let base = try validate(query, k: k, efSearch: 0, predicate)
        let eligible = predicate?.eligibleCount ?? rowCount
        scan.top.reset(k: min(k, eligible))
        scan.predicate = eligible == rowCount ? nil : predicate
        scan.nextBlock = 0
        scan.nextTurn = Self.blocksOfFirstTurn
        scan.isDone = scan.top.k == 0
        if scan.isDone { return }
        let confidence = confidence ?? self.confidence
        scan.isExact = confidence == 1
        scan.set(base, confidence: confidence)
        scan.isSparse = plan == .lookUp && scan.predicate != nil
        scan.nextWord = 0
    }

    /// Does up to `turns` turns of at most some 10 microseconds; true when `scan.top` holds the answer.
    package func advance(_ scan: RunningScan, turns: Int, _ scratch: SearchScratch) -> Bool {
        if scan.isDone { return true }
        // The best rows are moved out while they change: through the object each access would be checked.
        var top = scan.lendTop()
        if scan.isSparse, let predicate = scan.predicate {
            lookUp(scan, predicate, turns, scratch, &top)
        } else if let shared = scan.shared {
            readShared(scan, shared, turns, scratch, &top)
        } else {
            read(scan, turns, scratch, &top)
        }
        scan.takeBack(&top)
        return scan.isDone
    }

    /// Turns over the blocks, in their order.
    private func read(_ scan: RunningScan, _ turns: Int, _ scratch: SearchScratch, _ top: inout TopK) {
        let hits = scratch.hits
        let probes = scan.probes
        let predicate = scan.predicate
        let blockCount = order.blockCount
        let length = Float(scan.length)
        var first = scan.nextBlock
        var turns = turns
        while turns > 0 {
            turns -= 1
            let longest = order.lengthsFrom[first]
            let bar = scan.bar(threshold: top.threshold, lengthMax: longest)
            if isOver(bar, length, longest) {
                scan.isDone = true
                return
            }
            let end = min(first + scan.nextTurn, blockCount)
            let count = bounds.scan(probes, blocks: first..<end, threshold: bar, into: hits)
            offer(scan, hits, count, predicate, lengthMax: longest, scratch, &top)
            first = end
            scan.nextTurn = min(scan.nextTurn * 2, Self.blocksPerTurn)
            if end == blockCount {
                scan.isDone = true
                return
            }
        }
        scan.nextBlock = first
    }

    /// Whether no row from here on can reach the bar: none is longer.
    func isOver(_ bar: Float, _ length: Float, _ longest: Float) -> Bool {
        metric == .innerProduct && length * longest < bar
    }

    /// Offers what a turn left in.
    func offer(
        _ scan: RunningScan, _ hits: UnsafeMutablePointer<UInt32>, _ count: Int, _ predicate: RowPredicate?,
        lengthMax: Float, _ scratch: SearchScratch, _ top: inout TopK
    ) {
        var count = count
        if let predicate { count = keepEligible(hits, count, predicate) }
        score(scan, hits, count, lengthMax: lengthMax, scratch, &top)
        top.tighten()
    }

    /// The next eligible rows, where most are not.
    private func lookUp(
        _ scan: RunningScan, _ predicate: RowPredicate, _ turns: Int, _ scratch: SearchScratch, _ top: inout TopK
    ) {
        let rows = scratch.rows
        let wordCount = (rowCount + 63) / 64
        var word = scan.nextWord
        var turns = turns
        while turns > 0, word < wordCount {
            turns -= 1
            var count = 0
            while word < wordCount, count + 64 <= SearchScratch.blockRows {
                var bits = predicate.words[word]
                while bits != 0 {
                    rows[count] = UInt32(truncatingIfNeeded: word * 64 + bits.trailingZeroBitCount)
                    bits &= bits - 1
                    count += 1
                }
                word += 1
            }
            scorer.score(scan.query, ids: rows, count: count, into: scratch.scores)
            top.push(rows: rows, scores: scratch.scores, count: count)
        }
        scan.nextWord = word
        scan.isDone = word == wordCount
    }

    func keepEligible(
        _ hits: UnsafeMutablePointer<UInt32>, _ count: Int, _ predicate: RowPredicate
    ) -> Int {
        let words = predicate.words
        let rows = order.rows
        var kept = 0
        for i in 0..<count {
            let row = rows[Int(hits[i])]
            hits[kept] = hits[i]
            kept += Int(truncatingIfNeeded: words[Int(row >> 6)] >> UInt64(row & 63) & 1)
        }
        return kept
    }

    /// Rows that are scored between two looks at the threshold.
    static let rowsPerPart = 128

    /// Offers those of the rows at `hits` that can still enter.
    private func score(
        _ scan: RunningScan, _ hits: UnsafeMutablePointer<UInt32>, _ count: Int, lengthMax: Float,
        _ scratch: SearchScratch, _ top: inout TopK
    ) {
        let rows = scratch.rows
        let scores = scratch.scores
        let order = order.rows
        var start = 0
        while start < count {
            var part = min(Self.rowsPerPart, count - start)
            let next = start + part
            if bounds.rows != nil {
                let bar = scan.bar(threshold: top.threshold, lengthMax: lengthMax)
                part = bounds.keep(scan.probes, hits + start, count: part, threshold: bar)
            }
            if part > 0 {
                for i in 0..<part { rows[i] = order[Int(hits[start + i])] }
                scorer.score(scan.query, ids: rows, count: part, into: scores)
                top.push(rows: rows, scores: scores, count: part)
            }
            start = next
        }
    }
}
