import Glibc
import VectorMath

/// A scan that several threads read at once; see `SharedScan`. The answer is that of a scan that nobody helps.
extension ScanIndex {
    /// Blocks that the owner reads alone: among the longest rows a good bar is found soon, which all others then have.
    private static let privateBlocks = 2 * blocksPerTurn

    /// Lets others read most of `scan`, which has just begun. `advance` goes on as before.
    ///
    /// From here on the scan has a copy of its predicate: the caller's may change while a late helper still reads.
    ///
    /// - Returns: What helpers need; nil for a look-up, for bounds that may miss rows (what they miss would depend on who
    ///   reads what), and for an index of few blocks.
    package func share(_ scan: RunningScan) -> ScanInvitation? {
        guard !scan.isDone, !scan.isSparse, scan.isExact, scan.nextBlock == 0, scan.shared == nil else { return nil }
        if order.blockCount - Self.privateBlocks <= SharedScan.partBlocks { return nil }
        scan.privateEnd = Self.privateBlocks
        scan.predicate = scan.predicate?.copy()
        return ScanInvitation(scan: scan, shared: scan.share(from: scan.privateEnd))
    }

    /// The owner's turns over a shared scan: first the blocks that it has for itself, then parts, then what is missing.
    func readShared(
        _ scan: RunningScan, _ shared: SharedScan, _ turns: Int, _ scratch: SearchScratch, _ top: inout TopK
    ) {
        let isRead = shared.ownSeat.use { finder in
            var turns = turns
            while turns > 0 {
                if scan.nextBlock == scan.privateEnd {
                    guard let part = shared.takeOwn() else { return true }
                    scan.nextBlock = part.lowerBound
                    scan.privateEnd = part.upperBound
                }
                turns -= 1
                let end = min(scan.nextBlock + scan.nextTurn, scan.privateEnd)
                scan.nextTurn = min(scan.nextTurn * 2, Self.blocksPerTurn)
                let goesOn = readTurn(scan, shared, scan.nextBlock..<end, scratch, &finder)
                scan.nextBlock = goesOn ? end : scan.privateEnd
                if scan.nextBlock == scan.privateEnd, end > Self.privateBlocks { shared.finish(end - 1..<end) }
            }
            return false
        }
        guard isRead else { return }
        if shared.awaitQuiet() { shared.gather(into: &top) } else { readMissing(scan, shared, scratch, &top) }
        scan.unshare()
        scan.isDone = true
    }

    /// Reads again the parts that somebody has begun and not finished, and gathers without waiting.
    ///
    /// Some of their rows may stand in the log already: each counts once.
    private func readMissing(
        _ scan: RunningScan, _ shared: SharedScan, _ scratch: SearchScratch, _ top: inout TopK
    ) {
        let isWhole = shared.ownSeat.use { finder in
            var again = TopK(k: top.k)
            for part in 0..<shared.partCount {
                guard let blocks = shared.unfinished(part) else { continue }
                shared.gatherLog(&finder)
                again.raiseBar(to: finder.top.barKey)
                let longest = order.lengthsFrom[blocks.lowerBound]
                let bar = scan.bar(threshold: again.threshold, lengthMax: longest)
                // Parts that nobody took, too.
                if isOver(bar, Float(scan.length), longest) { break }
                var first = blocks.lowerBound
                while first < blocks.upperBound {
                    let end = min(first + Self.blocksPerTurn, blocks.upperBound)
                    let bar = scan.bar(threshold: again.threshold, lengthMax: longest)
                    let count = bounds.scan(scan.probes, blocks: first..<end, threshold: bar, into: scratch.hits)
                    offer(scan, scratch.hits, count, scan.predicate, lengthMax: longest, scratch, &again)
                    first = end
                }
            }
            shared.gatherLog(&finder)
            if shared.isLogFull { return false }
            top.absorb(again, finder.top)
            return true
        }
        // Somebody filled it meanwhile, and may have finished a part of which the log tells not all.
        if !isWhole {
            while !shared.isQuiet { sched_yield() }
            shared.gather(into: &top)
        }
    }

