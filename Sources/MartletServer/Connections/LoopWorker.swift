import EventLog
import NIOCore
import NIOPosix
import NearestNeighbors
import Overload
import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// Everything that belongs to one event loop: its shard, its connections, its buffers, and the mail to other loops.
///
/// Each method runs on the loop. The shard works in steps of at most `stepNanoseconds`; between two steps the loop
/// goes through its selector (a byte to itself, through `LoopWake`), so sockets are served while calls wait. One room, as all
/// of it shares the turn of the loop: what came, what waits, what goes out. `LoopWorker+SharedCache` has what Redis adds.
final class LoopWorker {
    static let stepNanoseconds: UInt64 = 250_000
    private static let buffersKept = 64
    /// How long a slate that was made with less is kept.
    private static let reducedLifeNanoseconds: UInt64 = 10_000_000_000
    private static let bufferBytesKept = 256 << 10

    let index: Int
    let eventLoop: any EventLoop
    let shard: Shard
    let metrics: ShardMetrics
    let node: NodeContext
    let arena = DecodeArena()
    let encoder: AnswerEncoder
    /// Nil where no slate is logged.
    let slates: SlateDesk?

    private var wake: LoopWake?
    private var stepIsScheduled = false
    private var buffers: [ByteBuffer] = []
    private var dirty: [ConnectionHandler] = []
    var outboxes: [Outbox]
    private var mailIsScheduled = false
    private var partialBytes = 0
    /// How near the shard was to what it can take when it last looked at its line.
    private var pressure = 0.0
    let helping = LoopHelping()
    /// Set once, before the first connection; nil: no Redis.
    var sharedCache: SharedCache?
    /// Of one loop of the node, and set by then, too.
    var sharedCacheListener: SharedCacheListener?
    /// The same; nil: what is known of users is this node's alone.
    var userSharing: UserSharing?
    /// Answers that nobody waits for.
    private(set) lazy var refilling = LoopRefilling(
        worker: self, share: node.serving.cache.backgroundShare,
        warmMax: node.serving.cache.warmKeysMax / max(1, node.shardCount))
    private(set) var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    /// Bytes of the loop's structures, as of the last second; any thread.
    let memory = Mutex(LoopMemory())
    /// Whether answers are being evicted for the memory's sake.
    private var isShrinking = false

    init(index: Int, eventLoop: any EventLoop, shard: Shard, node: NodeContext, slates: SlateDesk? = nil) {
        self.slates = slates
        self.index = index
        self.eventLoop = eventLoop
        self.shard = shard
        self.metrics = shard.metrics
        self.node = node
        encoder = AnswerEncoder(frameBytesMax: node.limits.frameBytesMax)
        outboxes = Array(repeating: Outbox(), count: node.shardCount)
    }

    /// Sets up what needs the loop to run.
    func start() -> EventLoopFuture<Void> {
        let wake: LoopWake
        do {
            wake = try LoopWake(eventLoop: eventLoop)
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
        self.wake = wake
        sharedCache?.start()
        sharedCacheListener?.start()
        userSharing?.start()
        eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [unowned self] _ in
            self.sweep()
        }
        if node.limits.searchHelpers > 0 {
            let asking = LoopAsking(worker: self)
            shard.assumeIsolated { $0.setHelpers(asking) }
        }
        return wake.start { [unowned self] in
            self.runStep()
            self.helpStep()
            self.refilling.pump()
        }
    }

    func stop() {
        wake?.stop()
        sharedCache?.close()
        sharedCacheListener?.close()
        userSharing?.close()
        helping.stop()
    }

    static var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    // MARK: Connections

    func add(_ connection: ConnectionHandler) {
        connections[ObjectIdentifier(connection)] = connection
        metrics.connectionOpened()
    }

    func remove(_ connection: ConnectionHandler) {
        if connections.removeValue(forKey: ObjectIdentifier(connection)) != nil { metrics.connectionClosed() }
    }

