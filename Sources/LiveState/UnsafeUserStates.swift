import Glibc
import Vocabulary

/// What a shard knows of its users from their events: histories, seen and hidden items, epochs.
///
/// Owned by one shard and used by its thread alone. Users lie in a table for each slot, so that a table that grows is small,
/// and whatever goes over all users (snapshots, hand-over) goes slot by slot. All memory is counted as it is allocated;
/// where it is more than `bytesMax`, users go who were not active lately (CLOCK: a hand goes around over all users and takes
/// the first one that was not used since it last came by; after 64 looks it takes the next one, used or not).
///
/// Times are seconds since 1970 and always come from the caller.
package final class UserStates {
    package let configuration: UserStatesConfiguration
    package let types: EventTypes
    /// The slots whose users live here.
    package let slots: Range<Int>

    private let tables: UnsafeMutablePointer<SlotTable>
    private let memory: BlobMemory
    private var counts = UserStatesStatistics()
    /// What users may take now: at most what the configuration says.
    private var bytesLimit: Int
    /// Where eviction looks next: a table, and a place in it.
    private var hand = (table: 0, place: 0)
    private static let looksMax = 64
    /// Told the hash (XXH64) of the ID of each user that goes for its bytes.
    package var onEviction: (@Sendable (UInt64) -> Void)?

    /// - Throws: `invalidConfiguration`.
    package init(
        _ configuration: UserStatesConfiguration = UserStatesConfiguration(), types: EventTypes,
        slots: Range<Int> = 0..<Slot.count
    ) throws(LiveStateError) {
        try configuration.validate()
        precondition(!slots.isEmpty && slots.lowerBound >= 0 && slots.upperBound <= Slot.count, "slots \(slots)")
        self.configuration = configuration
        self.types = types
        self.slots = slots
        bytesLimit = configuration.bytesMax
        tables = .allocate(capacity: slots.count)
        tables.initialize(repeating: SlotTable(), count: slots.count)
        memory = BlobMemory(tables: tables, firstSlot: slots.lowerBound)
        counts.bytes = slots.count * MemoryLayout<SlotTable>.stride
    }

    deinit {
        for table in 0..<slots.count { tables[table].free() }
        tables.deallocate()
    }

    package var statistics: UserStatesStatistics {
        var counts = counts
        counts.chunkBytes = memory.chunkBytes
        return counts
    }

    /// Lets users take no more than they do now, or no more than the configuration says: new ones then take the place of
    /// those who were not active lately.
    package func setGrowth(_ mayGrow: Bool) {
        bytesLimit = mayGrow ? configuration.bytesMax : min(bytesLimit, counts.bytes)
    }

    /// What users take: tables of so many places as they grow to, and a block for each.
    ///
    /// - Parameters:
    ///   - idBytes: Of a user's ID, on average.
    ///   - events: That each user has in its history, on average.
    ///   - items: That events may name.
    /// - Returns: About; what is counted in `statistics.bytes`, for all slots together.
    package static func byteCount(
        users: Int, idBytes: Double, events: Double, items: Int, historyMax: Int = UserStatesConfiguration().historyMax
    ) -> Int {
        let tables = Slot.count * MemoryLayout<SlotTable>.stride
        guard users > 0 else { return tables }
        // Three halves at a time, up to four fifths full: between a half and four fifths.
        let places = SlotTable.places(mean: Double(users) / Double(Slot.count))
        let held = min(events, Double(historyMax))
        let used =
            Double(UserBlob.headerBytes + UserBlob.slackBytes) + idBytes + held * PackedEvent.bytes(items: items)
            + (events - held) * UserBlob.seenBytesEach
        // Users differ by some bytes, and blocks have sizes.
        let blocks = [-12, -4, 4, 12].reduce(0) { $0 + BlobMemory.blockBytes(Int(used.rounded()) + $1) } / 4
        return tables + Int(Double(Slot.count) * places * 8) + users * blocks
    }

    /// Users in a slot.
    package func userCount(_ slot: Slot) -> Int {
        slots.contains(Int(slot.value)) ? tables[Int(slot.value) - slots.lowerBound].count : 0
    }

    /// Bytes of a slot's table, as allocated, without its users.
    func tableBytes(_ slot: Slot) -> Int { tables[Int(slot.value) - slots.lowerBound].bytes }

    // MARK: Changing

    /// Takes an event of a user.
    ///
    /// - Parameters:
    ///   - user: The user's ID, 1 to 255 bytes of UTF-8, of a slot that is this shard's.
    ///   - event: Its type is known (`EventTypes.isKnown`); a value that is not finite is taken for none.
    ///   - now: The present second. An event of a later second is taken as of `now`.
    /// - Complexity: O(1) for the newest event of a user; O(events of the user) for one that comes late; and O(seen items) for
    ///   one in sixteen that make others leave a full history.
    @discardableResult
    package func apply(_ event: HistoryEvent, user: UnsafeRawBufferPointer, now: UInt32) -> AppliedEvent {
        precondition(types.isKnown(event.type), "event type \(event.type) is not one of \(types.count)")
        var event = event
        if event.seconds > now {
            event.seconds = now
            counts.eventsFromTheFuture += 1
        }
        return withBlob(user) { blob, isNew in
            let place = record(event, in: &blob, now: now)
            if types.hides.contains(event.type) {
                let entry = SetEntry(item: event.item, seconds: event.seconds, type: event.type)
                counts.hiddenItemsDropped += UInt64(blob.hide(entry, max: configuration.hiddenMax))
            } else if types.unhides.contains(event.type) {
                _ = blob.unhide(event.item)
            }
            let changed = types.changesSlate.contains(event.type)
            if changed { blob.epoch = Self.next(blob.epoch) }
            blob.lastActivity = max(blob.lastActivity, event.seconds)
            if blob.totalEvents < .max { blob.totalEvents += 1 }
            counts.events += 1
            return AppliedEvent(place: place, epoch: blob.epoch, changedSlate: changed, isNewUser: isNew)
        }
    }

    /// Takes an item out of those that a user has hidden, without an event.
    ///
    /// - Returns: The user's epoch after it; nil where the item was not hidden.
    @discardableResult
    package func unhide(_ item: UInt32, user: UnsafeRawBufferPointer) -> UInt32? {
        guard let (table, place) = find(user), let blob = blob(table, place), blob.contains(item, in: .hidden)
        else { return nil }
        return withBlob(user) { blob, _ in
            _ = blob.unhide(item)
            blob.epoch = Self.next(blob.epoch)
            return blob.epoch
        }
    }

    /// Puts an item among those that a user has hidden, without an event.
    package func hide(_ item: UInt32, type: UInt8, seconds: UInt32, user: UnsafeRawBufferPointer) {
        guard find(user) != nil else { return }
        withBlob(user) { blob, _ in
            let entry = SetEntry(item: item, seconds: seconds, type: type)
            counts.hiddenItemsDropped += UInt64(blob.hide(entry, max: configuration.hiddenMax))
            blob.epoch = Self.next(blob.epoch)
        }
    }

    /// Forgets a user. - Returns: Whether there was something to forget.
    @discardableResult
    package func remove(user: UnsafeRawBufferPointer) -> Bool {
        guard let (table, place) = find(user) else { return false }
        remove(table, place)
        return true
    }

    /// Forgets all users of a slot.
    package func removeAll(_ slot: Slot) {
        guard slots.contains(Int(slot.value)) else { return }
        drop(Int(slot.value) - slots.lowerBound)
    }

    // MARK: Reading

    /// Gives `body` what is known of a user; nil where nothing is. The view is valid inside `body` alone, which must not
    /// change these states. The user counts as active.
    ///
    /// - Complexity: O(1): about three cache misses.
    package func read<R>(_ user: UnsafeRawBufferPointer, _ body: (UserView) throws -> R) rethrows -> R? {
        guard let (table, place) = find(user), let blob = blob(table, place) else { return nil }
        tables[table].markUsed(place)
        return try body(UserView(blob, types: types, configuration: configuration))
    }

    /// The user's epoch; 0 where nothing is known of it. It is never 0 for a user with state, and a user who was
    /// evicted does not come back with an epoch that it had.
    package func epoch(of user: UnsafeRawBufferPointer) -> UInt32 {
        guard let (table, place) = find(user), let blob = blob(table, place) else { return 0 }
        return blob.epoch
    }

    /// Calls `body` with each user of a slot, in no order. `body` must not change these states.
    package func forEachUser(_ slot: Slot, _ body: (UserView) throws -> Void) rethrows {
        try forEachBlob(slot) { try body(UserView($0, types: types, configuration: configuration)) }
    }

    func forEachBlob(_ slot: Slot, _ body: (UserBlob) throws -> Void) rethrows {
        guard slots.contains(Int(slot.value)) else { return }
        let table = Int(slot.value) - slots.lowerBound
        for place in 0..<tables[table].capacity {
            guard let blob = blob(table, place) else { continue }
            try body(blob)
        }
    }

    // MARK: Inside

    /// The epoch that new users begin with: above that of every user who went.
    private var firstEpoch: UInt32 = 1

    private static func next(_ epoch: UInt32) -> UInt32 { epoch == .max ? 1 : epoch + 1 }

    @inline(__always)
    private func find(_ user: UnsafeRawBufferPointer) -> (table: Int, place: Int)? {
        let hash = XXH64.hash(user)
        let slot = Int(hash % UInt64(Slot.count))
        guard slots.contains(slot), let place = tables[slot - slots.lowerBound].find(user, hash: hash) else {
            return nil
        }
        return (slot - slots.lowerBound, place)
    }

    @inline(__always)
    private func blob(_ table: Int, _ place: Int) -> UserBlob? {
        tables[table].blob(at: place).map { UserBlob($0, memory) }
    }

    /// Puts an event into history, and what leaves it among the seen.
    private func record(_ event: HistoryEvent, in blob: inout UserBlob, now: UInt32) -> AppliedEvent.Place {
        if blob.historyCount > 0, event.seconds < blob.historyLast { counts.eventsOutOfOrder += 1 }
        let seen = configuration.seenMax > 0 ? types.seen : .none
        if blob.historyCount >= configuration.historyMax {
            if event.seconds < blob.oldestEvent.seconds {
                if seen.contains(event.type) {
                    makeRoom(in: &blob, now: now)
                    blob.replaceWithLatelySeen(
                        SetEntry(item: event.item, seconds: event.seconds, type: event.type), at: blob.historyOffset, 0)
                }
                counts.eventsTooOldForHistory += 1
                return .tooOldForHistory
            }
            while blob.historyCount >= configuration.historyMax {
                makeRoom(in: &blob, now: now)
                blob.removeOldest(seen: seen)
            }
        }
        blob.insert(event)
        return .history
    }

    /// Sees to it that one more may be lately seen.
    private func makeRoom(in blob: inout UserBlob, now: UInt32) {
        guard blob.latelyCount == UserBlob.latelyMax else { return }
        let dropped = blob.mergeLatelySeen(
            max: configuration.seenMax, firstDay: SetEntry.day(configuration.firstSeenSecond(now)))
        counts.seenItemsDropped += UInt64(dropped)
    }

    /// Changes a user's blob, made where there is none, and keeps the accounts.
    @inline(__always)
    private func withBlob<R>(_ user: UnsafeRawBufferPointer, _ body: (inout UserBlob, _ isNew: Bool) -> R) -> R {
        let hash = XXH64.hash(user)
        let slot = Int(hash % UInt64(Slot.count))
        precondition(slots.contains(slot), "a user of slot \(slot) at the shard of \(slots)")
        let table = slot - slots.lowerBound
        var blob: UserBlob
        var isNew = false
        if let place = tables[table].find(user, hash: hash), let found = self.blob(table, place) {
            blob = found
            tables[table].markUsed(place)
        } else {
            isNew = true
            blob = UserBlob(id: user, in: memory)
            blob.epoch = firstEpoch
            add(blob, hash: hash, table: table, used: true)
        }
        let old = blob.capacity
        let result = body(&blob, isNew)
        counts.bytes += Int(blob.capacity) - Int(old)
        if counts.bytes > bytesLimit { evict(keeping: blob) }
        return result
    }

    private func add(_ blob: UserBlob, hash: UInt64, table: Int, used: Bool) {
        let before = tables[table].bytes
        tables[table].insert(blob.base, hash: hash, used: used)
        counts.bytes += tables[table].bytes - before + Int(blob.capacity)
        counts.users += 1
    }

    private func remove(_ table: Int, _ place: Int) {
        guard let blob = blob(table, place) else { return }
        if blob.epoch >= firstEpoch { firstEpoch = Self.next(blob.epoch) }
        let before = tables[table].bytes
        tables[table].remove(at: place)
        counts.bytes += tables[table].bytes - before - Int(blob.capacity)
        counts.users -= 1
        blob.free()
    }

    private func drop(_ table: Int) {
        // A table that shrinks puts its users elsewhere.
        while tables[table].count > 0 {
            for place in stride(from: tables[table].capacity - 1, through: 0, by: -1) { remove(table, place) }
        }
    }

    /// Takes users out until there is room again; never `kept`.
    private func evict(keeping kept: UserBlob?) {
        var looks = 0
        memory.kept = kept?.base
        defer { memory.kept = nil }
        while counts.bytes > bytesLimit, counts.users > (kept == nil ? 0 : 1) {
            guard hand.place < tables[hand.table].capacity else {
                hand = (hand.table + 1 == slots.count ? 0 : hand.table + 1, 0)
                continue
            }
            guard let blob = tables[hand.table].blob(at: hand.place), blob != memory.kept else {
                hand.place += 1
                continue
            }
            looks += 1
            if tables[hand.table].takeUsed(hand.place), looks <= Self.looksMax {
                hand.place += 1
                continue
            }
            if let onEviction, let user = self.blob(hand.table, hand.place) { onEviction(XXH64.hash(user.id)) }
            // Another may move into the gap: the hand stays.
            remove(hand.table, hand.place)
            counts.usersEvicted += 1
        }
    }

    /// Exchanges the users of a slot for copies of others, for loading. A user's epoch is raised where it could have been had
    /// before.
    func replace(_ slot: Slot, with blobs: [(blob: UserBlob, hash: UInt64)]) {
        removeAll(slot)
        let table = Int(slot.value) - slots.lowerBound
        for (original, hash) in blobs {
            var blob = UserBlob(copying: original, in: memory)
            if blob.epoch < firstEpoch { blob.epoch = firstEpoch }
            add(blob, hash: hash, table: table, used: false)
            let old = blob.capacity
            trim(&blob)
            counts.bytes += Int(blob.capacity) - Int(old)
        }
        evict(keeping: nil)
    }

    /// Lets a history that was longer than `historyMax` once be no longer.
    private func trim(_ blob: inout UserBlob) {
        guard blob.historyCount > configuration.historyMax else { return }
        let seen = configuration.seenMax > 0 ? types.seen : .none
        while blob.historyCount > configuration.historyMax {
            makeRoom(in: &blob, now: blob.lastActivity)
            blob.removeOldest(seen: seen)
        }
        blob.shrink()
    }
}

extension UserStatesConfiguration {
    /// Seen items whose last event was before it are forgotten.
    func firstSeenSecond(_ now: UInt32) -> UInt32 {
        seenAgeSeconds == 0 || seenAgeSeconds > now ? 0 : now - seenAgeSeconds
    }
}
