import Logging
import NIOCore
import RemoteCache
import Serving
import Synchronization
import Telemetry
import Vocabulary

/// Follows what all nodes say of items, and writes what this one says, through a Redis that they share.
///
/// ```
///  poll ──entry follows on the one before──> desk ─> log, book, shards ─> current as of the poll
///    │ every 100 ms                            ^
///    │ something is missing, or all of it      │
///    └──> read everything ─────────────────────┴──> write what is missing there ──> poll
///  own changes of the desk ──> written in their order, one batch at a time ──> their versions to the desk
/// ```
/// Redis away, slow, full or flushed: own changes wait, as they are in the node's log, and nothing else does. On a loop of its own; what
/// is not atomic belongs to it.
final class ItemSharing: @unchecked Sendable {
    static let pollInterval: TimeAmount = .milliseconds(100)
    /// Without a good poll for so long, answers are marked.
    static let staleNanoseconds: UInt64 = 500_000_000
    /// Of one write.
    private static let writesMax = 100
    private static let writeBytesMax = 1 << 20
    /// Everything is read again after so long, whatever is heard.
    private static let rereadNanoseconds: UInt64 = 6 * 3_600_000_000_000
    /// What is missing is looked for at most so often, and less often if it stays so.
    private static let readFirst: UInt64 = 1_000_000_000
    private static let readMaximum: UInt64 = 30_000_000_000
    /// Restorations are remembered as long: what a node lacks for longer than that was restored.
    private static let restoredMilliseconds: UInt64 = 7 * 86_400_000
    /// Items that are compared when everything is read; of further ones nothing is written anew.
    private static let seenMax = 4_000_000

    private let loop: any EventLoop
    private let store: SharedItemsStore
    private let desk: ItemDesk
    private let logger: Logger

    private let asOf = Atomic<UInt64>(0)
    private let writes = Atomic<Bool>(true)
    private let figures = Mutex(ItemSharingReading())

    // Of the loop.
    private var author: UInt64 = 0
    private var startedAt: UInt64 = 0
    private var history: UInt64 = 0
    private var position = ItemVersion.zero
    /// The last entry that a node wrote.
    private var link = ItemVersion.zero
    private var isClosed = false
    private var isWriting = false
    private var wantsToWrite = false
    private var readAt: UInt64 = 0
    private var readWait = ItemSharing.readFirst
    private var isTroubled = false

    init(_ client: RedisClient, prefix: String, desk: ItemDesk, logger: Logger) {
        loop = client.loop
        store = SharedItemsStore(client, prefix: prefix, timeout: .seconds(1))
        self.desk = desk
        self.logger = logger
    }

    // MARK: Any thread

    /// Whether all that was said anywhere until half a second ago counts in the answers of this node.
    var isCurrent: Bool { LoopWorker.now &- asOf.load(ordering: .relaxed) < Self.staleNanoseconds }

    /// Whether the last write was taken.
    var canWrite: Bool { writes.load(ordering: .relaxed) }

    /// All that was polled at that time is with the shards.
    func published(asOf time: UInt64) { asOf.store(time, ordering: .relaxed) }

    func count(_ body: (inout ItemSharingReading) -> Void) { figures.withLock { body(&$0) } }

    var reading: ItemSharingReading {
        var reading = figures.withLock { $0 }
        let last = asOf.load(ordering: .relaxed)
        reading.isOn = true
        reading.isCurrent = isCurrent
        reading.behindNanoseconds = last == 0 ? LoopWorker.now &- reading.since : LoopWorker.now &- last
        return reading
    }

    /// - Parameter heard: How far the node's log knows the stream.
    func start(author: UInt64, history: UInt64, heard: ItemVersion) {
        let now = LoopWorker.now
        count { $0.since = now }
        loop.execute { [self] in
            (self.author, startedAt) = (author, now)
            (self.history, position, link) = (history, heard, heard)
            store.client.start()
            poll()
            write()
        }
    }

    func close() {
        let done = loop.submit { [self] in
            isClosed = true
            store.client.close()
        }
        try? done.wait()
    }

    /// Own changes wait.
    func writeSoon() { loop.execute { self.write() } }

    private func onLoop(_ body: @escaping @Sendable (ItemSharing) -> Void) -> @Sendable () -> Void {
        { [self] in loop.execute { if !self.isClosed { body(self) } } }
    }