    /// Once a second: closes connections that keep us waiting, and publishes gauges.
    private func sweep() {
        let now = Self.now
        for connection in connections.values { connection.closeIfStuck(now) }
        let (statistics, depth, quality, live) = shard.assumeIsolated {
            ($0.cacheStatistics, $0.depth, $0.quality, $0.liveUsers.map { ($0.states.statistics, $0.byteCount) })
        }
        if let (states, bytes) = live {
            metrics.setLiveUsers(states.users, bytes: bytes, evicted: states.usersEvicted)
        }
        measureMemory()
        metrics.setCache(CacheReading(statistics))
        let filters = shard.assumeIsolated { $0.filterStatistics }
        metrics.setFilterCache(
            hits: filters.hits, misses: filters.misses, bytes: filters.bytes, entries: filters.entryCount)
        metrics.setRefillsWaiting(refilling.count)
        metrics.setQueueDepth(depth)
        metrics.setQualityLevel(Int(quality.rawValue))
        if let sharedCache {
            metrics.setRedis(sharedCache.reading)
            sharedCache.tell()
            sharedCacheListener?.look()
        }
        if let userSharing { metrics.setSharing(userSharing.reading(now)) }
        metrics.publishThreadAllocations()
    }

    // MARK: Memory

    private func measureMemory() {
        var now = LoopMemory()
        now.shard = shard.assumeIsolated { $0.memory }
        now.connections =
            connections.count * LoopMemory.connectionBytes + partialBytes
            + buffers.reduce(arena.byteCount) { $0 + $1.capacity }
        memory.withLock { $0 = now }
    }

    /// Does what the memory's level says; see `MemoryPressure`.
    ///
    /// - Parameter cacheBytes: What the result cache of this loop may hold.
    func relieve(_ level: MemoryPressure.Level, cacheBytes: Int) {
        shard.assumeIsolated {
            $0.setCacheLimit(cacheBytes)
            $0.setUserGrowth(level < .full)
        }
        slates?.isPaused = level >= .full
        refilling.isPaused = level >= .full
        if !isShrinking {
            isShrinking = true
            shrinkCache()
        }
    }

    /// A little at a time: the loop looks at its sockets in between.
    private func shrinkCache() {
        if shard.assumeIsolated({ $0.shrinkCache(by: LoopMemory.evictionsPerTurn) }) {
            eventLoop.scheduleTask(in: .microseconds(500)) { [unowned self] in self.shrinkCache() }
        } else {
            isShrinking = false
            measureMemory()
        }
    }

    // MARK: Buffers

    /// Accounts for bytes of unfinished frames; false when all connections of the loop hold too many.
    func holdPartial(_ change: Int) -> Bool {
        partialBytes += change
        return change <= 0 || partialBytes <= node.limits.partialBytesMax
    }

    /// A buffer to collect replies in; give it back with `flush`.
    func takeBuffer() -> ByteBuffer {
        buffers.popLast() ?? node.allocator.buffer(capacity: 16 << 10)
    }

    /// Takes an emptied buffer back.
    func giveBack(_ buffer: consuming ByteBuffer) {
        guard buffers.count < Self.buffersKept, buffer.capacity <= Self.bufferBytesKept else { return }
        buffers.append(buffer)
    }

    /// Remembers that `connection` has replies to write.
    func markDirty(_ connection: ConnectionHandler) { dirty.append(connection) }

    /// Writes what has collected. Never called from inside the shard.
    func flushDirty() {
        while let connection = dirty.popLast() { connection.flush() }
    }

    // MARK: Work

    /// Hands a call to the shard of this loop.
    func submit(_ request: ShardRequest, _ ticket: CallTicket) {
        let request = node.itemsAreCurrent ? request : request.withStaleItems
        guard let userSharing else { return submitPrepared(request, ticket) }
        userSharing.prepare(request, ticket) { [unowned self] in submitPrepared($0, ticket) }
    }

    /// The same, with all that is to be known of its users.
    func submitPrepared(_ request: ShardRequest, _ ticket: CallTicket) {
        let call = call(request, ticket)
        // Events do not wait behind slates: what they need of the loop is short.
        if case .record(let batch) = request {
            if let result = shard.assumeIsolated({ $0.record(batch, call) }) { deliver(result, to: ticket) }
            return
        }
        if let rejection = shard.assumeIsolated({ $0.submit(call, now: Self.now) }) {
            refuse(rejection, call, ticket)
        } else {
            scheduleStep()
        }
    }

    /// Hands a call to the shard that `join` said leads others of its bytes.
    func submit(leading call: ShardCall, _ ticket: CallTicket) {
        if let rejection = shard.assumeIsolated({ $0.submit(leading: call, now: Self.now) }) {
            refuse(rejection, call, ticket)
        }
        scheduleStep()
    }