    /// Reads `blocks`; false, and nobody takes a further part, when neither they nor what comes after can enter.
    func readTurn(
        _ scan: RunningScan, _ shared: SharedScan, _ blocks: Range<Int>, _ scratch: SearchScratch,
        _ finder: inout SharedScan.Finder
    ) -> Bool {
        let hits = scratch.hits
        let longest = order.lengthsFrom[blocks.lowerBound]
        var bar = scan.bar(threshold: finder.top.threshold, lengthMax: longest)
        if isOver(bar, Float(scan.length), longest) {
            shared.close()
            return false
        }
        var count = bounds.scan(scan.probes, blocks: blocks, threshold: bar, into: hits)
        if let predicate = scan.predicate { count = keepEligible(hits, count, predicate) }
        var start = 0
        while start < count {
            var part = min(Self.rowsPerPart, count - start)
            let next = start + part
            if bounds.rows != nil {
                bar = scan.bar(threshold: finder.top.threshold, lengthMax: longest)
                part = bounds.keep(scan.probes, hits + start, count: part, threshold: bar)
            }
            if part > 0 {
                for i in 0..<part { scratch.rows[i] = order.rows[Int(hits[start + i])] }
                scorer.score(scan.query, ids: scratch.rows, count: part, into: scratch.scores)
                shared.offer(scratch.rows, scratch.scores, part, scratch.keys, &finder)
            }
            start = next
        }
        finder.top.tighten()
        return true
    }

    /// A helper's part; false when there is none to take.
    fileprivate func help(_ scan: RunningScan, _ shared: SharedScan, _ scratch: SearchScratch) -> Bool {
        guard let (blocks, seat) = shared.take() else { return false }
        shared.seat(seat).use { finder in
            var first = blocks.lowerBound
            while first < blocks.upperBound {
                let end = min(first + Self.blocksPerTurn, blocks.upperBound)
                if !readTurn(scan, shared, first..<end, scratch, &finder) { break }
                first = end
            }
        }
        shared.finish(blocks)
        shared.leave(seat)
        return true
    }

    // MARK: Threads

    /// The same as `search`, read by up to `threads` threads, for callers that have no loops and one query at a time.
    ///
    /// Worth it for scans of some hundred microseconds and more; with many queries, a thread for each does more.
    ///
    /// - Complexity: Starting the threads takes some 10 to 50 microseconds a search.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate? = nil, threads: Int,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        results.removeAll(keepingCapacity: true)
        let scan = scratch.scan(for: self)
        let eligible = predicate?.eligibleCount ?? rowCount
        try begin(
            scan, query, k: k, where: predicate, plan: eligible * Self.sparsity < rowCount ? .lookUp : .scan)
        if threads > 1, let invitation = share(scan), !advance(scan, turns: 4, scratch) {
            let helpers = scratch.helpers(min(threads, SharedScan.seatCount))
            Parallel.forEach(count: helpers.count, grain: 1, threads: helpers.count) { places in
                for place in places { while invitation.help(helpers[place]) {} }
            }
        }
        while !advance(scan, turns: .max, scratch) {}
        scan.top.drain(into: &results)
    }
}

/// Lets another thread read parts of a scan that is shared.
///
/// It may be used at any time, by any number of threads: when the scan is over, `help` finds nothing to do, and when its
/// owner has begun another one, helps with that.
///
/// `@unchecked Sendable`: of the scan, `help` reads only what does not change while a part is taken, and `SharedScan`
/// hands parts out.
package struct ScanInvitation: @unchecked Sendable {
    fileprivate let scan: RunningScan
    private let shared: SharedScan

    fileprivate init(scan: RunningScan, shared: SharedScan) {
        self.scan = scan
        self.shared = shared
    }

    /// Reads one part, of some 10 to 20 microseconds; false when there is none to read.
    ///
    /// - Parameter scratch: The calling thread's own.
    package func help(_ scratch: SearchScratch) -> Bool { scan.index.help(scan, shared, scratch) }
}