    // MARK: Polls

    private func pollLater() {
        loop.assumeIsolated().scheduleTask(in: Self.pollInterval) { [weak self] in self?.poll() }
    }

    private func poll() {
        if isClosed { return }
        let began = LoopWorker.now
        store.poll(after: position, link: link) { [weak self] result in
            guard let self, !self.isClosed else { return }
            switch result {
            case .failure(let failure):
                self.failed(failure)
                self.pollLater()
            case .success(let poll): self.take(poll, began)
            }
        }
    }

    private func take(_ poll: SharedItemsStore.Poll, _ began: UInt64) {
        recovered()
        guard poll.history != 0, poll.history == history, began &- max(readAt, startedAt) < Self.rereadNanoseconds
        else {
            return readEverything(poll)
        }
        var heard: [SharedItemsStore.Heard] = []
        var malformed = 0
        for entry in poll.entries {
            if let change = entry.heard, let previous = entry.previous {
                guard previous == link else { return readEverything(poll) }
                link = entry.id
                heard.append(change)
            } else {
                malformed += 1
                if entry.previous == link { link = entry.id }
            }
            position = entry.id
        }
        if malformed > 0 { count { $0.malformed += UInt64(malformed) } }
        if !poll.hasMore, poll.last != link { return readEverything(poll) }
        readWait = Self.readFirst
        let hasMore = poll.hasMore
        desk.hear(
            heard, history: history, heard: link, asOf: hasMore ? nil : began,
            done: onLoop { sharing in
                if hasMore { sharing.poll() } else { sharing.pollLater() }
            })
    }

    // MARK: Everything

    /// The state of reading everything.
    private final class Reading: @unchecked Sendable {
        // Of the loop, or of the desk while that works.
        let history: UInt64
        let start: ItemVersion
        let began: UInt64
        var seen: [String: SharedItems.Seen] = [:]
        var isTooMuch = false
        var old: [SharedItemsStore.Heard] = []
        init(history: UInt64, start: ItemVersion, began: UInt64) {
            self.history = history
            self.start = start
            self.began = began
        }
    }

    private func readEverything(_ poll: SharedItemsStore.Poll) {
        let now = LoopWorker.now
        guard readAt == 0 || now &- readAt >= readWait else { return pollLater() }
        if readAt > 0 { readWait = min(readWait * 2, Self.readMaximum) }
        readAt = now
        count { $0.rereads += 1 }
        guard poll.history != 0 else {
            // Nothing is there: a history begins with nothing in it.
            return store.write([], by: author, history: .random(in: 1...(.max))) { [weak self] result in
                guard let self, !self.isClosed else { return }
                switch result {
                case .failure(let failure): self.failed(failure, writing: true)
                case .success:
                    self.writes.store(true, ordering: .relaxed)
                    self.readAt = 0
                }
                self.pollLater()
            }
        }
        logger.info("all changes of items are read from Redis", metadata: ["redis.history": "\(poll.history)"])
        scan("0", Reading(history: poll.history, start: poll.last, began: now))
    }

    private func scan(_ cursor: String, _ reading: Reading) {
        store.scan(cursor) { [weak self] result in
            guard let self, !self.isClosed else { return }
            switch result {
            case .failure(let failure):
                self.failed(failure)
                self.pollLater()
            case .success(let page): self.take(page, reading)
            }
        }
    }

    private func take(_ page: SharedItemsStore.Page, _ reading: Reading) {
        let forgotten = Self.forgotten
        if page.malformed > 0 { count { $0.malformed += UInt64(page.malformed) } }
        for heard in page.heard {
            guard reading.seen.count < Self.seenMax else {
                reading.isTooMuch = true
                break
            }
            var seen = reading.seen[heard.change.item] ?? SharedItems.Seen()
            if case .window = heard.change {
                seen.window = max(seen.window, heard.version)
            } else {
                seen.main = max(seen.main, heard.version)
            }
            reading.seen[heard.change.item] = seen
            if case .restore = heard.change, heard.version < forgotten, reading.old.count < 10_000 {
                reading.old.append(heard)
            }
        }
        let cursor = page.cursor
        desk.hear(
            page.heard, history: 0, heard: .zero, asOf: nil,
            done: onLoop { sharing in
                if let cursor { sharing.scan(cursor, reading) } else { sharing.compare(reading) }
            })
    }

