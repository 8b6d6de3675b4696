/// Something that a user did with an item.
package struct HistoryEvent: Sendable, Hashable {
    /// The item's number (`ItemNumbers`).
    package var item: UInt32
    /// When: seconds since 1970.
    package var seconds: UInt32
    /// A rating, a price, seconds watched; nil where the event has none. Kept exactly.
    package var value: Float?
    /// The code of its type (`EventTypes`).
    package var type: UInt8

    @inlinable
    package init(item: UInt32, type: UInt8, seconds: UInt32, value: Float? = nil) {
        self.item = item
        self.seconds = seconds
        self.value = value
        self.type = type
    }
}

/// What became of an event.
package struct AppliedEvent: Sendable, Hashable {
    package enum Place: Sendable, Hashable {
        /// It is in the history.
        case history
        /// It is older than everything in a full history: it was counted, and its item seen, nothing more.
        case tooOldForHistory
    }

    package var place: Place
    /// The user's epoch after it.
    package var epoch: UInt32
    /// Whether cached slates of the user are void.
    package var changedSlate: Bool
    /// Whether the user had no state before.
    package var isNewUser: Bool
}
