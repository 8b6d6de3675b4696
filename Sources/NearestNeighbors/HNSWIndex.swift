import VectorMath

/// A hierarchical navigable small world graph over the rows of a matrix.
///
/// It keeps links only; vectors stay where they are. Searching is lock-free and safe from any number of threads, each
/// with its own scratch. It walks whatever that costs: `SearchPlanner` decides where a scan is the better way.
///
/// Under inner product over factors with uneven norms, links chosen by inner product miss rows of low norm at any breadth:
/// see `HNSWParameters.linkMetric`, and measure the recall against `ExactIndex` on the data.
///
/// - Note: Malkov & Yashunin 2018, arXiv:1603.09320.
package final class HNSWIndex: NeighborIndex {
    package var metric: SimilarityMetric { scorer.metric }
    package var rowCount: Int { scorer.rowCount }
    package var dimension: Int { scorer.dimension }
    package let parameters: HNSWParameters

    let scorer: RowScorer
    let graph: HNSWGraph
    let exact: ExactIndex
    /// What a walk reads of the rows. But for the rows themselves, the best it finds are scored again by those.
    private let walkRows: WalkRows

    /// - Parameter graphRows: What walks are to read; see `WalkRows` for where something else is taken.
    init(scorer: RowScorer, graph: HNSWGraph, parameters: HNSWParameters, graphRows: GraphRows = .auto) {
        self.scorer = scorer
        self.graph = graph
        self.parameters = parameters
        self.exact = ExactIndex(scorer: scorer)
        walkRows = WalkRows(graphRows, of: scorer, over: graph, threads: Parallel.coreCount)
    }

    /// The same graph over the same rows in another precision.
    package func scored(by rows: RowMatrix, graphRows: GraphRows = .auto) throws(IndexBuildError) -> HNSWIndex {
        precondition(
            rows.rowCount == rowCount && rows.columnCount == dimension,
            "\(rows.rowCount) x \(rows.columnCount) for \(rowCount) x \(dimension)")
        return HNSWIndex(
            scorer: try RowScorer(rows: rows, metric), graph: graph, parameters: parameters, graphRows: graphRows)
    }

    /// The same graph over the same rows, whose walks read something else of them.
    package func walking(by graphRows: GraphRows) -> HNSWIndex {
        HNSWIndex(scorer: scorer, graph: graph, parameters: parameters, graphRows: graphRows)
    }

    /// What walks read of the rows: never `auto`.
    package var graphRows: GraphRows { walkRows.kind }

    /// Bytes of the graph and of what its walks read, without the vectors.
    package var graphByteCount: Int { graph.byteCount + walkRows.byteCount }

    /// About the same, of a graph over so many rows by inner product: nodes climb a layer with a chance of one in `m`.
    package static func graphByteCount(rowCount: Int, dimension: Int, m: Int = HNSWParameters().m) -> Int {
        let above = Double(rowCount) / Double(max(2, m) - 1)
        let links =
            rowCount * HNSWLayer.stride(links: 2 * m) * 4 + Int(above) * (HNSWLayer.stride(links: m) + 2) * 4
        return links + WalkRows.byteCount(rowCount: rowCount, dimension: dimension)
    }

    /// Layers of the graph.
    package var layerCount: Int { graph.layers.count }

    /// Returns the rows whose vectors are nearest to `query`, by a walk, or by a scan where the walk found too few.
    ///
    /// - Parameters:
    ///   - query: `dimension` finite floats, not normalised.
    ///   - k: Neighbours wanted.
    ///   - efSearch: Candidates kept on the walk; `k` if that is more. Recall and cost grow with it.
    ///   - predicate: Rows that may be returned; rows it rejects may still be walked through.
    /// - Complexity: O(efSearch * m0 * dimension) expected; allocates nothing once `scratch` and `results` are warm.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        if try walk(query, k: k, efSearch: efSearch, where: predicate, scratch: scratch, into: &results) { return }
        // The walk ended in a part of the graph with too few eligible rows.
        try exact.search(query, k: k, where: predicate, scratch: scratch, into: &results)
    }

    /// A walk of the breadth `efSearch`, and no more.
    ///
    /// - Parameter dropping: Walks as if all rows were eligible, for as many more rows as are not, and drops those; else
    ///   the walk passes through rows that are not eligible and keeps the others.
    /// - Returns: Whether as many rows were found as there are to find.
    @discardableResult
    package func walk(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, where predicate: RowPredicate? = nil,
        dropping: Bool = false, scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) -> Bool {
        let base = try validate(query, k: k, efSearch: efSearch, predicate)
        results.removeAll(keepingCapacity: true)
        let eligible = predicate?.eligibleCount ?? rowCount
        let wanted = min(k, eligible)
        if wanted == 0 { return true }
        let prepared = scorer.prepared(base, scratch)
        if dropping, let predicate {
            let more = wanted + rowCount - eligible
            walk(prepared, more, max(efSearch, more), nil, scratch, &results)
            results.removeAll { !HNSWWalk.isSet(predicate.words, $0.row) }
            if results.count > wanted { results.removeLast(results.count - wanted) }
        } else {
            walk(prepared, wanted, max(efSearch, wanted), predicate, scratch, &results)
        }
        return results.count == wanted
    }

    private func walk(
        _ query: UnsafePointer<Float>, _ wanted: Int, _ ef: Int, _ predicate: RowPredicate?, _ scratch: SearchScratch,
        _ results: inout [ScoredRow]
    ) {
        let walk: HNSWWalk
        switch walkRows {
        case .own: walk = HNSWWalk(scorer: scorer, scratch: scratch)
        case .halves(let halves): walk = HNSWWalk(scorer: scorer, scratch: scratch, halves: halves)
        case .codes(let codes): walk = HNSWWalk(scorer: scorer, scratch: scratch, codes: codes, query: query)
        }
        let entry = walk.descend(
            query, layers: graph.layers, entry: graph.entry, from: graph.layers.count - 1, to: 0)
        var found: Int
        if let predicate, predicate.eligibleCount < rowCount {
            let poolMax = min(rowCount, max(4096, 4 * ef))
            found = walk.search(
                query, layer: graph.layers[0], entry: entry, ef: ef, poolMax: poolMax, eligible: predicate.words)
        } else {
            found = walk.search(query, layer: graph.layers[0], entry: entry, ef: ef)
        }
        results.reserveCapacity(wanted)
        guard let again = walkRows.scoredAgain(for: wanted, ef: ef) else {
            for i in 0..<found where results.count < wanted {
                let key = scratch.pool[i]
                if PoolKey.isRejected(key) { continue }
                results.append(ScoredRow(row: PoolKey.node(key), score: PoolKey.score(key)))
            }
            return
        }
        scratch.top.reset(k: wanted)
        let rows = scratch.rows
        var count = 0
        func scoreAgain() {
            scorer.score(query, ids: rows, count: count, into: scratch.scores)
            scratch.top.push(rows: rows, scores: scratch.scores, count: count)
            count = 0
        }
        var left = again
        for i in 0..<found where left > 0 {
            let key = scratch.pool[i]
            if PoolKey.isRejected(key) { continue }
            rows[count] = PoolKey.node(key)
            scorer.prefetch(rows[count])
            count += 1
            left -= 1
            if count == SearchScratch.blockRows { scoreAgain() }
        }
        if count > 0 { scoreAgain() }
        scratch.top.drain(into: &results)
    }
}
