import LiveState
import NIOCore
import Serving
import Synchronization
import Telemetry
import Vocabulary

/// The one merger of what the shards count of items, off the loops.
///
/// ```
///  merge:    an empty delta to each shard, its full one back -> added up -> what trends -> a view -> every shard has it
/// ```
/// A loop gives a delta for another and takes a reference: nothing that grows with the items. Views and deltas are let go
/// here, as freeing one takes longer than a loop should.
final class ActivityDesk: Sendable {
    private struct State: Sendable {
        var activity: ItemActivity
        var workers: [LoopWorker] = []
        /// By shard, empty.
        var spares: [ItemActivityDelta] = []
        /// By shard: slots, and the last record that is in the counts.
        var known: [ItemActivity.Knowledge] = []
        /// Kept until the next merge: a loop may have been the last to hold it.
        var before: ItemActivityView?
        var isClosed = false
    }

    // Held for the whole of a merge; no loop ever waits for it.
    private let state: Mutex<State>
    private let latest = Mutex<ItemActivityView?>(nil)
    private let figures = Mutex(LiveItemsReading())
    private let isMerging = Atomic<Bool>(false)
    private let wallClock: @Sendable () -> Int64
    private let empty: ItemActivity

    /// - Parameter scenarios: Names of the node's.
    /// - Throws: `LiveStateError`.
    init(
        _ configuration: ItemActivityConfiguration, scenarios: [String], wallClock: @escaping @Sendable () -> Int64
    ) throws {
        empty = try ItemActivity(configuration, scenarios: scenarios)
        state = Mutex(State(activity: empty))
        self.wallClock = wallClock
    }

    /// Where a shard counts.
    func makeDelta() -> ItemActivityDelta { empty.makeDelta() }

    /// Without counts; what was stored is loaded into it.
    func makeActivity() -> ItemActivity { empty }

    func connect(_ workers: [LoopWorker], _ partitions: PartitionMap) {
        state.withLock { state in
            state.workers = workers
            state.spares = workers.map { _ in empty.makeDelta() }
            state.known = workers.map { .init(slots: partitions.slots(of: $0.index), through: 0) }
        }
    }

    /// Merges no more; waits for a merge that is under way.
    func close() { state.withLock { $0.isClosed = true } }

    // MARK: Merges

    /// Merges, and serves by the result; does nothing while that is being done. Not on a loop.
    func publish() {
        guard !isMerging.exchange(true, ordering: .acquiringAndReleasing) else { return }
        defer { isMerging.store(false, ordering: .releasing) }
        state.withLock { state in
            if state.isClosed { return }
            let began = LoopWorker.now
            let deltas = takeDeltas(&state)
            let now = UInt32(clamping: wallClock())
            state.activity.mergeAndRank(deltas, now: now)
            for delta in deltas { delta.clear() }
            serve(&state, now)
            describe(state.activity.statistics, took: LoopWorker.now &- began)
        }
    }

    /// The same, whatever else is merged, and looks at all items for what trends: for what was restored. Not on a loop.
    func publishAll() {
        state.withLock { state in
            let began = LoopWorker.now
            let now = UInt32(clamping: wallClock())
            add(&state, now)
            state.activity.rankAll(now: now)
            serve(&state, now)
            describe(state.activity.statistics, took: LoopWorker.now &- began)
        }
    }

    /// Only makes room in the shards' deltas. Not on a loop.
    func merge() { state.withLock { add(&$0, UInt32(clamping: wallClock())) } }

    private func add(_ state: inout State, _ now: UInt32) {
        let deltas = takeDeltas(&state)
        state.activity.merge(deltas, now: now)
        for delta in deltas { delta.clear() }
    }

    private func takeDeltas(_ state: inout State) -> [ItemActivityDelta] {
        let asked = zip(state.workers, state.spares).map { worker, spare in
            worker.eventLoop.submit { worker.shard.assumeIsolated { $0.exchangeActivity(spare) } }
        }
        var deltas: [ItemActivityDelta] = []
        for (shard, future) in asked.enumerated() {
            // A loop that has ended counts no more.
            guard let (delta, through) = try? future.wait(), let delta else { continue }
            state.spares[shard] = delta
            state.known[shard].through = through
            deltas.append(delta)
        }
        return deltas
    }

    private func serve(_ state: inout State, _ now: UInt32) {
        let view = state.activity.makeView(now: now, uptime: LoopWorker.now)
        let told = state.workers.map { worker in
            worker.eventLoop.submit { worker.shard.assumeIsolated { $0.takeActivity(view) } }
        }
        for future in told { try? future.wait() }
        state.before = latest.withLock { latest in
            let before = latest
            latest = view
            return before
        }
    }

    private func describe(_ statistics: ItemActivityStatistics, took nanoseconds: UInt64) {
        figures.withLock { figures in
            figures.items = UInt64(statistics.items)
            figures.counts = UInt64(statistics.entries)
            figures.bytes = UInt64(statistics.bytes)
            figures.evicted = statistics.evicted
            figures.dropped = statistics.dropped
            figures.outdated = statistics.outdated
            figures.merges += 1
            figures.mergeNanoseconds += nanoseconds
            figures.publishedAt = LoopWorker.now
        }
    }

    /// What is served; nil before the first merge. Any thread.
    var view: ItemActivityView? { latest.withLock { $0 } }

    /// Any thread.
    var reading: LiveItemsReading {
        var reading = figures.withLock { $0 }
        if reading.publishedAt > 0 { reading.ageNanoseconds = LoopWorker.now &- reading.publishedAt }
        return reading
    }

    // MARK: Restart

    /// Takes what an earlier process stored. Not on a loop.
    func restore(_ activity: ItemActivity) { state.withLock { $0.activity = activity } }

    /// Forgets everything that was counted.
    func removeAll() {
        state.withLock { state in
            for delta in takeDeltas(&state) { delta.clear() }
            state.activity = empty
        }
    }

    /// The payloads of a snapshot's sections, and the last record that all of them know of. Not on a loop.
    func snapshot() -> (payloads: [[UInt8]], knows: UInt64) {
        let (activity, known) = state.withLock { state in
            add(&state, UInt32(clamping: wallClock()))
            return (state.activity, state.known)
        }
        return (activity.serialise(knowing: known), known.map(\.through).min() ?? 0)
    }
}
