import LiveState
import Vocabulary

/// What a shard knows of its users from their events, in the words of requests. Belongs to the shard.
///
/// Items have numbers that stay the same over generations; a generation knows which row of it a number is.
package final class LiveUsers {
    package let types: EventTypes
    package let states: UserStates
    package internal(set) var recent: RecentEvents
    package let numbers: ItemNumbers
    package let epochs: UserEpochs
    /// What users were only shown; nil: it is not remembered. Gone when the node stops, but for what the log holds behind the
    /// last snapshot.
    package let shown: UserStates?
    var buffer = HistoryBuffer()
    /// Events of items since the last merge; nil: they are not counted.
    private var activity: ItemActivityDelta?

    /// - Parameters:
    ///   - recent: Knows events by their IDs.
    ///   - numbers: Shared by all shards.
    ///   - shown: For what users were only shown; of the same types and slots as `states`.
    ///   - activity: Where events of items are counted; nil: nowhere.
    ///   - epochCount: Users beyond as many share epochs.
    package init(
        states: UserStates, recent: RecentEvents, numbers: ItemNumbers, shown: UserStates? = nil,
        activity: ItemActivityDelta? = nil, epochCount: Int = 1 << 16
    ) {
        self.shown = shown
        self.activity = activity
        types = states.types
        self.states = states
        self.recent = recent
        self.numbers = numbers
        epochs = UserEpochs(count: epochCount, slots: states.slots)
    }

    package var byteCount: Int {
        states.statistics.bytes + (shown?.statistics.bytes ?? 0) + recent.residentBytes + epochs.byteCount
    }

    // MARK: Events

    /// The event by its ID; nil where it has none.
    func key(of event: UserEvent) -> RecentEvents.Key? {
        guard !event.id.isEmpty else { return nil }
        var (user, id) = (event.user, event.id)
        return user.withUTF8 { user in
            id.withUTF8 { recent.key(user: UnsafeRawBufferPointer(user), event: UnsafeRawBufferPointer($0)) }
        }
    }

    /// Gives what was counted of items, and counts into `empty` from now on; nil where nothing is counted.
    func exchangeActivity(_ empty: ItemActivityDelta) -> ItemActivityDelta? {
        guard let counted = activity else { return nil }
        activity = empty
        return counted
    }

    var activityIsHalfFull: Bool { activity?.isHalfFull ?? false }

    /// Makes an event count.
    ///
    /// - Parameters:
    ///   - now: Seconds since 1970.
    ///   - counts: For what it is to count.
    /// - Returns: The number of its item; nil where no more items can have one: then it counts for nothing but its ID.
    @discardableResult
    package func apply(_ event: UserEvent, now: Int64, counts: EventCounts = .all) -> UInt32? {
        if counts.contains(.user), let key = key(of: event) { _ = recent.insert(key) }
        guard let type = types.code(named: event.type), let item = numbers.numberAdding(event.item) else { return nil }
        if counts.contains(.item), let activity, let kind = types.itemEventKind(type) {
            activity.count(
                kind, item: item, scenario: activity.scenarios[event.scenario],
                seconds: UInt32(clamping: event.timeMilliseconds / 1000), now: UInt32(clamping: now))
        }
        guard counts.contains(.user) else { return item }
        let taken = HistoryEvent(
            item: item, type: type, seconds: UInt32(clamping: event.timeMilliseconds / 1000), value: event.value)
        let (isShown, now) = (types.isOnlyShown(type), UInt32(clamping: now))
        var user = event.user
        let outcome = user.withUTF8 {
            (isShown ? shown : states)?.apply(taken, user: UnsafeRawBufferPointer($0), now: now)
        }
        if !isShown, let outcome, outcome.changedSlate { epochs.bump(event.user) }
        return item
    }

    // MARK: Requests

    /// What a slate needs to know of a user.
    package struct Knowledge {
        /// Rows of the model's items that speak for the user's taste, oldest first, each once, at its newest place.
        package var liked: [UInt32] = []
        /// How much, one for each.
        package var weights: [Float] = []
        /// Rows that are not to be shown: seen or hidden.
        package var blocked: [UInt32] = []
        /// Whether anything at all is known of the user.
        package var isKnown = false

        package init() {}

        /// Adds an item that the request names, as the newest.
        mutating func add(recent row: UInt32, isLiked: Bool) {
            blocked.append(row)
            if !isLiked { return }
            if let place = liked.firstIndex(of: row) {
                liked.remove(at: place)
                weights.remove(at: place)
            }
            liked.append(row)
            weights.append(1)
        }

        mutating func clear() {
            liked.removeAll(keepingCapacity: true)
            weights.removeAll(keepingCapacity: true)
            blocked.removeAll(keepingCapacity: true)
            isKnown = false
        }
    }

    /// Puts what is known of a user in place of what `knowledge` held.
    ///
    /// - Parameters:
    ///   - rows: By an item's number its row in the generation that asks; `UInt32.max` for none.
    ///   - added: The same of items beside the model's.
    ///   - now: Seconds since 1970.
    /// - Complexity: O(events + seen items).
    package func read(
        _ user: String, rows: [UInt32], added: [UInt32: UInt32] = [:], now: Int64, into knowledge: inout Knowledge
    ) {
        knowledge.clear()
        if user.isEmpty { return }
        var user = user
        user.withUTF8 { user in
            _ = states.read(UnsafeRawBufferPointer(user)) { view in
                knowledge.isKnown = true
                view.forEachSeen(now: UInt32(clamping: now)) { item in
                    if let row = Self.row(item, rows) ?? added[item] { knowledge.blocked.append(row) }
                }
                view.forEachHidden { item in
                    if let row = Self.row(item, rows) ?? added[item] { knowledge.blocked.append(row) }
                }
                view.copyHistory(into: &buffer)
            }
        }
        guard knowledge.isKnown else { return }
        buffer.liked(types, row: { Self.row($0, rows) }, rows: &knowledge.liked, weights: &knowledge.weights)
    }

    /// Puts what a ranker's live features take of a user in place of what `activity` held.
    ///
    /// - Parameters:
    ///   - rows: By an item's number its row in the generation that asks; nil: no feature is of single items.
    ///   - now: Seconds since 1970.
    /// - Complexity: O(events); allocates nothing once it is warm.
    package func read(_ user: String, rows: [UInt32]?, now: Int64, into activity: inout UserActivity) {
        var user = user
        user.withUTF8 {
            activity.fill(
                UnsafeRawBufferPointer($0), states, shown: shown, now: UInt32(clamping: now),
                row: rows.map { rows in { Self.row($0, rows) } })
        }
    }

    private static func row(_ item: UInt32, _ rows: [UInt32]) -> UInt32? {
        guard Int(item) < rows.count, rows[Int(item)] != .max else { return nil }
        return rows[Int(item)]
    }
}

/// For what an event counts. A snapshot may know of it for one thing and not for the other.
package struct EventCounts: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// For what is known of its user, and of its ID.
    package static let user = EventCounts(rawValue: 1)
    /// For the activity of its item.
    package static let item = EventCounts(rawValue: 2)
    package static let all: EventCounts = [.user, .item]
}

/// An event that was stored by an earlier process.
package struct ReplayedEvent: Sendable {
    package var event: UserEvent
    package var counts: EventCounts

    package init(_ event: UserEvent, counts: EventCounts = .all) {
        self.event = event
        self.counts = counts
    }
}
