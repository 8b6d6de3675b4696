import Vocabulary

@testable import LiveState

/// The plain model of one user: what `UserStates` must tell, kept in arrays and dictionaries.
struct OracleUser {
    var history: [HistoryEvent] = []
    var older: [UInt32: (day: UInt32, types: UInt32)] = [:]
    var hidden: Set<UInt32> = []
    var total = 0
    var last: UInt32 = 0
    var epoch: UInt32 = 0

    mutating func apply(
        _ event: HistoryEvent, _ configuration: UserStatesConfiguration, _ types: EventTypes, now: UInt32
    ) {
        var event = event
        event.seconds = min(event.seconds, now)
        let place = history.firstIndex { $0.seconds > event.seconds } ?? history.count
        history.insert(event, at: place)
        if history.count > configuration.historyMax {
            let gone = history.removeFirst()
            if types.seen.contains(gone.type), configuration.seenMax > 0 {
                var entry = older[gone.item] ?? (0, 0)
                entry.day = max(entry.day, gone.seconds / 86_400)
                entry.types |= 1 << UInt32(gone.type)
                older[gone.item] = entry
            }
        }
        if types.hides.contains(event.type) { hidden.insert(event.item) }
        if types.unhides.contains(event.type) { hidden.remove(event.item) }
        total += 1
        last = max(last, event.seconds)
    }

    func seen(
        _ wanted: EventTypeSet, _ configuration: UserStatesConfiguration, _ types: EventTypes, now: UInt32,
        after: UInt32
    ) -> Set<UInt32> {
        let age = configuration.seenAgeSeconds
        let first = max(after, age == 0 || age > now ? 0 : now - age)
        let bits = wanted.bits & types.seen.bits
        var seen = Set<UInt32>()
        for event in history where event.seconds >= first && bits & 1 << UInt32(event.type) != 0 {
            seen.insert(event.item)
        }
        for (item, entry) in older where entry.day >= first / 86_400 && entry.types & bits != 0 { seen.insert(item) }
        return seen
    }

    func count(_ type: UInt8, younger seconds: UInt32, now: UInt32) -> Int {
        history.count { $0.type == type && now - $0.seconds < seconds }
    }

    func isExact(_ seconds: UInt32, now: UInt32) -> Bool {
        guard total > history.count, let oldest = history.first else { return true }
        return now - oldest.seconds >= seconds
    }

    func session(_ configuration: UserStatesConfiguration, now: UInt32) -> UserSession? {
        let gap = configuration.sessionGapSeconds
        guard let last = history.last, now - last.seconds < gap else { return nil }
        var own = [last]
        for event in history.dropLast().reversed() {
            if own[own.count - 1].seconds - event.seconds >= gap { break }
            own.append(event)
        }
        return UserSession(
            events: own.count, distinctItems: Set(own.map(\.item)).count,
            secondsSinceStart: now - own[own.count - 1].seconds,
            secondsSinceLast: now - last.seconds, lastType: last.type,
            isCut: own.count == history.count && total > history.count)
    }
}

/// What the states tell of a user, in plain collections.
struct ToldUser: Equatable {
    var history: [HistoryEvent]
    var seen: Set<UInt32>
    var hidden: [UInt32]
    var total: Int
    var last: UInt32
    var session: UserSession?
    var counts: [Int]
    var exact: [Bool]

    init(_ user: OracleUser, _ states: UserStates, now: UInt32, types: EventTypeSet = .all, after: UInt32 = 0) {
        history = user.history.reversed()
        seen = user.seen(types, states.configuration, states.types, now: now, after: after)
        hidden = user.hidden.sorted()
        total = user.total
        last = user.last
        session = user.session(states.configuration, now: now)
        counts = WindowCounts.Window.allCases.flatMap { window in
            states.types.types.indices.map { user.count(UInt8($0), younger: window.seconds, now: now) }
        }
        exact = WindowCounts.Window.allCases.map { user.isExact($0.seconds, now: now) }
    }

    init(_ view: UserView, _ states: UserStates, now: UInt32, types: EventTypeSet = .all, after: UInt32 = 0) {
        var buffer = HistoryBuffer()
        view.copyHistory(into: &buffer)
        history = Array(buffer)
        var seen = Set<UInt32>()
        view.forEachSeen(types: types, now: now, after: after) { seen.insert($0) }
        self.seen = seen
        var hidden: [UInt32] = []
        view.forEachHidden { hidden.append($0) }
        self.hidden = hidden
        total = Int(view.totalEvents)
        last = view.lastActivity
        session = view.session(now: now)
        var counts = WindowCounts()
        view.count(into: &counts, now: now)
        self.counts = WindowCounts.Window.allCases.flatMap { window in
            states.types.types.indices.map { counts[UInt8($0), window] }
        }
        exact = WindowCounts.Window.allCases.map { counts.isExact($0) }
    }
}

extension UserStates {
    func told(_ user: String, now: UInt32, types: EventTypeSet = .all, after: UInt32 = 0) -> ToldUser? {
        var user = user
        return user.withUTF8 { bytes in
            read(UnsafeRawBufferPointer(bytes)) { ToldUser($0, self, now: now, types: types, after: after) }
        }
    }

    @discardableResult
    func apply(_ event: HistoryEvent, _ user: String, now: UInt32) -> AppliedEvent {
        var user = user
        return user.withUTF8 { apply(event, user: UnsafeRawBufferPointer($0), now: now) }
    }

    func epoch(_ user: String) -> UInt32 {
        var user = user
        return user.withUTF8 { epoch(of: UnsafeRawBufferPointer($0)) }
    }

    @discardableResult
    func unhide(_ item: UInt32, _ user: String) -> UInt32? {
        var user = user
        return user.withUTF8 { unhide(item, user: UnsafeRawBufferPointer($0)) }
    }

    /// The sum of what is there, counted anew.
    var countedBytes: Int {
        var bytes = slots.count * MemoryLayout<SlotTable>.stride
        for slot in slots {
            let slot = Slot(UInt16(slot))
            bytes += tableBytes(slot)
            forEachUser(slot) { bytes += $0.bytes }
        }
        return bytes
    }
}
