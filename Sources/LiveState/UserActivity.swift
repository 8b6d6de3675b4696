/// What features take of a user's state, as of one second: counts of windows, the session, and what was done with which item.
///
/// Training and serving fill it by the same code from the same kind of states. Used again for one user after the other.
package struct UserActivity: Sendable {
    /// An event as features see it.
    package struct Event: Sendable, Hashable {
        /// The item's row in the model that asks.
        package var row: UInt32
        package var seconds: UInt32
        /// The code of its type.
        package var type: UInt8
    }

    /// One memory of a user's events: those that say something of it, or those by which it was only shown something.
    package struct Memory: Sendable {
        /// The second of the newest event, which all values are as of; nil: nothing is known.
        package fileprivate(set) var newest: UInt32?
        package fileprivate(set) var counts = WindowCounts()
        /// Events with items that the model knows, newest first; empty where they were not asked for.
        package fileprivate(set) var events: [Event] = []

        fileprivate mutating func clear() {
            newest = nil
            counts.reset()
            events.removeAll(keepingCapacity: true)
        }
    }

    /// The second for which it was filled.
    package private(set) var now: UInt32 = 0
    package private(set) var known = Memory()
    package private(set) var shown = Memory()
    /// Nil where the user is in none.
    package private(set) var session: UserSession?
    package private(set) var types: EventTypes?
    private var buffer = HistoryBuffer()

    package init() {}

    /// Puts what is known of a user in place of what was there.
    ///
    /// - Parameters:
    ///   - user: The user's ID in UTF-8; empty: nobody.
    ///   - states: Events that say something of users.
    ///   - shown: Events by which users were only shown something; nil: they are not remembered.
    ///   - now: Seconds since 1970.
    ///   - row: The row of an item by its number, in the model that asks; nil: events with items are not wanted.
    /// - Complexity: O(events of the user); allocates nothing once it is warm.
    package mutating func fill(
        _ user: UnsafeRawBufferPointer, _ states: UserStates, shown: UserStates?, now: UInt32,
        row: ((UInt32) -> UInt32?)?
    ) {
        clear(now: now)
        types = states.types
        guard !user.isEmpty else { return }
        _ = states.read(user) { view in
            session = view.session(now: now)
            Self.take(view, now, row, &buffer, into: &known)
        }
        _ = shown?.read(user) { Self.take($0, now, row, &buffer, into: &self.shown) }
    }

    /// Makes it that of somebody of whom nothing is known.
    package mutating func clear(now: UInt32) {
        self.now = now
        session = nil
        known.clear()
        shown.clear()
    }

    private static func take(
        _ view: UserView, _ now: UInt32, _ row: ((UInt32) -> UInt32?)?, _ buffer: inout HistoryBuffer,
        into memory: inout Memory
    ) {
        guard view.historyCount > 0 else { return }
        memory.newest = view.newest
        view.count(into: &memory.counts, now: now)
        guard let row else { return }
        view.copyHistory(into: &buffer)
        for event in buffer {
            guard let row = row(event.item) else { continue }
            memory.events.append(Event(row: row, seconds: event.seconds, type: event.type))
        }
    }
}

extension EventTypes {
    /// Types whose events say that their item was wanted.
    package var positives: EventTypeSet { codes { $0 > 0 } }
    /// Types whose events say that it was not.
    package var negatives: EventTypeSet { codes { $0 < 0 } }

    private func codes(where isMember: (Float) -> Bool) -> EventTypeSet {
        var set = EventTypeSet.none
        for (code, type) in types.enumerated() where isMember(type.weight) { set.insert(UInt8(code)) }
        return set
    }

    /// Whether an event of the type is kept as one by which its user was only shown something.
    ///
    /// It says nothing of the user, and would push out of the history what does.
    package func isOnlyShown(_ code: UInt8) -> Bool {
        impressions.contains(code) && self[code]?.weight == 0 && !changesTheUser(code)
    }
}

extension WindowCounts {
    /// The events of all types of a set.
    package func sum(_ types: EventTypeSet, _ window: Window) -> Int {
        var sum = 0
        for code in 0..<UInt8(EventTypes.countMax) where types.contains(code) { sum += self[code, window] }
        return sum
    }
}

extension HistoryBuffer {
    /// The items whose events speak for the user's taste, oldest first, each once, at its newest place, and how much.
    ///
    /// - Parameter row: The row of an item by its number; nil: the model has none.
    package func liked(
        _ types: EventTypes, row: (UInt32) -> UInt32?, rows: inout [UInt32], weights: inout [Float]
    ) {
        // Newest first: the first that is met of an item is the one that counts.
        var met: Set<UInt32> = []
        for event in self {
            guard let row = row(event.item), met.insert(row).inserted, let weight = types[event.type]?.weight,
                weight > 0
            else { continue }
            rows.append(row)
            weights.append(weight)
        }
        rows.reverse()
        weights.reverse()
    }
}