    /// The call as its shard takes it.
    func call(_ request: ShardRequest, _ ticket: CallTicket) -> ShardCall {
        ShardCall(
            request: request, arrived: ticket.arrived, deadline: ticket.deadline, origin: ticket, key: ticket.cacheKey,
            priority: Overload.CallPriority(ticket.priority))
    }

    /// The line is full: an answer from before, where there is one, or the rejection.
    func refuse(_ rejection: Rejection, _ call: ShardCall, _ ticket: CallTicket) {
        let isAnswered =
            (rejection.reason == .queueFull || rejection.reason == .overloaded)
            && shard.assumeIsolated { shard in
                guard let key = call.key, let kept = shard.lateAnswer(to: key, now: Self.now) else { return false }
                self.answer(kept, ticket)
                return true
            }
        if !isAnswered { deliver(.rejected(rejection), to: ticket) }
        flushDirty()
    }

    /// Whether calls wait or are under way.
    var isServing: Bool { stepIsScheduled }

    /// Hands the shard a call that nobody waits for; false when it has no room.
    func submitRefill(_ call: ShardCall) -> Bool {
        if shard.assumeIsolated({ $0.submit(call, now: Self.now) }) != nil { return false }
        scheduleStep()
        return true
    }

    /// Looks for such calls after the next look at the sockets.
    func wakeForRefills() { wake?.signal() }

    /// Learns what became of records of the event log.
    func settle(_ outcome: LogOutcome) {
        var answers: [(CallTicket, RecordedEvents)] = []
        var streamed: [(EventDelivery, RecordedEvents)] = []
        shard.assumeIsolated { shard in
            shard.settle(outcome) { call, result in
                if let ticket = call.origin as? CallTicket {
                    answers.append((ticket, result))
                } else if let delivery = call.origin as? EventDelivery {
                    streamed.append((delivery, result))
                }
            }
        }
        for (delivery, result) in streamed { finish(result, of: delivery) }
        for (ticket, result) in answers { deliver(result, to: ticket) }
        flushDirty()
    }

    /// Answers events, once the other nodes know of them or cannot be told now.
    private func deliver(_ result: RecordedEvents, to ticket: CallTicket) {
        guard let userSharing, !result.counted.isEmpty else { return deliverTold(result, to: ticket) }
        userSharing.write(result.counted) { [unowned self] unshared in
            var result = result
            result.unshared = unshared
            deliverTold(result, to: ticket)
            flushDirty()
        }
    }

    private func deliverTold(_ result: RecordedEvents, to ticket: CallTicket) {
        count(result)
        deliver(.recorded(result), to: ticket)
    }

    private func count(_ result: RecordedEvents) {
        metrics.countEvents(.stored, result.stored)
        metrics.countEvents(.duplicate, result.duplicates)
        metrics.countEvents(.refused, result.refused.count)
        metrics.countEvents(.unknownItem, result.unknownItems)
    }

    /// Events that came through a stream, of this loop's users.
    func record(_ batch: EventBatch, of delivery: EventDelivery) {
        let call = ShardCall(request: .record(batch), arrived: Self.now, deadline: .max, origin: delivery)
        if let result = shard.assumeIsolated({ $0.record(batch, call) }) { finish(result, of: delivery) }
    }

    private func finish(_ result: RecordedEvents, of delivery: EventDelivery) {
        count(result)
        guard let userSharing, !result.counted.isEmpty else { return delivery.finish(result) }
        userSharing.write(result.counted) { unshared in
            var result = result
            result.unshared = unshared
            delivery.finish(result)
        }
    }

    /// The first step runs after the sockets that are ready now.
    private func scheduleStep() {
        guard !stepIsScheduled else { return }
        stepIsScheduled = true
        helping.setBusy(true, Self.now)
        eventLoop.execute { [unowned self] in self.runStep() }
    }

    private func runStep() {
        guard stepIsScheduled else { return }
        let until = Self.now &+ Self.stepNanoseconds
        let waiting = shard.assumeIsolated { shard in
            shard.run(until: until, clock: { Self.now }) { _, call, kept in
                self.give(kept, to: call)
            } answered: { shard, call, answer, times in
                self.give(answer, times, to: call, shard)
            }
        }
        pressure = waiting ? shard.assumeIsolated { $0.load(at: Self.now) } : 0
        flushDirty()
        flushMail()
        if waiting {
            wake?.signal()
        } else {
            stepIsScheduled = false
            helping.setBusy(false, Self.now)
            if refilling.count > 0 { wake?.signal() }
        }
    }

