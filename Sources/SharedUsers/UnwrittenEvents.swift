import Vocabulary

/// Events that were answered and that Redis does not have yet: written when it is back.
///
/// Bounded. Where there are too many, the users' slots are remembered in their place: of those all that this node knows is
/// written, user by user.
package struct UnwrittenEvents: Sendable {
    private let eventsMax: Int
    private var users: [String: [UserEvent]] = [:]
    package private(set) var slots: Set<Int> = []
    package private(set) var eventCount = 0
    /// Events whose slots were remembered in their place.
    package private(set) var overflows: UInt64 = 0

    package init(eventsMax: Int) { self.eventsMax = max(1, eventsMax) }

    package var isEmpty: Bool { users.isEmpty && slots.isEmpty }
    package var userCount: Int { users.count }
    /// What is said to other nodes.
    package var count: Int { eventCount + slots.count }

    package func contains(_ user: String) -> Bool { users[user] != nil }

    package mutating func add(_ events: [UserEvent], of user: String, in slot: Int) {
        guard eventCount + events.count <= eventsMax else {
            slots.insert(slot)
            overflows &+= UInt64(events.count)
            return
        }
        users[user, default: []] += events
        eventCount += events.count
    }

    package mutating func add(slot: Int) { slots.insert(slot) }

    /// Takes users out, to be written.
    package mutating func take(usersMax: Int) -> [(user: String, events: [UserEvent])] {
        var taken: [(user: String, events: [UserEvent])] = []
        while taken.count < usersMax, let (user, events) = users.first {
            users[user] = nil
            eventCount -= events.count
            taken.append((user, events))
        }
        return taken
    }

    /// Takes a slot out, all of which is to be written.
    package mutating func takeSlot() -> Int? {
        guard let slot = slots.first else { return nil }
        slots.remove(slot)
        return slot
    }
}
