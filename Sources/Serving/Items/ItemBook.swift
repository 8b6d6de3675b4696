import Vocabulary

/// What is known of an item beside what the model says.
package struct ItemState: Sendable, Hashable {
    package var description: ItemDescription?
    package var isDeleted = false
    /// In place of the model's.
    package var window: ItemWindow?

    /// The state as changes that make it of nothing.
    func changes(of item: String) -> [ItemChange] {
        var changes: [ItemChange] = []
        if let description { changes.append(.upsert(description)) }
        if isDeleted { changes.append(.delete(item)) }
        if let window { changes.append(.window(window)) }
        return changes
    }
}

/// All items that have changed since the models were made, whichever model serves.
///
/// Bounded: who adds changes asks `hasRoom` first. Deleted items stay, as a later model may know them.
package struct ItemBook: Sendable {
    package private(set) var states: [String: ItemState] = [:]
    package let countMax: Int
    /// Items that are there with a description.
    package private(set) var describedCount = 0
    package private(set) var deletedCount = 0

    package init(countMax: Int) { self.countMax = countMax }

    package var count: Int { states.count }

    /// Whether a change of the item fits beside `reserved` further new ones.
    package func hasRoom(for item: String, reserved: Int) -> Bool {
        states.count + reserved < countMax || states[item] != nil
    }

    package mutating func apply(_ change: ItemChange) {
        var state = states[change.item] ?? ItemState()
        count(state, -1)
        switch change {
        case .upsert(let description):
            // Everything that was said before is replaced.
            state = ItemState(description: description)
        case .delete:
            state.description = nil
            state.isDeleted = true
            state.window = nil
        case .window(let window): state.window = window
        case .restore:
            states[change.item] = nil
            return
        }
        count(state, 1)
        states[change.item] = state
    }

    private mutating func count(_ state: ItemState, _ change: Int) {
        if state.isDeleted { deletedCount += change }
        if state.description != nil { describedCount += change }
    }

    /// What makes this book of an empty one, in groups of at most `count`.
    package func changes(inGroupsOf count: Int) -> [[ItemChange]] {
        var groups: [[ItemChange]] = []
        var group: [ItemChange] = []
        for (item, state) in states {
            group += state.changes(of: item)
            if group.count >= count {
                groups.append(group)
                group = []
            }
        }
        return group.isEmpty ? groups : groups + [group]
    }
}