    /// Ends the flight of a call whose answer was found elsewhere and kept.
    func land(_ call: ShardCall) {
        let waiting = shard.assumeIsolated { shard in
            shard.land(call, now: Self.now) { _, call, kept in
                self.give(kept, to: call)
            } answered: { shard, call, answer, times in
                self.give(answer, times, to: call, shard)
            }
        }
        flushDirty()
        if waiting { scheduleStep() }
    }

    private func give(_ kept: KeptAnswer, to call: ShardCall) {
        if let ticket = call.origin as? CallTicket {
            answer(kept, ticket)
        } else if let origin = call.origin as? RefillOrigin {
            refilling.finish(origin, isKept: false, nanoseconds: 0)
        }
    }

    private func give(_ answer: ShardAnswer, _ times: StageTimes, to call: ShardCall, _ shard: isolated Shard) {
        guard let ticket = call.origin as? CallTicket else {
            if let origin = call.origin as? RefillOrigin { keep(answer, times, origin, shard) }
            return
        }
        count(answer, times, ticket)
        if ticket.gather == nil { self.answer(answer, ticket, shard) } else { deliver(answer, to: ticket) }
    }

    // MARK: Help with scans of other loops

    /// Takes an invitation of another loop.
    func help(_ invitation: ScanInvitation) {
        if helping.accept(invitation) { helpStep() }
    }

    /// Reads parts for a short while, then looks at the sockets; calls of its own come first.
    private func helpStep() {
        if helping.step(metrics) { wake?.signal() }
    }

    private func count(_ answer: ShardAnswer, _ times: StageTimes, _ ticket: CallTicket) {
        metrics.record(.queue, nanoseconds: times.queue)
        if times.filter > 0 { metrics.record(.filter, nanoseconds: times.filter) }
        if times.retrieve > 0 { metrics.record(.retrieve, nanoseconds: times.retrieve) }
        if times.rank > 0 { metrics.record(.rank, nanoseconds: times.rank) }
        if times.fuse > 0 { metrics.record(.fuse, nanoseconds: times.fuse) }
        if times.rerank > 0 { metrics.record(.rerank, nanoseconds: times.rerank) }
        switch answer {
        case .slate(let slate):
            metrics.count(slate)
            if slate.degraded.contains(DegradationSet(.staleUserState)) { metrics.countStaleUsers(1) }
        case .slates(let slates):
            metrics.countStaleUsers(slates.slates.count { $0.degraded.contains(DegradationSet(.staleUserState)) })
        case .ranked(let ranked): metrics.countStaleUsers(ranked.isUserStale ? 1 : 0)
        default: break
        }
        if case .slates(let slates) = answer {
            metrics.count(slates)
            for capture in slates.captures { _ = self.slates?.log(capture, isOfMany: true) }
        }
        if case .rejected(let rejection) = answer {
            // Parts of a call for many are counted where they are put together.
            if ticket.gather == nil { metrics.countRejected(rejection.reason) }
            metrics.countLate(rejection)
        }
    }

    /// Keeps an answer that nobody waits for.
    private func keep(
        _ answer: ShardAnswer, _ times: StageTimes, _ origin: RefillOrigin, _ shard: isolated Shard
    ) {
        var isKept = false
        if case .slate(let slate) = answer, encoder.encode(answer).0 == .ok {
            isKept = slate.isCacheable
            if isKept { keep(slate, origin.key, origin.scenario, Self.now, shard) }
        }
        if !isKept { shard.refreshFailed(origin.key) }
        refilling.finish(
            origin, isKept: isKept,
            nanoseconds: times.filter &+ times.retrieve &+ times.rank &+ times.fuse &+ times.rerank)
    }

    /// Keeps the slate that was encoded last.
    private func keep(_ slate: Slate, _ key: [UInt8], _ scenario: String, _ now: UInt64, _ shard: isolated Shard) {
        guard userSharing == nil || encoder.hasRoom(Self.staleMark.count) else { return }
        key.withUnsafeBytes { key in
            encoder.withKept {
                shard.keep(
                    $0, for: key, scenario: scenario, tag: UInt16(node.scenarioIndex(scenario)),
                    generation: slate.generation.number, now: now, seconds: slate.seconds, stamp: slate.stamp,
                    version: slate.overlay?.version ?? 0, shown: ShownSketch(slate.items),
                    nanosecondsMax: slate.quality == .full ? .max : Self.reducedLifeNanoseconds)
            }
        }
        slates?.remember(slate.capture.map(\.requestID), for: key)
    }

