/// Two counts over the last `window` nanoseconds, in slots that are forgotten one by one.
///
/// A slot covers `window / slots`, so what is counted reaches back between `window - window / slots` and `window`. A clock that
/// steps back is taken to stand still.
///
/// - Complexity: O(1) a count; O(`slots`) at most when time has passed.
package struct SlidingCounts: Sendable {
    package struct Totals: Sendable, Equatable {
        package var first: UInt64 = 0
        package var second: UInt64 = 0
        package init(first: UInt64 = 0, second: UInt64 = 0) {
            self.first = first
            self.second = second
        }
    }

    package private(set) var totals = Totals()
    private var slots: [Totals]
    /// Number of the slot that is being filled, counted since the clock's zero.
    private var current: UInt64
    private let slotLength: UInt64

    /// - Parameter window: In nanoseconds, at least `slots`.
    package init(window: UInt64, slots: Int = 10, at now: UInt64) {
        precondition(slots > 0 && window >= UInt64(slots), "a window of \(window) ns has no \(slots) slots")
        self.slots = Array(repeating: Totals(), count: slots)
        slotLength = window / UInt64(slots)
        current = now / slotLength
    }

    /// Forgets what is older than the window.
    package mutating func advance(to now: UInt64) {
        let slot = now / slotLength
        guard slot > current else { return }
        let count = UInt64(slots.count)
        for step in 1...min(slot - current, count) {
            let place = Int((current + step) % count)
            totals.first -= slots[place].first
            totals.second -= slots[place].second
            slots[place] = Totals()
        }
        current = slot
    }

    package mutating func add(first: UInt64 = 0, second: UInt64 = 0, at now: UInt64) {
        advance(to: now)
        let place = Int(current % UInt64(slots.count))
        slots[place].first += first
        slots[place].second += second
        totals.first += first
        totals.second += second
    }

    package mutating func removeAll() {
        for place in slots.indices { slots[place] = Totals() }
        totals = Totals()
    }
}
