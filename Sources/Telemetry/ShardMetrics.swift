import Vocabulary

/// What one shard counts. Written by the shard's thread alone, read by the scraper at any time.
///
/// Every method below that counts or records costs a few nanoseconds: no lock, no contended atomic, no allocation.
/// ```
/// cells: requests [method][code] | request histograms [scenario][outcome] | stage histograms [stage] | small counters, gauges | batches | Redis
/// histogram: DurationBuckets.count counts, then the sum in nanoseconds
/// ```
package final class ShardMetrics: Sendable {
    /// The shard's number, the `shard` label.
    package let shard: Int
    /// Names of the scenarios; a scenario is known to this type by its index in this list.
    package let scenarios: [String]
    @usableFromInline package let cells: UnsafeCells
    @usableFromInline package let grid: UnsafeBucketGrid
    @usableFromInline package let stagesAt: Int
    @usableFromInline package let smallAt: Int

    /// - Precondition: there is at least one scenario.
    package init(shard: Int, scenarios: [String]) {
        precondition(!scenarios.isEmpty, "a node has at least one scenario")
        self.shard = shard
        self.scenarios = scenarios
        grid = UnsafeBucketGrid()
        stagesAt = Layout.requestCells + scenarios.count * RequestOutcome.allCases.count * Layout.histogram
        smallAt = stagesAt + RequestStage.allCases.count * Layout.histogram
        cells = UnsafeCells(count: smallAt + Layout.smallCells + Layout.batchCells + Layout.redisCells)
    }

    // MARK: Requests

    /// Counts a call that was answered.
    @inlinable
    package func countRequest(_ method: CallMethod, _ code: StatusCode) {
        cells.add(1, to: Int(method.rawValue) &* Layout.codes &+ Int(code.rawValue))
    }

    /// Records how long a slate request took, from its arrival to its encoded answer.
    ///
    /// - Parameter scenario: Index in `scenarios`.
    @inlinable
    package func recordRequest(scenario: Int, _ outcome: RequestOutcome, nanoseconds: UInt64) {
        assert(scenarios.indices.contains(scenario), "scenario \(scenario) of \(scenarios.count)")
        let histogram = scenario &* Layout.outcomes &+ Int(outcome.rawValue)
        observe(nanoseconds, at: Layout.requestCells &+ histogram &* Layout.histogram)
    }

    /// Records how long a stage of a request took.
    @inlinable
    package func record(_ stage: RequestStage, nanoseconds: UInt64) {
        observe(nanoseconds, at: stagesAt &+ Int(stage.rawValue) &* Layout.histogram)
    }

    @inlinable
    package func countRejected(_ reason: RejectionReason) {
        cells.add(1, to: smallAt &+ Layout.rejected &+ Int(reason.rawValue))
    }

    @inlinable
    package func countDeadlineExceeded(at stage: RequestStage) {
        cells.add(1, to: smallAt &+ Layout.deadline &+ Int(stage.rawValue))
    }

    @inlinable
    package func countShed(_ priority: PriorityLabel) {
        cells.add(1, to: smallAt &+ Layout.shed &+ Int(priority.rawValue))
    }

    /// Counts slates that were made with less than is configured.
    @inlinable
    package func countReduced(level: Int, _ slates: Int) {
        cells.add(UInt64(truncatingIfNeeded: slates), to: smallAt &+ Layout.reduced &+ (level & 7))
    }

    package func setQualityLevel(_ level: Int) { cells.set(smallAt &+ Layout.quality, to: UInt64(level)) }

    @inlinable
    package func countCancelled() { cells.add(1, to: smallAt &+ Layout.cancelled) }

    @inlinable
    package func countFallback(_ reason: FallbackReason) {
        cells.add(1, to: smallAt &+ Layout.fallback &+ Int(reason.rawValue))
    }

    @inlinable
    package func countDegraded(_ reason: DegradedReason) {
        cells.add(1, to: smallAt &+ Layout.degraded &+ Int(reason.rawValue))
    }

    /// Counts the candidates that a source found.
    @inlinable
    package func countCandidates(_ count: Int, from source: RetrievalSource) {
        let index: Int =
            switch source {
            case .als: 0
            case .spectral: 1
            case .itemToItem: 2
            case .popular: 3
            case .recent: 4
            case .content: 5
            case .userToUser: 6
            case .trending: 7
            }
        cells.add(UInt64(truncatingIfNeeded: count), to: smallAt &+ Layout.candidates &+ index)
    }

    /// Counts a search of factors.
    @inlinable
    package func countSearch(_ plan: SearchPlan) {
        let index: Int =
            switch plan {
            case .scan: 0
            case .lookUp: 1
            case .approximateScan: 2
            case .walk: 3
            case .filteredWalk: 4
            }
        cells.add(1, to: smallAt &+ Layout.searches &+ index)
    }

    /// What is known of users from events, and how many were forgotten for their bytes since the start.
    package func setLiveUsers(_ count: Int, bytes: Int, evicted: UInt64) {
        cells.set(smallAt &+ Layout.liveUsers, to: UInt64(clamping: count))
        cells.set(smallAt &+ Layout.liveBytes, to: UInt64(clamping: bytes))
        cells.set(smallAt &+ Layout.liveEvicted, to: evicted)
    }

    /// Counts events by what became of them.
    @inlinable
    package func countEvents(_ outcome: EventOutcome, _ count: Int) {
        cells.add(UInt64(truncatingIfNeeded: count), to: smallAt &+ Layout.events &+ Int(outcome.rawValue))
    }

    /// Counts slates whose scans take turns.
    @inlinable
    package func countTogether(_ slates: Int) {
        cells.add(UInt64(truncatingIfNeeded: slates), to: smallAt &+ Layout.together)
    }

    /// Counts a scan that others were asked to help with.
    @inlinable
    package func countSplit() { cells.add(1, to: smallAt &+ Layout.split) }

    /// Counts items that re-ranking put at their place.
    @inlinable
    package func countReranked(_ effect: RerankingEffect, _ items: Int) {
        cells.add(UInt64(truncatingIfNeeded: items), to: smallAt &+ Layout.reranked &+ Int(effect.rawValue))
    }

    /// Counts parts read of others' scans.
    @inlinable
    package func countSplitParts(_ parts: Int) {
        cells.add(UInt64(truncatingIfNeeded: parts), to: smallAt &+ Layout.splitParts)
    }

    /// Slates whose scans took turns.
    package var together: UInt64 { cells.read(smallAt &+ Layout.together) }

    // MARK: Cache

    @inlinable
    package func countCache(_ level: CacheLevel = .l1, _ result: CacheResult) {
        cells.add(1, to: smallAt &+ Layout.cache &+ Int(result.rawValue))
    }

    @inlinable
    package func setCache(bytes: Int, entries: Int) {
        cells.set(smallAt &+ Layout.cacheBytes, to: UInt64(truncatingIfNeeded: bytes))
        cells.set(smallAt &+ Layout.cacheEntries, to: UInt64(truncatingIfNeeded: entries))
    }

    // MARK: Shard, connections and frames

    @inlinable
    package func setQueueDepth(_ depth: Int) {
        cells.set(smallAt &+ Layout.queueDepth, to: UInt64(truncatingIfNeeded: depth))
    }

    @inlinable
    package func setUsers(_ count: Int) { cells.set(smallAt &+ Layout.users, to: UInt64(truncatingIfNeeded: count)) }

    /// Publishes what this thread has ever allocated; call it from the shard's thread, now and then.
    package func publishThreadAllocations() {
        cells.set(smallAt &+ Layout.allocated, to: Allocator.threadAllocatedBytes)
    }

    @inlinable
    package func connectionOpened() { cells.add(1, to: smallAt &+ Layout.opened) }

    @inlinable
    package func connectionClosed() { cells.add(1, to: smallAt &+ Layout.closed) }

    @inlinable
    package func countConnectionRefused(_ reason: ConnectionRefusal) {
        cells.add(1, to: smallAt &+ Layout.refused &+ Int(reason.rawValue))
    }

    @inlinable
    package func countBadFrame(_ fault: FrameFault) {
        cells.add(1, to: smallAt &+ Layout.frames &+ Int(fault.rawValue))
    }

    // MARK: Histograms

    @inlinable
    package func observe(_ nanoseconds: UInt64, at histogram: Int) {
        cells.add(1, to: histogram &+ grid.bucket(nanoseconds))
        cells.add(nanoseconds, to: histogram &+ DurationBuckets.count)
    }

    /// Where each thing stands. Constants as computed properties: they fold, a stored static would be initialised lazily.
    @usableFromInline
    package enum Layout {
        @inlinable package static var methods: Int { 13 }
        @inlinable package static var codes: Int { 17 }
        @inlinable package static var outcomes: Int { 4 }
        @inlinable package static var requestCells: Int { methods * codes }
        @inlinable package static var histogram: Int { DurationBuckets.count + 1 }

        // The small counters and gauges, 8 or 16 cells for each set of labels, from `smallAt`.
        @inlinable package static var rejected: Int { 0 }
        @inlinable package static var reranked: Int { 8 }
        @inlinable package static var fallback: Int { 16 }
        @inlinable package static var degraded: Int { 24 }
        @inlinable package static var candidates: Int { 32 }
        @inlinable package static var cache: Int { 40 }
        @inlinable package static var refused: Int { 48 }
        @inlinable package static var frames: Int { 56 }
        @inlinable package static var cancelled: Int { 64 }
        @inlinable package static var cacheBytes: Int { 66 }
        @inlinable package static var cacheEntries: Int { 67 }
        @inlinable package static var queueDepth: Int { 68 }
        @inlinable package static var users: Int { 69 }
        @inlinable package static var allocated: Int { 70 }
        @inlinable package static var opened: Int { 71 }
        @inlinable package static var closed: Int { 72 }
        @inlinable package static var together: Int { 73 }
        @inlinable package static var split: Int { 74 }
        @inlinable package static var splitParts: Int { 75 }
        @inlinable package static var batchExpired: Int { 76 }
        @inlinable package static var liveUsers: Int { 77 }
        @inlinable package static var liveBytes: Int { 78 }
        @inlinable package static var liveEvicted: Int { 79 }
        @inlinable package static var searches: Int { 80 }
        /// 16 cells: one for each stage.
        @inlinable package static var deadline: Int { 88 }
        @inlinable package static var batchClosed: Int { 104 }
        @inlinable package static var events: Int { 112 }
        @inlinable package static var missingFeatures: Int { 120 }
        // Of the result cache: 8 cells for each set of labels.
        @inlinable package static var cacheDepartures: Int { 128 }
        @inlinable package static var cacheUnfit: Int { 136 }
        @inlinable package static var cacheAdmissions: Int { 144 }
        @inlinable package static var cacheRefills: Int { 152 }
        @inlinable package static var cacheUsedBytes: Int { 160 }
        @inlinable package static var cacheJoined: Int { 161 }
        @inlinable package static var cacheRefillsWaiting: Int { 162 }
        /// 4 cells, one for each priority.
        @inlinable package static var shed: Int { 168 }
        @inlinable package static var quality: Int { 172 }
        /// 8 cells, one for each level.
        @inlinable package static var reduced: Int { 176 }
        @inlinable package static var smallCells: Int { 184 }

        // Histograms of batches, from `smallAt`.
        @inlinable package static var batchRows: Int { smallCells }
        @inlinable package static var batchRequests: Int { batchRows + CountBuckets.count + 1 }
        @inlinable package static var batchQueue: Int { batchRequests + CountBuckets.count + 1 }
        @inlinable package static var batchCells: Int { 2 * (CountBuckets.count + 1) + histogram }
    }
}

/// The look-up from a duration to its bucket; one for each shard, so that no two threads share its cache line's owner.
package final class UnsafeBucketGrid {
    @usableFromInline package let table: UnsafeMutablePointer<UInt8>
    @usableFromInline package let bounds: UnsafeMutablePointer<UInt64>

    package init() {
        let grid = DurationBuckets.makeGrid()
        table = .allocate(capacity: grid.count)
        table.initialize(from: grid, count: grid.count)
        // A last bound that nothing exceeds, so that the comparison needs no check of its own.
        let all = DurationBuckets.boundsNanoseconds + [UInt64.max]
        bounds = .allocate(capacity: all.count)
        bounds.initialize(from: all, count: all.count)
    }

    deinit {
        table.deallocate()
        bounds.deallocate()
    }

    @inlinable
    package func bucket(_ nanoseconds: UInt64) -> Int {
        let bucket = Int(table[DurationBuckets.cell(nanoseconds)])
        return nanoseconds > bounds[bucket] ? bucket &+ 1 : bucket
    }
}

/// The tables are written at `init` and only read afterwards.
extension UnsafeBucketGrid: @unchecked Sendable {}