    /// `degraded: [stale_slate]`, to stand behind an encoded `RecommendReply`: repeated fields add up.
    private static let staleSlateField: [UInt8] = [0x32, 0x01, Degradation.staleSlate.rawValue]

    /// Sends a kept answer to a call that waited for another of the same bytes, or that has no time for a new one.
    private func answer(_ kept: KeptAnswer, _ ticket: CallTicket) {
        let nanoseconds = Self.now &- ticket.arrived
        metrics.recordRequest(
            scenario: Int(kept.tag), kept.isLastResort ? .degraded : .cached, nanoseconds: nanoseconds)
        metrics.countRequest(ticket.method.counted, .ok)
        let microseconds = UInt32(clamping: nanoseconds / 1000)
        var suffix = (ticket.cacheKey ?? []).withUnsafeBytes {
            self.suffix(
                of: kept.body, by: kept.generation, scenario: Int(kept.tag), request: $0, own: ticket.requestID)
        }
        if kept.isLastResort,
            FrameHeader.byteCount + kept.body.count + suffix.count + Self.staleSlateField.count
                <= node.limits.frameBytesMax
        {
            suffix += Self.staleSlateField
        }
        if ticket.home === self {
            ticket.connection.reply(
                to: ticket, status: .ok, flags: kept.flags, microseconds: microseconds, load: 0, body: kept.body,
                suffix: suffix)
        } else {
            replyRemotely(
                ticket, status: .ok, flags: kept.flags, microseconds: microseconds, load: 0, body: kept.body,
                suffix: suffix)
        }
    }

    /// Encodes an answer on the shard's loop, keeps it when it may be kept, and sends it.
    private func answer(_ answer: ShardAnswer, _ ticket: CallTicket, _ shard: isolated Shard) {
        let started = Self.now
        let (status, flags) = encoder.encode(answer)
        let done = Self.now
        metrics.record(.encode, nanoseconds: done &- started)
        if case .slate(let slate) = answer {
            if status == .ok, slate.isCacheable, let key = ticket.cacheKey {
                keep(slate, key, ticket.scenario, done, shard)
                share(slate, ticket, shard)
            }
            // Behind what is kept: it is of this answer alone.
            let isMarked =
                status == .ok && !node.itemsAreCurrent && encoder.hasRoom(Self.staleMark.count)
                && !slate.degraded.contains(DegradationSet(.staleUserState))
            if isMarked { encoder.append(staleMark(behind: 0)) }
            // The same: the answer has this ID once.
            if status == .ok, let capture = slate.capture { log(capture) }
            metrics.recordRequest(
                scenario: node.scenarioIndex(ticket.scenario),
                status != .ok
                    ? .failed : !isMarked && slate.degraded.isEmpty && slate.fallback == .none ? .served : .degraded,
                nanoseconds: done &- ticket.arrived)
        } else if case .rejected = answer, ticket.method == .recommend {
            metrics.recordRequest(
                scenario: node.scenarioIndex(ticket.scenario), .failed, nanoseconds: done &- ticket.arrived)
        }
        let microseconds = UInt32(clamping: (done &- ticket.arrived) / 1000)
        let load = loadHint(shard.depth)
        metrics.countRequest(ticket.method.counted, status)
        if ticket.home === self {
            encoder.withBody {
                ticket.connection.reply(
                    to: ticket, status: status, flags: flags, microseconds: microseconds, load: load, body: $0)
            }
        } else {
            let reply = encoder.withBody {
                RemoteReply(
                    ticket: ticket, status: status, flags: flags, microseconds: microseconds, load: load,
                    body: node.allocator.buffer(bytes: $0))
            }
            outboxes[ticket.home.index].replies.append(reply)
            scheduleMail()
        }
    }

    /// Logs the slate whose answer was encoded last, and names its request ID in the answer.
    private func log(_ capture: SlateCapture) {
        guard let slates else { return }
        let suffix = SlateDesk.suffix(capture.requestID)
        if encoder.hasRoom(suffix.count), slates.log(capture) { encoder.append(suffix) }
    }

