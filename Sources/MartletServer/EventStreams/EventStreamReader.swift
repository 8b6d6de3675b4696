import Logging
import NIOCore
import RemoteCache
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// Reads events out of one Redis stream, as one consumer of a group.
///
/// ```
///  group there ──> own entries without an acknowledgement ──none left──> new entries, waits for some
///      ^             ^       │                                             │
///      │             │       └──> stored and counting ──> acknowledged <───┘
///      │             └── claimed from others, or something failed
///      └── no such group
/// ```
/// An entry is acknowledged when its events are stored by the configured policy and count, so what a node held that died is given
/// out again; event IDs make it count once. One batch is under way at a time: where the log takes nothing, nothing is read.
/// Belongs to its loop.
final class EventStreamReader: @unchecked Sendable {
    /// The longest that a read waits for entries.
    private static let block: Duration = .seconds(1)
    private static let timeout: Duration = .seconds(2)
    /// Of events that are stored together.
    private static let eventsMax = 1000
    private static let pendingBytesMax = 2 << 20
    private static let deadLetterMax = 10_000
    private static let retryFirst: Int64 = 100
    private static let retryMaximum: Int64 = 2_000
    private static let countNanoseconds: UInt64 = 5_000_000_000
    private static let tellNanoseconds: UInt64 = 10_000_000_000

    private enum Content {
        case fields(StreamEntry)
        case huge(String)
        case gone(String)

        var id: String {
            switch self {
            case .fields(let entry): entry.id
            case .huge(let id), .gone(let id): id
            }
        }
    }

    private let client: RedisClient
    private let loop: any EventLoop
    private let name: String
    private let stream: [UInt8]
    private let settings: EventStreamSettings
    private let consumer: String
    private let node: NodeContext
    private let logger: Logger
    private let arena = DecodeArena()
    private let figures = Mutex(EventStreamReading())

    private var hasGroup = false
    /// Where the reading of own entries goes on; nil: none are left.
    private var ownAfter: String? = ""
    private var count: Int
    private var retry = EventStreamReader.retryFirst
    private var claimAt: UInt64 = 0
    private var countAt: UInt64 = 0
    private var lastRead = ""
    private var isStoring = false
    private var stopping: EventLoopPromise<Void>?
    private var isStopped = false
    private var isTroubled = false
    private var toldAt: UInt64 = 0
    private var untold = 0

    init(
        _ client: RedisClient, stream: String, _ settings: EventStreamSettings, consumer: String, node: NodeContext,
        logger: Logger
    ) {
        self.client = client
        loop = client.loop
        name = stream
        self.stream = Array(stream.utf8)
        self.settings = settings
        self.consumer = consumer
        self.node = node
        self.logger = logger
        count = settings.batch
        figures.withLock { $0.isOn = true }
    }

    var reading: EventStreamReading { figures.withLock { $0 } }

    private func count(_ body: (inout EventStreamReading) -> Void) { figures.withLock { body(&$0) } }

    func start() {
        loop.execute { [self] in
            client.start()
            claimAt = LoopWorker.now &+ claimNanoseconds
            next()
        }
    }

    /// Reads nothing more; what was stored is acknowledged before it is done.
    func stop() -> EventLoopFuture<Void> {
        loop.flatSubmit { [self] in
            if isStopped { return loop.makeSucceededVoidFuture() }
            if let stopping { return stopping.futureResult }
            let promise = loop.makePromise(of: Void.self)
            stopping = promise
            if !isStoring { finish() }
            return promise.futureResult
        }
    }

    private func finish() {
        isStopped = true
        client.close()
        stopping?.succeed()
    }

    private var claimNanoseconds: UInt64 { max(50_000_000, settings.claimAfter.nanoseconds / 2) }

    // MARK: What comes next

    private func next() {
        if isStopped { return }
        if stopping != nil { return finish() }
        if isOverloaded { return later(100) }
        guard hasGroup else { return makeGroup() }
        let now = LoopWorker.now
        if now >= countAt { return countWaiting(now) }
        if now >= claimAt { return claim(now) }
        if let ownAfter { return readOwn(ownAfter) }
        readNew()
    }

