import NIOCore
import RemoteCache
import Serving
import SharedUsers
import Synchronization
import Vocabulary

/// What all nodes know of a loop's users, through Redis: asked for before the first answer, told before an event is answered.
///
/// ```
///  request ─> known? ─────────────────────────────────────> answer
///               │ no: claim the slot, read the user, at most `wait`
///               └──────────── merged into the shard ──────> answer   (not in time: marked, and merged when it comes)
///  event ─> stored ─> appended to the user's record ─> answered      (Redis away: kept, and written when it is back)
///  each 100 ms: what other nodes claimed, and wrote of users of slots held here
/// ```
/// Nothing that Redis does fails a call. What an answer may lack is said in it. One for each loop; belongs to it.
final class UserSharing {
    let settings: SharingSettings
    let loop: any EventLoop
    let client: RedisClient
    let keys: SharingKeys
    unowned let worker: LoopWorker
    var claims: SlotClaims
    var unwritten: UnwrittenEvents
    var state = SharingState()
    /// Of what waits for Redis; any thread.
    let unwrittenCount = Atomic<Int>(0)
    private let isOnlyShown: (String) -> Bool

    private var loads: [String: Load] = [:]
    private var lastWaiter: UInt64 = 0
    private var compacting: Set<String> = []
    private var beats = HeardBeats()

    // Notices.
    private var poller: RepeatedTask?
    private var position: String?
    private var isPolling = false
    /// When the last answered look at the notices was begun.
    private(set) var heardAt: UInt64 = 0
    let startedAt = LoopWorker.now
    private var isClosed = false
    lazy var scan = SlotScan(self)

    /// - Parameter isOnlyShown: Whether a type of events says no more than that an item was shown.
    init(
        _ settings: SharingSettings, client: RedisClient, keys: SharingKeys, worker: LoopWorker,
        isOnlyShown: @escaping (String) -> Bool
    ) {
        self.settings = settings
        self.client = client
        self.keys = keys
        self.worker = worker
        self.isOnlyShown = isOnlyShown
        loop = worker.eventLoop
        claims = SlotClaims(node: settings.node)
        unwritten = UnwrittenEvents(eventsMax: settings.unwrittenMax)
    }

    func start() {
        client.start()
        let evicted: @Sendable (UInt64) -> Void = { [weak self] user in self?.forget(user) }
        worker.shard.assumeIsolated { $0.shareEvents(evicted: evicted) }
        poller = loop.scheduleRepeatedTask(
            initialDelay: .zero, delay: .milliseconds(Int64(SharingSettings.pollMilliseconds))
        ) { [weak self] _ in self?.poll() }
    }

    func close() {
        isClosed = true
        poller?.cancel()
        client.close()
    }

    /// A user was forgotten for its bytes.
    private func forget(_ user: UInt64) { claims.forget(user, in: Int(user % UInt64(Slot.count))) }

    // MARK: What is known

    /// Whether other nodes were heard of lately.
    func isFresh(_ now: UInt64) -> Bool { heardAt != 0 && now &- heardAt <= SharingSettings.freshNanoseconds }

    /// Microseconds since other nodes were heard of.
    func age(_ now: UInt64) -> Int { heardAt == 0 ? Int.max / 1000 : Int((now &- heardAt) / 1000) }

    private static func place(_ user: String) -> (hash: UInt64, slot: Int) {
        let hash = XXH64.hash(user)
        return (hash, Int(hash % UInt64(Slot.count)))
    }

    /// Whether the node that held the slot before may know what nobody else can.
    private func isSuspect(_ slot: Int, _ now: UInt64) -> Bool {
        guard let taken = claims.taken(slot) else { return false }
        if settings.hasLog, SharingSettings.name(of: taken.from) == settings.name {
            claims.settle(slot)
            return false
        }
        guard beats.uptime != 0 else { return true }
        // Claims are newer than what was heard, now and then.
        let redisNow = max(beats.now(now), taken.at)
        guard let mayHide = NodeBeat.mayHideEvents(beats.beats[taken.from], claimed: taken.at, now: redisNow) else {
            claims.settle(slot)
            return false
        }
        return mayHide
    }