    /// What stands behind an answer that a cache gives out again: what made it, and its request ID where it is sampled and
    /// logged anew.
    @inline(__always)
    func suffix(
        of kept: UnsafeRawBufferPointer, by generation: UInt64, scenario: Int, request: UnsafeRawBufferPointer,
        own: @autoclosure () -> String?
    ) -> [UInt8] {
        let origin = encoder.origin(ofNumber: generation) ?? originOfOther(generation)
        let mark =
            userSharing == nil && node.itemsAreCurrent
            ? [] : staleMark(behind: FrameHeader.byteCount - 4 + kept.count + origin.count)
        if slates == nil { return mark.isEmpty ? origin : origin + mark }
        return origin + logRepeated(scenario: scenario, request, kept, origin, own: own()) + mark
    }

    /// What marks a slate while other nodes are not heard of: one more degradation, behind those that it has.
    private func staleMark(behind bytes: Int) -> [UInt8] {
        if node.itemsAreCurrent, userSharing?.isFresh(Self.now) ?? true { return [] }
        metrics.countDegraded(.staleUserState)
        metrics.countStaleUsers(1)
        return bytes + Self.staleMark.count <= node.limits.frameBytesMax ? Self.staleMark : []
    }

    /// Field 6 of a RecommendReply: a packed list of one, DEGRADATION_STALE_USER_STATE.
    static let staleMark: [UInt8] = [6 << 3 | 2, 1, 8]

    /// Of a generation that has answered nothing here yet.
    private func originOfOther(_ number: UInt64) -> [UInt8] {
        shard.assumeIsolated { $0.generation(numbered: number) }.map(encoder.origin(of:)) ?? []
    }

    /// Logs a slate that the cache gives out again, where it is sampled.
    ///
    /// - Returns: What is put behind the answer.
    private func logRepeated(
        scenario: Int, _ request: UnsafeRawBufferPointer, _ answer: UnsafeRawBufferPointer, _ origin: [UInt8],
        own: @autoclosure () -> String?
    ) -> [UInt8] {
        guard let slates, let id = slates.sample(scenario: scenario, own: own()) else { return [] }
        let suffix = SlateDesk.suffix(id)
        guard
            FrameHeader.byteCount - 4 + answer.count + origin.count + suffix.count + Self.staleMark.count
                <= node.limits.frameBytesMax,
            slates.log(repeated: request, Array(answer) + origin, as: id)
        else { return [] }
        return suffix
    }

    /// Sends an answer that is not kept: a part of a gather, or a rejection at the door.
    private func deliver(_ answer: ShardAnswer, to ticket: CallTicket) {
        guard ticket.home === self else {
            outboxes[ticket.home.index].answers.append((ticket, answer))
            scheduleMail()
            return
        }
        finish(answer, ticket)
    }

    /// On the connection's loop: completes the gather, encodes, replies.
    private func finish(_ answer: ShardAnswer, _ ticket: CallTicket) {
        let (status, flags): (StatusCode, ReplyFlags)
        if let gather = ticket.gather {
            guard gather.add(answer) else { return }
            (status, flags) = gather.encode(with: encoder)
        } else {
            (status, flags) = encoder.encode(answer)
        }
        if case .rejected(let rejection) = answer { metrics.countRejected(rejection.reason) }
        finish(ticket, status, flags)
    }

    private func finish(_ ticket: CallTicket, _ status: StatusCode, _ flags: ReplyFlags) {
        metrics.countRequest(ticket.method.counted, status)
        let microseconds = UInt32(clamping: (Self.now &- ticket.arrived) / 1000)
        encoder.withBody {
            ticket.connection.reply(
                to: ticket, status: status, flags: flags, microseconds: microseconds, load: 0, body: $0)
        }
    }

    /// 0 is idle, 65535 a full queue.
    func loadHint(_ depth: Int) -> UInt16 {
        let share = Double(depth) / Double(max(1, shard.configuration.queuedCallsMax))
        return UInt16(65535 * min(1, max(share, pressure)))
    }

    // MARK: Mail to other loops: one batch for each turn

    /// What waits to be carried to one other loop.
    struct Outbox {
        var calls: [ForwardedCall] = []
        var requests: [(ShardRequest, CallTicket)] = []
        var replies: [RemoteReply] = []
        var answers: [(CallTicket, ShardAnswer)] = []
        var changes = SharedCache.Changes()

