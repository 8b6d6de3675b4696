import VectorMath

/// Scores every row. The oracle of the approximate index, and the faster choice for small or heavily filtered sets.
///
/// Rows are read in blocks; a block's kernel call reports only rows that can still enter the best `k`, so selection
/// costs next to nothing beside the read of the rows.
package final class ExactIndex: NeighborIndex {
    package var metric: SimilarityMetric { scorer.metric }
    package var rowCount: Int { scorer.rowCount }
    package var dimension: Int { scorer.dimension }

    let scorer: RowScorer

    /// Reads all of `vectors` once, to check them.
    package convenience init(_ vectors: FactorMatrix, metric: SimilarityMetric) throws(IndexBuildError) {
        self.init(scorer: try RowScorer(vectors, metric))
    }

    /// The same over rows of either precision.
    package convenience init(_ rows: RowMatrix, metric: SimilarityMetric) throws(IndexBuildError) {
        self.init(scorer: try RowScorer(rows: rows, metric))
    }

    init(scorer: RowScorer) { self.scorer = scorer }

    /// See `NeighborIndex`; `efSearch` is not used.
    ///
    /// - Complexity: O(rows * dimension), or O(eligible * dimension) when few rows are eligible.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int = 0, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        let base = try validate(query, k: k, efSearch: efSearch, predicate)
        results.removeAll(keepingCapacity: true)
        scratch.top.reset(k: min(k, predicate?.eligibleCount ?? rowCount))
        if scratch.top.k == 0 { return }
        scan(scorer.prepared(base, scratch), 0..<rowCount, predicate, scratch, &scratch.top)
        scratch.top.drain(into: &results)
    }

    /// Rows that a step of at most about 250 microseconds scans on a slow core (2 MiB of factors).
    package var rowsPerStep: Int { max(SearchScratch.blockRows, (2 << 20) * rowCount / max(scorer.rows.byteCount, 1)) }

    /// Offers the rows `range` to `top`: one step of a search that lets others run in between.
    ///
    /// Steps that cover all rows, in any order, leave in `top` what `search` returns.
    package func searchStep(
        _ query: UnsafeBufferPointer<Float>, rows range: Range<Int>, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into top: inout TopK
    ) throws(SearchError) {
        let base = try validate(query, k: 0, efSearch: 0, predicate)
        let range = range.clamped(to: 0..<rowCount)
        if top.k == 0 || range.isEmpty { return }
        scan(scorer.prepared(base, scratch), range, predicate, scratch, &top)
    }

    /// Searches for many queries at once, reading each block of rows once for all of them.
    ///
    /// - Parameters:
    ///   - queries: One query per row.
    ///   - results: Replaced by one list per query, each as `search` gives it.
    package func searchBatch(
        _ queries: FactorMatrix, k: Int, where predicate: RowPredicate? = nil, scratch: SearchScratch,
        into results: inout [[ScoredRow]]
    ) throws(SearchError) {
        for row in 0..<queries.rowCount { _ = try validate(queries.row(row), k: k, efSearch: 0, predicate) }
        let dimension = dimension
        let kept = min(k, predicate?.eligibleCount ?? rowCount)
        results = [[ScoredRow]](repeating: [], count: queries.rowCount)
        if kept == 0 || queries.rowCount == 0 { return }

        // Queries go in groups whose normalised copies and best rows stay in cache beside the block.
        let groupMax = 64
        let prepared = UnsafeMutablePointer<Float>.allocate(capacity: groupMax * dimension)
        defer { prepared.deallocate() }
        for group in stride(from: 0, to: queries.rowCount, by: groupMax) {
            let count = min(groupMax, queries.rowCount - group)
            while scratch.tops.count < count { scratch.tops.append(TopK(k: 0)) }
            for i in 0..<count {
                let query = scorer.prepared(queries.base + (group + i) * queries.stride, scratch)
                (prepared + i * dimension).update(from: query, count: dimension)
                scratch.tops[i].reset(k: kept)
            }
            for start in stride(from: 0, to: rowCount, by: SearchScratch.blockRows) {
                let block = start..<min(start + SearchScratch.blockRows, rowCount)
                for i in 0..<count {
                    scan(prepared + i * dimension, block, predicate, scratch, &scratch.tops[i])
                }
            }
            for i in 0..<count { scratch.tops[i].drain(into: &results[group + i]) }
        }
    }

    /// Offers the eligible rows of `range` to `top`.
    func scan(
        _ query: UnsafePointer<Float>, _ range: Range<Int>, _ predicate: RowPredicate?, _ scratch: SearchScratch,
        _ top: inout TopK
    ) {
        if let predicate, predicate.eligibleCount < rowCount / 8 {
            return gather(query, range, predicate, scratch, &top)
        }
        let rows = scratch.rows
        let scores = scratch.scores
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(start + SearchScratch.blockRows, range.upperBound)
            var hits = scorer.scan(query, start..<end, threshold: top.threshold, rows: rows, scores: scores)
            if hits > 0 {
                if let predicate { hits = keepEligible(rows, scores, hits, predicate) }
                top.push(rows: rows, scores: scores, count: hits)
            }
            start = end
        }
    }

    /// Moves the eligible of `count` rows to the front, in order; returns how many.
    @inline(__always)
    private func keepEligible(
        _ rows: UnsafeMutablePointer<UInt32>, _ scores: UnsafeMutablePointer<Float>, _ count: Int,
        _ predicate: RowPredicate
    ) -> Int {
        var kept = 0
        for i in 0..<count {
            let row = rows[i]
            rows[kept] = row
            scores[kept] = scores[i]
            kept += Int(truncatingIfNeeded: predicate.words[Int(row >> 6)] >> UInt64(row & 63) & 1)
        }
        return kept
    }

    /// Scores only the eligible rows: for predicates that reject most.
    private func gather(
        _ query: UnsafePointer<Float>, _ range: Range<Int>, _ predicate: RowPredicate, _ scratch: SearchScratch,
        _ top: inout TopK
    ) {
        let rows = scratch.rows
        let scores = scratch.scores
        var count = 0
        func flush() {
            scorer.score(query, ids: rows, count: count, into: scores)
            let threshold = top.threshold
            for i in 0..<count where !(scores[i] < threshold) { top.push(row: rows[i], score: scores[i]) }
            count = 0
        }
        for word in range.lowerBound / 64..<(range.upperBound + 63) / 64 {
            var bits = predicate.words[word]
            if word == range.lowerBound / 64 { bits &= .max << UInt64(range.lowerBound % 64) }
            if word == range.upperBound / 64 { bits &= (1 << UInt64(range.upperBound % 64)) - 1 }
            while bits != 0 {
                rows[count] = UInt32(word * 64 + bits.trailingZeroBitCount)
                bits &= bits - 1
                count += 1
                if count == SearchScratch.blockRows { flush() }
            }
        }
        if count > 0 { flush() }
    }
}