    private static var forgotten: ItemVersion {
        let now = EventStore.wallClock()
        return ItemVersion(now > restoredMilliseconds ? now - restoredMilliseconds : 0, 0)
    }

    private func compare(_ reading: Reading) {
        if reading.isTooMuch {
            logger.error(
                "more changes of items lie in Redis than can be compared; what is missing there is not written")
            return followFrom(reading)
        }
        desk.compare(reading.seen, isKnown: reading.history == history, forgotten: Self.forgotten) { [self] missing in
            loop.execute {
                if self.isClosed { return }
                self.count { $0.contributed += UInt64(missing.count) }
                self.contribute(missing[...], reading)
            }
        }
    }

    private func contribute(_ missing: ArraySlice<SharedItems.Register>, _ reading: Reading) {
        if missing.isEmpty {
            return store.forget(reading.old) { [weak self] in
                guard let self, !self.isClosed else { return }
                self.followFrom(reading)
            }
        }
        let batch = Self.batch(missing) { $0.change }
        let writes = missing.prefix(batch).map {
            SharedItemsStore.Write(version: $0.version, token: nil, change: $0.change)
        }
        store.write(writes, by: author, history: reading.history) { [weak self] result in
            guard let self, !self.isClosed else { return }
            switch result {
            case .failure(let failure):
                self.failed(failure, writing: true)
                self.pollLater()
            case .success:
                self.writes.store(true, ordering: .relaxed)
                self.contribute(missing.dropFirst(batch), reading)
            }
        }
    }

    private func followFrom(_ reading: Reading) {
        (history, position, link) = (reading.history, reading.start, reading.start)
        // The position counts only with all that was read, which is in the log by now.
        desk.hear([], history: history, heard: link, asOf: nil, done: onLoop { $0.poll() })
    }

    /// How many of the first make one write.
    private static func batch<Element>(
        _ elements: some Collection<Element>, _ change: (Element) -> ItemChange
    ) -> Int {
        var count = 0
        var bytes = 0
        for element in elements.prefix(writesMax) {
            bytes += ItemBook.bytes(of: change(element))
            if bytes > writeBytesMax, count > 0 { break }
            count += 1
        }
        return count
    }

    // MARK: Own changes

    private func write() {
        if isClosed { return }
        guard !isWriting else {
            wantsToWrite = true
            return
        }
        isWriting = true
        wantsToWrite = false
        desk.takeUnwritten(countMax: Self.writesMax) { [self] own in
            loop.execute { if !self.isClosed { self.write(own) } }
        }
    }

    private func write(_ own: [SharedItems.Own]) {
        let batch = own.prefix(Self.batch(own) { $0.change })
        guard !batch.isEmpty else {
            isWriting = false
            if wantsToWrite { write() }
            return
        }
        let writes = batch.map { SharedItemsStore.Write(version: nil, token: $0.token, change: $0.change) }
        store.write(writes, by: author, history: .random(in: 1...(.max))) { [weak self] result in
            guard let self, !self.isClosed else { return }
            switch result {
            case .failure(let failure):
                self.failed(failure, writing: true)
                self.desk.wrote([])
                // Again, with whatever came since, in the same order.
                self.loop.assumeIsolated().scheduleTask(in: Self.pollInterval) { [weak self] in
                    self?.isWriting = false
                    self?.write()
                }
            case .success(let (_, written)):
                self.writes.store(true, ordering: .relaxed)
                self.count { $0.written += UInt64(written.count) }
                self.desk.wrote(zip(batch, written).map { ($0.token, $1) })
                self.isWriting = false
                self.write()
            }
        }
    }

    // MARK: Trouble

    private func failed(_ failure: RedisFailure, writing: Bool = false) {
        if writing { writes.store(false, ordering: .relaxed) }
        count {
            $0.failures += 1
            $0.lastFailure = "\(failure)"
        }
        if !isTroubled {
            isTroubled = true
            logger.warning(
                "changes of items cannot be shared; what this node takes is written when Redis can be used again",
                metadata: ["redis.failure": "\(failure)"])
        }
    }

    private func recovered() {
        guard isTroubled, canWrite else { return }
        isTroubled = false
        logger.notice("changes of items are shared again")
    }
}