    /// Finds out what other nodes know of a user, for a call.
    ///
    /// - Parameter completion: Is called once, on the loop, perhaps before this returns; `isStale`: the answer is to be marked.
    func prepare(_ user: String, deadline: UInt64, _ now: UInt64, completion: @escaping (_ isStale: Bool) -> Void) {
        if user.isEmpty { return completion(false) }
        let (hash, slot) = Self.place(user)
        if claims.knows(hash, in: slot) { return completion(!isFresh(now) || isSuspect(slot, now)) }
        let wait = min(settings.wait.nanoseconds, deadline > now ? (deadline - now) / 2 : 0)
        guard load(user, hash, slot), wait > 0, isFresh(now) else {
            // Where Redis is away, nobody waits for it.
            if loads[user] != nil { state.loadsLate &+= 1 }
            return completion(!isReadNow(hash, slot, now))
        }
        // Read within the call, where Redis is embedded in a test.
        guard loads[user] != nil else { return completion(!isReadNow(hash, slot, now)) }
        lastWaiter &+= 1
        let number = lastWaiter
        let timer = loop.scheduleTask(in: .nanoseconds(Int64(clamping: wait))) { [weak self] in
            guard let self else { return }
            giveUp(user, number)
        }
        loads[user]?.waiters.append(Waiter(number: number, timer: timer, completion: completion))
    }

    private func isReadNow(_ hash: UInt64, _ slot: Int, _ now: UInt64) -> Bool {
        claims.knows(hash, in: slot) && isFresh(now) && !isSuspect(slot, now)
    }

    // MARK: Loading

    private struct Waiter {
        let number: UInt64
        let timer: Scheduled<Void>
        let completion: (Bool) -> Void
    }

    private struct Load {
        var waiters: [Waiter] = []
    }

    private func giveUp(_ user: String, _ number: UInt64) {
        guard let place = loads[user]?.waiters.firstIndex(where: { $0.number == number }),
            let waiter = loads[user]?.waiters.remove(at: place)
        else { return }
        state.loadsLate &+= 1
        waiter.completion(true)
        worker.flushDirty()
    }

    /// Asks for a user, once at a time; false where too many are asked for.
    private func load(_ user: String, _ hash: UInt64, _ slot: Int) -> Bool {
        if loads[user] != nil { return true }
        guard loads.count < SharingSettings.loadsMax, !isClosed else { return false }
        loads[user] = Load()
        let version = claims.version(slot)
        client.run(
            SharingScripts.load, keys: [keys.users(slot), keys.owner(slot)],
            [Array(user.utf8), Array(settings.node.utf8), Array("\(settings.bounds.recordBytesMax)".utf8)],
            isWrite: false, timeout: SharingSettings.loadTimeout
        ) { [weak self] result in
            guard let self else { return }
            let isRead = take(result, user, hash, slot, version)
            let load = loads.removeValue(forKey: user)
            guard let load, !load.waiters.isEmpty else { return }
            let now = LoopWorker.now
            let isStale = !isRead || isSuspect(slot, now)
            for waiter in load.waiters {
                waiter.timer.cancel()
                waiter.completion(isStale)
            }
            worker.flushDirty()
        }
        return true
    }

    /// Merges a user that was read; false where none was.
    private func take(_ result: RedisResult, _ user: String, _ hash: UInt64, _ slot: Int, _ version: UInt32) -> Bool {
        guard case .success(let reply) = result, let parts = reply.array, parts.count == 5,
            let epoch = parts[0].integer, let now = parts[2].integer, let fault = parts[3].integer
        else {
            state.loadsFailed &+= 1
            return false
        }
        var version = version
        if epoch > 0 {
            let isCurrent = version == claims.version(slot)
            let claimed = claims.claimed(
                slot, epoch: UInt64(epoch), previous: parts[1].text, now: UInt64(clamping: now))
            if claimed == .anew {
                // Read in the same step, so newer than what made the slot another's.
                if isCurrent { version = claims.version(slot) }
                void(slot)
            }
            if claimed != .kept { announce() }
        }
        if fault != 0 { state.damages &+= 1 }
        let bytes = parts[4].bytes ?? []
        if bytes.isEmpty { state.loadsAbsent &+= 1 } else { state.loadsFound &+= 1 }
        merge(bytes, of: user)
        if epoch > 0 { _ = claims.read(hash, in: slot, version: version, epoch: UInt64(epoch)) }
        return true
    }

