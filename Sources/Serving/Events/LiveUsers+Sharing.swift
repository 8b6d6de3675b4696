import LiveState
import Vocabulary

/// What became of a user when the word of other nodes was heard.
package struct MergedUser: Sendable {
    /// Events that this node did not know of.
    package var applied = 0
    /// What this node knows of the user's history and the others do not, oldest first.
    package var missing: [UserEvent] = []
}

/// What several nodes know of one user becomes what each of them knows.
///
/// The same events give the same state in whatever order and however often they are merged, up to what a history has room for:
/// an event is known by its item, type and second, and of hides and what undoes them the latest counts.
extension LiveUsers {
    /// By which clocks of nodes may differ.
    private static let skewSeconds: UInt32 = 300

    private struct Known: Hashable {
        var item: UInt32
        var type: UInt8
        var seconds: UInt32
    }

    /// Takes events of a user that were stored by any node.
    ///
    /// - Parameters:
    ///   - events: Each once, oldest first. Items and types have 1 to 255 bytes; those of types that are not known here are passed
    ///     over. Their IDs count as had.
    ///   - now: Seconds since 1970.
    /// - Returns: What was new to either side.
    /// - Complexity: O(events + history); O(seen items) more where there are events from before the history.
    package func merge(_ events: [UserEvent], of user: String, now: Int64) -> MergedUser {
        var merged = MergedUser()
        let now = UInt32(clamping: now)
        let history = history(of: user, in: states)
        var known = Set(history.map(Self.known))
        var oldestShown: UInt32 = 0
        if let shown {
            let events = self.history(of: user, in: shown)
            for event in events { known.insert(Self.known(event)) }
            if events.count >= shown.configuration.historyMax { oldestShown = events.map(\.seconds).min() ?? 0 }
        }
        var unheard = known
        var seen: Set<UInt32>?
        let oldest =
            history.count >= states.configuration.historyMax ? (history.map(\.seconds).min() ?? 0) : 0
        // Of each item the latest hide, or what undid it, among the events and in the history.
        var latest: [UInt32: (seconds: UInt32, type: UInt8)] = [:]
        var changes = false
        for event in events {
            if let key = key(of: event) { _ = recent.insert(key) }
            guard let type = types.code(named: event.type), let item = numbers.numberAdding(event.item) else {
                continue
            }
            // As the node had it that took it: clocks differ. What is later than that was not written by a node.
            let seconds = UInt32(clamping: event.timeMilliseconds / 1000)
            if seconds > now, seconds - now > Self.skewSeconds { continue }
            let taken = HistoryEvent(item: item, type: type, seconds: seconds, value: event.value)
            unheard.remove(Self.known(taken))
            if types.hides.contains(type) || types.unhides.contains(type) { latest[item] = (seconds, type) }
            guard known.insert(Self.known(taken)).inserted else { continue }
            let isShown = types.isOnlyShown(type)
            if isShown, seconds < oldestShown { continue }
            if !isShown, seconds < oldest, !types.hides.contains(type), !types.unhides.contains(type) {
                // It would be seen, and nothing more.
                if seen == nil { seen = seenItems(of: user, now: now) }
                guard types.seen.contains(type), seen?.insert(item).inserted ?? false else { continue }
            }
            withBytes(of: user) { _ = (isShown ? shown : states)?.apply(taken, user: $0, now: max(now, seconds)) }
            merged.applied += 1
            if !isShown { changes = true }
        }
        if !latest.isEmpty, settleHidden(latest, history, of: user) { changes = true }
        if changes { epochs.bump(user) }
        merged.missing = unheard.sorted { ($0.seconds, $0.item, $0.type) < ($1.seconds, $1.item, $1.type) }
            .compactMap { event($0, of: user, history) }
        return merged
    }

    /// What is known of a user's history, for the others.
    package func historyToShare(of user: String) -> [UserEvent] {
        let history = history(of: user, in: states)
        return history.reversed().compactMap { event(Self.known($0), of: user, history) }
    }

    /// Calls `body` with the users of a slot.
    package func users(in slot: Int) -> [String] {
        var users: [String] = []
        states.forEachUser(Slot(UInt16(slot))) { users.append(String(decoding: $0.id, as: UTF8.self)) }
        return users
    }

    // MARK: Inside

    private func withBytes(of user: String, _ body: (UnsafeRawBufferPointer) -> Void) {
        var user = user
        user.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    private static func known(_ event: HistoryEvent) -> Known {
        Known(item: event.item, type: event.type, seconds: event.seconds)
    }

    /// Newest first.
    private func history(of user: String, in states: UserStates) -> [HistoryEvent] {
        var events: [HistoryEvent] = []
        withBytes(of: user) { bytes in
            states.read(bytes) { view in
                view.copyHistory(into: &buffer)
                events = Array(buffer)
            }
        }
        return events
    }

    private func seenItems(of user: String, now: UInt32) -> Set<UInt32> {
        var items: Set<UInt32> = []
        withBytes(of: user) { bytes in
            states.read(bytes) { view in view.forEachSeen(now: now) { items.insert($0) } }
        }
        return items
    }

    /// Where a hide, or what undid one, came here later than what was merged, it counts again.
    private func settleHidden(
        _ latest: [UInt32: (seconds: UInt32, type: UInt8)], _ history: [HistoryEvent], of user: String
    ) -> Bool {
        var changes = false
        for (item, merged) in latest {
            let own = history.first {
                $0.item == item && (types.hides.contains($0.type) || types.unhides.contains($0.type))
            }
            let (seconds, type) =
                own.map { $0.seconds > merged.seconds ? ($0.seconds, $0.type) : merged } ?? merged
            let hides = types.hides.contains(type)
            withBytes(of: user) { bytes in
                let isHidden = states.read(bytes) { $0.isHidden(item) } ?? false
                guard isHidden != hides else { return }
                changes = true
                if hides {
                    states.hide(item, type: type, seconds: seconds, user: bytes)
                } else {
                    states.unhide(item, user: bytes)
                }
            }
        }
        return changes
    }

    private func event(_ known: Known, of user: String, _ history: [HistoryEvent]) -> UserEvent? {
        guard let id = numbers.id(known.item), let type = types[known.type], types.isKnown(known.type) else {
            return nil
        }
        var event = UserEvent(user: user, item: String(decoding: id, as: UTF8.self), type: type.name)
        event.timeMilliseconds = UInt64(known.seconds) * 1000
        event.value = history.first { Self.known($0) == known }?.value
        return event
    }
}
