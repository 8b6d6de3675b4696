import VectorMath

extension MutableIndex {
    /// Returns the rows whose vectors are nearest to `query`, by a walk, or by a scan where that is cheaper or the walk
    /// found too few.
    ///
    /// - Parameters:
    ///   - query: `dimension` finite floats, not normalised.
    ///   - k: Neighbours wanted. There are fewer only where fewer rows are in the index and eligible.
    ///   - efSearch: Candidates kept on the walk; `k` if that is more. Recall and cost grow with it.
    ///   - predicate: Rows (not slots) that may be returned, over `rowCount` rows; others may still be walked through.
    /// - Complexity: O(efSearch * m0 * dimension) expected; allocates nothing once `scratch` and `results` are warm.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        let base = try validate(query, k: k, efSearch: efSearch, predicate)
        results.removeAll(keepingCapacity: true)
        let rows = liveCount
        let eligible = min(predicate?.eligibleCount ?? rows, rows)
        let wanted = min(k, eligible)
        if wanted == 0 { return }
        let reader = scratch.reader(of: epochs)
        reader.enter()
        defer { reader.leave() }
        let prepared = storage.scorer.prepared(base, scratch)
        let ef = max(efSearch, wanted)
        if !scans(eligible, of: rows, ef, predicate) {
            walk(prepared, wanted, ef, predicate, scratch, &results)
            if results.count == wanted { return }
        }
        results.removeAll(keepingCapacity: true)
        scan(prepared, wanted, predicate, scratch, &results)
    }

    /// Whether to score all eligible rows: a walk that passes through all others would score as many.
    private func scans(_ eligible: Int, of rows: Int, _ ef: Int, _ predicate: RowPredicate?) -> Bool {
        predicate != nil && Double(eligible) * Double(eligible) < 8 * Double(ef) * Double(rows)
    }

    private func walk(
        _ query: UnsafePointer<Float>, _ wanted: Int, _ ef: Int, _ predicate: RowPredicate?, _ scratch: SearchScratch,
        _ results: inout [ScoredRow]
    ) {
        // In this order: an entry is never beyond the mark that is read after it.
        guard let entry = storage.entry else { return }
        let mark = storage.mark.load(ordering: .acquiring)
        let halves = storage.halvesHold.load(ordering: .relaxed) ? storage.halves : nil
        let walk = HNSWWalk(scorer: storage.scorer, scratch: scratch, halves: halves)
        let layers = storage.graph.layers
        let start = walk.descend(
            query, layers: layers, entry: entry.node, from: entry.level, to: 0,
            links: SharedLinks(rowLimit: UInt32(mark)))
        let poolMax = min(mark, max(4096, 4 * ef))
        let found: Int
        if let predicate {
            found = walk.search(
                query, layer: layers[0], nodeCount: mark, entry: start, ef: ef, poolMax: poolMax,
                filter: EligibleSlots(
                    live: MarkedRows(words: storage.live), rowOf: storage.rowOf,
                    eligible: MarkedRows(words: predicate.words)))
        } else {
            found = walk.search(
                query, layer: layers[0], nodeCount: mark, entry: start, ef: ef, poolMax: poolMax,
                filter: MarkedRows(words: storage.live))
        }
        scratch.top.reset(k: wanted)
        if !collect(query, found, wanted, scratch) {
            scratch.top.reset(k: wanted)
            collectMoved(query, found, scratch)
        }
        scratch.top.drain(into: &results)
    }

    /// Scores the best of the pool by the vectors themselves and offers their rows; false when a row has moved to another
    /// slot since the walk.
    private func collect(
        _ query: UnsafePointer<Float>, _ found: Int, _ wanted: Int, _ scratch: SearchScratch
    ) -> Bool {
        let slots = scratch.positions
        let rows = scratch.rows
        var count = 0
        func flush() {
            storage.scorer.score(query, ids: slots, count: count, into: scratch.scores)
            scratch.top.push(rows: rows, scores: scratch.scores, count: count)
            count = 0
        }
        // A little more than wanted: rounding may have swapped those at the border.
        var left = wanted + wanted / 8 + 8
        for i in 0..<found where left > 0 {
            let key = scratch.pool[i]
            if PoolKey.isRejected(key) { continue }
            let slot = PoolKey.node(key)
            let row = storage.rowOf[Int(slot)]
            guard let current = storage.slot(of: row) else { continue }
            if current != slot { return false }
            slots[count] = slot
            rows[count] = row
            count += 1
            left -= 1
            if count == SearchScratch.blockRows { flush() }
        }
        if count > 0 { flush() }
        return true
    }

    /// Offers each row of the pool once, with the vector that it has now. Rare, so it may allocate.
    private func collectMoved(_ query: UnsafePointer<Float>, _ found: Int, _ scratch: SearchScratch) {
        var seen: Set<UInt32> = []
        for i in 0..<found where !PoolKey.isRejected(scratch.pool[i]) {
            let row = storage.rowOf[Int(PoolKey.node(scratch.pool[i]))]
            guard seen.insert(row).inserted, let current = storage.slot(of: row) else { continue }
            scratch.positions[0] = current
            storage.scorer.score(query, ids: scratch.positions, count: 1, into: scratch.scores)
            scratch.top.push(row: row, score: scratch.scores[0])
        }
    }

    /// Scores every row that is there and eligible.
    private func scan(
        _ query: UnsafePointer<Float>, _ wanted: Int, _ predicate: RowPredicate?, _ scratch: SearchScratch,
        _ results: inout [ScoredRow]
    ) {
        let slots = scratch.positions
        let rows = scratch.rows
        var count = 0
        scratch.top.reset(k: wanted)
        func flush() {
            storage.scorer.score(query, ids: slots, count: count, into: scratch.scores)
            scratch.top.push(rows: rows, scores: scratch.scores, count: count)
            count = 0
        }
        func offer(_ row: UInt32) {
            guard let slot = storage.slot(of: row) else { return }
            slots[count] = slot
            rows[count] = row
            count += 1
            if count == SearchScratch.blockRows { flush() }
        }
        if let predicate {
            for word in 0..<(rowCount + 63) / 64 {
                var bits = predicate.words[word]
                while bits != 0 {
                    offer(UInt32(word * 64 + bits.trailingZeroBitCount))
                    bits &= bits - 1
                }
            }
        } else {
            for row in 0..<UInt32(rowCount) { offer(row) }
        }
        if count > 0 { flush() }
        scratch.top.drain(into: &results)
    }
}

/// Slots of rows that are there and eligible.
private struct EligibleSlots: RowFilter {
    let live: MarkedRows
    let rowOf: UnsafePointer<UInt32>
    let eligible: MarkedRows

    @inline(__always)
    static var acceptsAll: Bool { false }
    @inline(__always)
    func accepts(_ slot: UInt32) -> Bool { live.accepts(slot) && eligible.accepts(rowOf[Int(slot)]) }
}
