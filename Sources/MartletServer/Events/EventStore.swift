import EventLog
import Glibc
import LiveState
import Logging
import NIOCore
import NIOPosix
import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// The node's event log, where one is configured: opened before the shards, closed behind them.
final class EventStore: Sendable {
    let log: LogWriter?
    /// Of all items that events or models named.
    let numbers: ItemNumbers
    let types: EventTypes
    private let configuration: EventsConfiguration
    private let storage: FileStorage?
    private let logger: Logger
    /// Of the events' IDs; the same for all shards.
    private let seed: UInt64
    let restored = Mutex<Replay.Outcome?>(nil)
    private let subscribers: Subscribers
    /// The last record that a snapshot holds; held while one is taken.
    private let snapshotted = Mutex<UInt64>(0)

    /// Who learns what became of records. Set once, before the first record is appended.
    private final class Subscribers: Sendable {
        private let workers = Mutex<[LoopWorker]>([])
        private let items = Mutex<ItemDesk?>(nil)
        func set(_ workers: [LoopWorker], _ items: ItemDesk) {
            self.workers.withLock { $0 = workers }
            self.items.withLock { $0 = items }
        }

        /// On the log's thread.
        func tell(_ outcome: LogOutcome) {
            for worker in workers.withLock({ $0 }) { worker.eventLoop.execute { worker.settle(outcome) } }
            items.withLock { $0 }?.settle(outcome)
        }
    }

    /// - Throws: `LogError` when the folder cannot be used.
    init(_ configuration: EventsConfiguration, logger: Logger) throws {
        let subscribers = Subscribers()
        self.subscribers = subscribers
        self.configuration = configuration
        self.logger = logger
        numbers = try ItemNumbers(countMax: configuration.itemsMax)
        seed = .random(in: 0...(.max))
        guard let directory = configuration.directory else {
            log = nil
            storage = nil
            types = try EventTypes(configuration.types)
            return
        }
        let storage = try FileStorage(path: directory, creates: true)
        self.storage = storage
        let stored = StoredTypes.names(storage)
        types = try EventTypes(configuration.types, stored: stored)
        if !stored.isEmpty, let change = types.change(since: stored) {
            logger.notice("event types changed", metadata: ["events.types": "\(change)"])
        }
        let log = try LogWriter(
            storage, EventLog.LogConfiguration(configuration),
            clock: { LoopWorker.now }, wallClock: Self.wallClock, outcome: { subscribers.tell($0) })
        self.log = log
        logger.info(
            "event log opened",
            metadata: [
                "events.directory": "\(directory)", "events.sync": "\(configuration.sync)",
                "events.sequence": "\(log.lastSequence)",
            ])
        if log.opened.discardedBytes > 0 {
            logger.warning(
                "a torn end of the event log was cut off; no stored event is lost",
                metadata: ["events.bytes": "\(log.opened.discardedBytes)"])
        }
    }