    /// Takes a user's record, and writes what it lacks.
    func merge(_ bytes: [UInt8], of user: String) {
        let record = UserRecord(bytes, of: user)
        state.damages &+= UInt64(record.damages)
        let merged = worker.shard.assumeIsolated { $0.merge(record.events, of: user) }
        // A long record has let go of what is old.
        let first =
            bytes.count > settings.bounds.bytesMax / 4 ? record.events.first?.timeMilliseconds ?? 0 : 0
        let missing = merged.missing.filter { $0.timeMilliseconds >= first }
        if !missing.isEmpty, !unwritten.contains(user) { write(missing) { _ in } }
        if bytes.count > settings.bounds.bytesMax { compact(user) }
    }

    /// Kept answers to a slot's users do not count any more.
    private func void(_ slot: Int) { worker.shard.assumeIsolated { $0.voidAnswers(slot: slot) } }

    // MARK: Writing

    /// Tells the other nodes of events.
    ///
    /// - Parameter completion: Is called once, with the number of events that they do not know of yet.
    func write(_ events: [UserEvent], completion: @escaping (_ unshared: Int) -> Void) {
        var users: [String: [UserEvent]] = [:]
        for event in events { users[event.user, default: []].append(event) }
        var (left, unshared) = (users.count, 0)
        if left == 0 { return completion(0) }
        for (user, events) in users {
            append(events, of: user) { [weak self] isWritten in
                if !isWritten {
                    unshared += events.count
                    self?.keep(events, of: user)
                }
                left -= 1
                if left == 0 { completion(unshared) }
            }
        }
    }

    private func keep(_ events: [UserEvent], of user: String) {
        unwritten.add(events, of: user, in: Self.place(user).slot)
        countUnwritten()
    }

    private func countUnwritten() { unwrittenCount.store(unwritten.count, ordering: .relaxed) }

    private func append(_ events: [UserEvent], of user: String, completion: @escaping (Bool) -> Void) {
        let slot = Self.place(user).slot
        client.run(
            SharingScripts.append, keys: [keys.users(slot), keys.owner(slot)],
            [
                Array(user.utf8), UserRecord.piece(events, of: user),
                Array("\(settings.bounds.recordBytesMax)".utf8), Array("\(settings.life)".utf8),
            ], isWrite: true, timeout: SharingSettings.writeTimeout
        ) { [weak self] result in
            guard let self else { return completion(false) }
            guard case .success(let reply) = result, let parts = reply.array, parts.count == 4,
                let epoch = parts[0].integer, let length = parts[2].integer, let replaced = parts[3].integer
            else {
                state.writesFailed &+= 1
                return completion(false)
            }
            if replaced != 0 { state.damages &+= 1 }
            if length > settings.bounds.bytesMax { compact(user) }
            let told = claims.wrote(slot, epoch: UInt64(clamping: epoch), holder: parts[1].text)
            if told.isLost { void(slot) }
            guard told.mustTell else {
                state.writes &+= 1
                return completion(true)
            }
            tell(.wrote(slot: slot, user: user, node: settings.node)) { [weak self] isTold in
                if isTold { self?.state.writes &+= 1 } else { self?.state.writesFailed &+= 1 }
                completion(isTold)
            }
        }
    }

    private func tell(_ notice: ClusterNotice, completion: @escaping (Bool) -> Void) {
        client.append(
            notice.fields.map { StreamField(Array($0.name.utf8), Array($0.value.utf8)) }, to: keys.claims,
            lengthMax: SharingSettings.noticesMax, timeout: SharingSettings.writeTimeout
        ) { result in
            if case .success = result { completion(true) } else { completion(false) }
        }
    }

    /// Makes a long record short again, unless somebody adds to it meanwhile.
    private func compact(_ user: String) {
        guard compacting.count < SharingSettings.compactionsMax, compacting.insert(user).inserted else { return }
        let users = keys.users(Self.place(user).slot)
        let name = Array(user.utf8)
        client.send(RedisCommand([Array("HGET".utf8), users, name], key: 1)) { [weak self] result in
            guard let self else { return }
            guard case .success(.bytes(let bytes)) = result, bytes.count > settings.bounds.bytesMax else {
                compacting.remove(user)
                return
            }
            let events = UserRecord.compacted(
                UserRecord(bytes, of: user).events, settings.bounds, isOnlyShown: isOnlyShown)
            client.run(
                SharingScripts.compact, keys: [users], [name, bytes, UserRecord.piece(events, of: user)],
                isWrite: true
            ) { [weak self] result in
                self?.compacting.remove(user)
                if case .success(.integer(1)) = result { self?.state.compactions &+= 1 }
            }
        }
    }