    private func later(_ milliseconds: Int64) {
        loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) { [weak self] in self?.next() }
    }

    /// Requests that wait come before events that do.
    private var isOverloaded: Bool {
        let most = UInt64(clamping: node.serving.queuedCallsMax / 2)
        return node.metrics.shards.contains { $0.queueDepth > most }
    }

    private func failed(_ failure: RedisFailure) {
        if isStopped { return }
        if case .error(let text) = failure, text.hasPrefix("NOGROUP") { hasGroup = false }
        if case .garbage(.tooLarge) = failure { count = max(1, count / 2) }
        // What was given out and did not arrive is among the own ones.
        ownAfter = ""
        count {
            $0.failures += 1
            $0.lastFailure = "\(failure)"
        }
        if !isTroubled, hasGroup {
            isTroubled = true
            logger.warning(
                "a stream of events cannot be read; the node goes on trying",
                metadata: ["events.stream": "\(name)", "redis.failure": "\(failure)"])
        }
        later(retry)
        retry = min(retry * 2, Self.retryMaximum)
    }

    private func succeeded() {
        retry = Self.retryFirst
        guard isTroubled else { return }
        isTroubled = false
        logger.notice("a stream of events is read again", metadata: ["events.stream": "\(name)"])
    }

    private func makeGroup() {
        // A group that was deleted while `new` was wanted goes on where this node was.
        let start = settings.start == .all ? "0" : lastRead.isEmpty ? "$" : lastRead
        client.createGroup(settings.group, of: stream, after: start, timeout: Self.timeout) { [weak self] failure in
            guard let self, !self.isStopped else { return }
            if let failure { return self.failed(failure) }
            self.hasGroup = true
            self.next()
        }
    }

    private func countWaiting(_ now: UInt64) {
        countAt = now &+ Self.countNanoseconds
        run(EventStreamScripts.waiting, [Array(settings.group.utf8)]) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .failure(let failure): self.failed(failure)
            case .success(let reply):
                let numbers = reply.array?.compactMap(\.integer) ?? []
                if numbers.count == 2 {
                    self.count {
                        $0.pending = UInt64(clamping: numbers[0])
                        $0.waiting = UInt64(clamping: numbers[1])
                    }
                }
                self.next()
            }
        }
    }

    private func run(_ script: String, _ words: [[UInt8]], _ completion: @escaping (RedisResult) -> Void) {
        let head = ["EVAL", script, "1"].map { Array($0.utf8) }
        client.send(
            RedisCommand(head + [stream] + words, key: 3, isWrite: false), timeout: Self.timeout, completion: completion
        )
    }

    // MARK: Reading

    private func claim(_ now: UInt64) {
        claimAt = now &+ claimNanoseconds
        let idle = String(max(1, settings.claimAfter.nanoseconds / 1_000_000))
        let words =
            [Array("XAUTOCLAIM".utf8), stream]
            + [settings.group, consumer, idle, "0", "COUNT", "1000", "JUSTID"].map { Array($0.utf8) }
        client.send(RedisCommand(words, key: 1, isWrite: true), timeout: Self.timeout) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .failure(let failure): self.failed(failure)
            case .success(let reply):
                let claimed = reply.array.flatMap { $0.count > 1 ? $0[1].array?.count : nil } ?? 0
                if claimed > 0 {
                    self.count { $0.claimed += UInt64(claimed) }
                    self.logger.info(
                        "entries of another consumer are taken over",
                        metadata: ["events.stream": "\(self.name)", "events.entries": "\(claimed)"])
                }
                // What could not be dealt with before is tried again, too.
                self.ownAfter = ""
                self.next()
            }
        }
    }

    private func readOwn(_ after: String) {
        let words = [
            settings.group, consumer, after.isEmpty ? "-" : "(\(after)", String(count),
            String(StreamedEvents.entryBytesMax), String(Self.pendingBytesMax),
        ].map { Array($0.utf8) }
        run(EventStreamScripts.pending, words) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .failure(let failure): self.failed(failure)
            case .success(let reply):
                let contents = (reply.array ?? []).compactMap(Self.content)
                self.succeeded()
                self.ownAfter = contents.last?.id
                self.take(contents)
            }
        }
    }

    private static func content(_ reply: RedisReply) -> Content? {
        guard let parts = reply.array, parts.count == 2, let id = parts[0].text else { return nil }
        guard let words = parts[1].array else { return parts[1].text == "gone" ? .gone(id) : .huge(id) }
        var fields: [StreamField] = []
        for place in stride(from: 0, to: words.count - 1, by: 2) {
            guard let name = words[place].bytes, let value = words[place + 1].bytes else { return .huge(id) }
            fields.append(StreamField(name, value))
        }
        return .fields(StreamEntry(id: id, fields: fields))
    }

    private func readNew() {
        client.read(
            stream, group: settings.group, consumer: consumer, count: count, block: Self.block, timeout: Self.timeout
        ) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .failure(let failure): self.failed(failure)
            case .success(let entries):
                self.succeeded()
                if count < settings.batch { count = min(settings.batch, count + 1) }
                self.take(entries.map { .fields($0) })
            }
        }
    }

    // MARK: Storing

    private func take(_ contents: [Content]) {
        if contents.isEmpty { return next() }
        count { $0.read += UInt64(contents.count) }
        isStoring = true
        store(contents[...])
    }

    /// Stores the first entries, as many as make up a batch, then the others.
    private func store(_ contents: ArraySlice<Content>) {
        var rest = contents
        var events: [(position: Int, event: UserEvent)] = []
        var sound: [String] = []
        var bad: [(Content, String)] = []
        while let content = rest.first, events.count < Self.eventsMax {
            rest = rest.dropFirst()
            lastRead = content.id
            let streamed: StreamedEvents
            switch content {
            case .fields(let entry): streamed = StreamedEvents(entry, of: name, node.events, arena: arena)
            case .huge:
                streamed = StreamedEvents(fault: "the entry has more than \(StreamedEvents.entryBytesMax) bytes")
            case .gone: streamed = StreamedEvents(fault: "the entry was deleted before it was read")
            }
            for event in streamed.events { events.append((events.count, event)) }
            if let fault = streamed.fault { bad.append((content, fault)) } else { sound.append(content.id) }
        }
        deliver(events, first: true) { [weak self] in
            guard let self else { return }
            self.bury(bad[...], acknowledging: sound) { self.continueStoring(rest) }
        }
    }

    private func continueStoring(_ rest: ArraySlice<Content>) {
        if !rest.isEmpty, stopping == nil, !isStopped { return store(rest) }
        isStoring = false
        next()
    }

    /// Gives events to the shards until all are stored. Those that a log refuses are given again, and nothing else is read.
    private func deliver(
        _ events: [(position: Int, event: UserEvent)], first: Bool, done: @escaping () -> Void
    ) {
        EventDelivery.begin(events, node, on: loop) { [weak self] outcome in
            guard let self, !self.isStopped else { return }
            self.count {
                $0.stored += UInt64(outcome.stored)
                $0.duplicates += UInt64(outcome.duplicates)
                if !outcome.refused.isEmpty { $0.refusals += 1 }
                if let fault = outcome.fault { $0.lastFailure = fault }
            }
            if outcome.refused.isEmpty {
                self.retry = Self.retryFirst
                return done()
            }
            // Not acknowledged: they are read again when the node is back.
            if self.stopping != nil { return self.finish() }
            let left = Set(outcome.refused)
            let again = events.filter { left.contains($0.position) }
            let wait = self.retry
            self.retry = min(self.retry * 2, Self.retryMaximum)
            self.loop.assumeIsolated().scheduleTask(in: .milliseconds(wait)) { [weak self] in
                guard let self, !self.isStopped else { return }
                if self.stopping != nil { return self.finish() }
                self.deliver(again, first: false, done: done)
            }
        }
    }

    /// Copies entries that are no events to the stream for them, then acknowledges what is done with.
    private func bury(_ bad: ArraySlice<(Content, String)>, acknowledging ids: [String], done: @escaping () -> Void) {
        guard let (content, fault) = bad.first else { return acknowledge(ids, done: done) }
        count { $0.malformed += 1 }
        tell(content.id, fault)
        guard let deadLetter = settings.deadLetter else {
            return bury(bad.dropFirst(), acknowledging: ids + [content.id], done: done)
        }
        var fields: [StreamField] = []
        if case .fields(let entry) = content { fields = entry.fields }
        for (name, text) in [("martlet_stream", name), ("martlet_id", content.id), ("martlet_reason", fault)] {
            fields.append(StreamField(Array(name.utf8), Array(text.utf8)))
        }
        client.append(fields, to: Array(deadLetter.utf8), lengthMax: Self.deadLetterMax, timeout: Self.timeout) {
            [weak self] result in
            guard let self, !self.isStopped else { return }
            var ids = ids
            switch result {
            case .success:
                self.count { $0.deadLettered += 1 }
                ids.append(content.id)
            case .failure(let failure):
                // It stays without an acknowledgement, and is copied when it is looked at again.
                self.count {
                    $0.failures += 1
                    $0.lastFailure = "\(failure)"
                }
            }
            self.bury(bad.dropFirst(), acknowledging: ids, done: done)
        }
    }

    private func tell(_ id: String, _ fault: String) {
        untold += 1
        let now = LoopWorker.now
        guard toldAt == 0 || now &- toldAt >= Self.tellNanoseconds else { return }
        toldAt = now
        logger.warning(
            "entries of a stream are no events",
            metadata: [
                "events.stream": "\(name)", "events.entry": "\(id)", "events.fault": "\(fault)",
                "events.entries": "\(untold)",
            ])
        untold = 0
    }

    private func acknowledge(_ ids: [String], done: @escaping () -> Void) {
        if ids.isEmpty { return done() }
        client.acknowledge(ids, of: stream, group: settings.group, timeout: Self.timeout) { [weak self] result in
            guard let self, !self.isStopped else { return }
            switch result {
            case .success(let count): self.count { $0.acknowledged += UInt64(count) }
            case .failure(let failure):
                // They come again, count as known, and are acknowledged then.
                self.ownAfter = ""
                self.count {
                    $0.failures += 1
                    $0.lastFailure = "\(failure)"
                }
            }
            done()
        }
    }
}