        var isEmpty: Bool {
            calls.isEmpty && requests.isEmpty && replies.isEmpty && answers.isEmpty && changes.isEmpty
        }
    }

    /// A Recommend for another loop's shard, still encoded.
    struct ForwardedCall {
        let ticket: CallTicket
        let body: [UInt8]
    }

    struct RemoteReply {
        let ticket: CallTicket
        let status: StatusCode
        let flags: ReplyFlags
        let microseconds: UInt32
        let load: UInt16
        let body: ByteBuffer
    }

    /// Carries an outbox over; each part is touched by one loop at a time.
    private struct Mail: @unchecked Sendable {
        let outbox: Outbox
    }

    func forward(_ call: ForwardedCall, to shard: Int) {
        outboxes[shard].calls.append(call)
        scheduleMail()
    }

    func forward(_ request: ShardRequest, _ ticket: CallTicket, to shard: Int) {
        outboxes[shard].requests.append((request, ticket))
        scheduleMail()
    }

    func scheduleMail() {
        guard !mailIsScheduled else { return }
        mailIsScheduled = true
        eventLoop.execute { [unowned self] in self.flushMail() }
    }

    private func flushMail() {
        mailIsScheduled = false
        for target in outboxes.indices where !outboxes[target].isEmpty {
            let mail = Mail(outbox: outboxes[target])
            outboxes[target] = Outbox()
            let worker = node.workers[target]
            worker.eventLoop.execute { worker.receive(mail) }
        }
    }

    private func receive(_ mail: Mail) {
        helping.countWork(Self.now)
        note(mail.outbox.changes)
        for call in mail.outbox.calls {
            call.body.withUnsafeBytes { RecommendCalls.serveForwarded(call.ticket, body: $0, on: self) }
        }
        for (request, ticket) in mail.outbox.requests { submit(request, ticket) }
        for reply in mail.outbox.replies {
            reply.body.withUnsafeReadableBytes {
                reply.ticket.connection.reply(
                    to: reply.ticket, status: reply.status, flags: reply.flags, microseconds: reply.microseconds,
                    load: reply.load, body: $0)
            }
        }
        for (ticket, answer) in mail.outbox.answers { finish(answer, ticket) }
        flushDirty()
    }

    /// On the connection's loop: answers a call about the node.
    func reply(_ message: some MessageBody, to ticket: CallTicket) {
        let (status, flags) = encoder.encode(message)
        finish(ticket, status, flags)
    }

    /// Answers a call with why it is not served; on any loop.
    func refuse(_ ticket: CallTicket, _ rejection: Rejection) {
        deliver(.rejected(rejection), to: ticket)
        if ticket.home === self { flushDirty() }
    }

    /// Sends the answer of a forwarded call that needed no work.
    func replyRemotely(
        _ ticket: CallTicket, status: StatusCode, flags: ReplyFlags, microseconds: UInt32, load: UInt16,
        body: UnsafeRawBufferPointer, suffix: [UInt8] = []
    ) {
        var buffer = node.allocator.buffer(capacity: body.count + suffix.count)
        buffer.writeBytes(body)
        buffer.writeBytes(suffix)
        outboxes[ticket.home.index].replies.append(
            RemoteReply(
                ticket: ticket, status: status, flags: flags, microseconds: microseconds, load: load, body: buffer))
        scheduleMail()
    }
}

/// Bytes of what belongs to one loop.
struct LoopMemory: Sendable, Equatable {
    /// Of an idle connection: its channel, its handlers, its socket's record. About; a receive buffer belongs to the loop.
    static let connectionBytes = 4 << 10
    /// Answers that are evicted between two looks at the sockets.
    static let evictionsPerTurn = 128

    var shard = ShardMemory()
    /// Connections, what they have not sent whole, and buffers for replies.
    var connections = 0
}

extension KeptAnswer {
    /// Of a reply that carries it.
    var flags: ReplyFlags { isStale ? [.cached, .stale] : .cached }
}

extension CacheReading {
    init(_ statistics: ResultCacheStatistics) {
        self.init()
        bytes = statistics.bytes
        usedBytes = statistics.usedBytes
        entries = statistics.entryCount
        departures = statistics.evictions
        unfit = statistics.unfit
        admissions = [statistics.insertions, statistics.admissions, statistics.rejections, statistics.refusals]
    }
}

/// All state is touched on `eventLoop` alone; other loops only carry references to it.
extension LoopWorker: @unchecked Sendable {}