    /// Writes what waits for Redis.
    private func flush() {
        for (user, events) in unwritten.take(usersMax: SharingSettings.flushUsersMax) {
            append(events, of: user) { [weak self] isWritten in
                if !isWritten { self?.keep(events, of: user) }
                self?.countUnwritten()
            }
        }
        for _ in 0..<SharingSettings.flushSlotsMax {
            guard let slot = unwritten.takeSlot() else { return }
            let users = worker.shard.assumeIsolated { shard in
                shard.liveUsers.map { live in live.users(in: slot).map { ($0, live.historyToShare(of: $0)) } } ?? []
            }
            for (user, events) in users where !events.isEmpty {
                append(events, of: user) { [weak self] isWritten in
                    if !isWritten { self?.unwritten.add(slot: slot) }
                    self?.countUnwritten()
                }
            }
        }
    }

    // MARK: Notices

    /// Tells of claims that nobody was told of.
    private func announce() {
        for slot in claims.unannounced.prefix(256) {
            guard let epoch = claims.epoch(slot) else { continue }
            tell(.claim(slot: slot, epoch: epoch, node: settings.node)) { [weak self] isTold in
                if isTold { self?.claims.announced(slot, epoch: epoch) }
            }
        }
    }

    private func poll() {
        guard !isPolling, !isClosed else { return }
        isPolling = true
        let begun = LoopWorker.now
        if heardAt != 0, begun &- heardAt > SharingSettings.gapNanoseconds { loseAll() }
        guard let position else {
            client.lastEntry(of: keys.claims, timeout: SharingSettings.loadTimeout) { [weak self] result in
                guard let self else { return }
                isPolling = false
                guard case .success(let last) = result else { return }
                // Of what was claimed and read before, notices may have been missed.
                loseAll()
                self.position = last
                heardNow(begun)
            }
            return
        }
        client.read(keys.claims, after: position, count: 1000, timeout: SharingSettings.loadTimeout) {
            [weak self] result in
            guard let self else { return }
            isPolling = false
            guard case .success(let entries) = result else { return }
            for entry in entries { take(entry) }
            self.position = entries.last?.id ?? position
            if entries.count < 1000 { heardNow(begun) } else { poll() }
        }
    }

    private func heardNow(_ begun: UInt64) {
        heardAt = begun
        announce()
        if !unwritten.isEmpty { flush() }
        countUnwritten()
        scan.begin()
    }

    private func take(_ entry: StreamEntry) {
        var fields: [String: String] = [:]
        for field in entry.fields {
            fields[String(decoding: field.name, as: UTF8.self)] = String(decoding: field.value, as: UTF8.self)
        }
        guard let notice = ClusterNotice(fields, slotCount: Slot.count) else {
            state.damages &+= 1
            return
        }
        state.notices &+= 1
        guard claims.heard(notice, hash: { XXH64.hash($0) }) else { return }
        switch notice {
        case .claim(let slot, _, _): void(slot)
        case .wrote(_, let user, _): worker.shard.assumeIsolated { $0.voidAnswers(user: user) }
        }
    }

    /// - Returns: The slots that were held.
    @discardableResult
    private func loseAll() -> [Int] {
        let held = claims.loseAll()
        for slot in held { void(slot) }
        position = nil
        heardAt = 0
        return held
    }

    /// Hears the beats of all nodes.
    func hear(_ heard: HeardBeats, isEmptied: Bool) {
        beats = heard
        if isEmptied {
            // What this node knows is written again.
            for slot in loseAll() { unwritten.add(slot: slot) }
            countUnwritten()
        }
        let now = LoopWorker.now
        for slot in claims.unsettled { _ = isSuspect(slot, now) }
    }

    /// Slots whose former holders may hide events.
    var suspects: Int { claims.unsettled.count }
}

/// Touched on its loop alone, but for its count of unwritten events.
extension UserSharing: @unchecked Sendable {}