    /// Milliseconds since 1970.
    static let wallClock: @Sendable () -> UInt64 = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(clamping: time.tv_sec) &* 1000 &+ UInt64(clamping: time.tv_nsec / 1_000_000)
    }

    /// What a shard is to know of its users, empty.
    ///
    /// - Parameter activity: Where it counts the events of items.
    func makeLiveUsers(slots: Range<Int>, shardCount: Int, activity: ItemActivityDelta) throws -> LiveUsers {
        var bounds = UserStatesConfiguration()
        bounds.historyMax = configuration.historyMax
        bounds.seenMax = configuration.seenMax
        bounds.seenAgeSeconds = UInt32(clamping: configuration.seenAge.components.seconds)
        let bytesMax = configuration.stateBytesMax / shardCount
        var shown: UserStates?
        if configuration.shownMax > 0 {
            // What was only shown is worth little of the memory, and may take no more.
            var shownBounds = UserStatesConfiguration(historyMax: configuration.shownMax, seenMax: 0)
            shownBounds.bytesMax = max(64 << 10, bytesMax / Self.shownShare)
            shown = try UserStates(shownBounds, types: types, slots: slots)
        }
        bounds.bytesMax = max(64 << 10, bytesMax - (shown == nil ? 0 : bytesMax / Self.shownShare))
        return LiveUsers(
            states: try UserStates(bounds, types: types, slots: slots),
            recent: try RecentEvents(capacity: max(1, configuration.repeatsWindow / shardCount), seed: seed),
            numbers: numbers, shown: shown, activity: activity,
            // Users who share an epoch void each other's kept answers: 16 MiB in all are room for four million.
            epochCount: UserEpochs.count(shards: shardCount))
    }

    /// Of the memory for users' states, one in so many bytes may be of what they were only shown.
    private static let shownShare = 8

    /// Brings what the log holds back into the shards.
    func replay(on pool: NIOThreadPool, _ node: NodeContext) async throws {
        guard let storage else { return }
        let began = LoopWorker.now
        let (numbers, logger) = (numbers, logger)
        let outcome = try await pool.runIfActive {
            var replay = Replay(node, numbers: numbers, logger: logger)
            try replay.run(storage)
            return replay.outcome
        }
        restored.withLock { $0 = outcome }
        // What a snapshot holds needs no other; what was replayed is to be in the next.
        if outcome.events == 0, let log { snapshotted.withLock { $0 = log.lastSequence } }
        logger.info(
            "state of users restored",
            metadata: [
                "events.snapshot": "\(outcome.snapshot ?? "none")", "events.snapshot_bytes": "\(outcome.snapshotBytes)",
                "events.replayed": "\(outcome.events)",
                "events.milliseconds": "\((LoopWorker.now &- began) / 1_000_000)",
            ])
        for damage in outcome.report.damages {
            logger.error(
                "the event log is damaged; `martlet log verify` shows all of it",
                metadata: ["events.damage": "\(damage)"])
        }
    }

    /// Takes a snapshot where there is something new; not on a loop.
    ///
    /// - Parameter isHurried: The node stops.
    func takeSnapshot(_ node: NodeContext, isHurried: Bool) {
        guard let storage, let log else { return }
        snapshotted.withLock { last in
            let sequence = log.statistics.storedThrough
            guard sequence > last else { return }
            let began = LoopWorker.now
            do {
                let taken = try SnapshotTaker(node: node, types: types, numbers: numbers, storage: storage, log: log)
                    .take(
                        isHurried: isHurried)
                log.allowRemoval(through: taken.mayRemoveThrough)
                last = sequence
                logger.info(
                    "snapshot of users taken",
                    metadata: [
                        "events.snapshot_bytes": "\(taken.bytes)", "events.sequence": "\(sequence)",
                        "events.milliseconds": "\((LoopWorker.now &- began) / 1_000_000)",
                    ])
            } catch {
                logger.error(
                    "no snapshot of users could be taken; a restart replays more of the log",
                    metadata: ["error": "\(error)"])
            }
        }
    }

    func connect(_ workers: [LoopWorker], _ items: ItemDesk) { subscribers.set(workers, items) }

    var reading: EventLogReading {
        var reading = EventLogReading()
        guard let statistics = log?.statistics else { return reading }
        reading.bytes = UInt64(clamping: statistics.bytes)
        reading.segments = UInt64(clamping: statistics.segments)
        reading.storedThrough = statistics.storedThrough
        reading.syncs = statistics.syncs
        reading.syncNanoseconds = statistics.syncNanoseconds
        reading.failures = statistics.failures
        reading.isRefusing = statistics.isRefusing
        return reading
    }

    func close() { log?.close() }
}

extension EventLog.LogConfiguration {
    init(_ events: EventsConfiguration) {
        self.init(
            segmentBytesMax: events.segmentBytes, segmentAgeMax: events.segmentAge, retentionAge: events.retentionAge,
            retentionBytes: events.retentionBytes, pendingBytesMax: events.pendingBytesMax)
        sync =
            switch events.sync {
            case .always: .always
            case .interval: .interval(nanoseconds: events.syncInterval.nanoseconds)
            case .never: .never
            }
    }
}

extension EventRules {
    init(_ events: EventsConfiguration) {
        self.init(typeNames: events.types.map(\.name), wallClock: EventStore.wallClock)
        futureMillisecondsMax = events.futureMax.nanoseconds / 1_000_000
        ageMillisecondsMax = events.ageMax.nanoseconds / 1_000_000
        durability = events.directory == nil ? .memory : events.sync == .never ? .written : .synced
    }
}
