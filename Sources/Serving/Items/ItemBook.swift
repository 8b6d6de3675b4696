import Vocabulary

/// What is known of an item beside what the model says.
package struct ItemState: Sendable, Hashable {
    package var description: ItemDescription?
    package var isDeleted = false
    /// In place of the model's.
    package var window: ItemWindow?

    /// The state of an item after a change; nil: nothing of it has changed.
    static func after(_ state: ItemState?, _ change: ItemChange) -> ItemState? {
        var state = state ?? ItemState()
        switch change {
        case .upsert(let description):
            // Everything that was said before is replaced.
            state = ItemState(description: description)
        case .delete:
            state.description = nil
            state.isDeleted = true
            state.window = nil
        case .window(let window): state.window = window
        case .restore: return nil
        }
        return state
    }

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
/// Bounded in number and bytes: who adds changes asks `hasRoom` first. Deleted items stay, as a later model may know them.
package struct ItemBook: Sendable {
    package private(set) var states: [String: ItemState] = [:]
    package let countMax: Int
    package let bytesMax: Int
    /// About what the states take.
    package private(set) var bytes = 0
    /// Items that are there with a description.
    package private(set) var describedCount = 0
    package private(set) var deletedCount = 0

    package init(countMax: Int, bytesMax: Int = .max) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    package var count: Int { states.count }

    /// Whether an item has changes.
    package func knows(_ item: String) -> Bool { states[item] != nil }

    /// Whether a change fits beside `reserved` further new items that take `bytes`.
    package func hasRoom(for change: ItemChange, reserved: Int, bytes: Int) -> Bool {
        guard states.count + reserved < limit(of: change) || states[change.item] != nil else { return false }
        if case .delete = change { return true }
        return self.bytes + bytes + Self.bytes(of: change) <= bytesMax
    }

    /// The last tenth is for deletions and windows: new items never keep others from being taken off.
    private func limit(of change: ItemChange) -> Int {
        if case .upsert = change { countMax - countMax / 10 } else { countMax }
    }

    /// What to do when there is no room.
    package func fullMessage(described change: ItemChange) -> String {
        let isBytes = states[change.item] != nil || (states.count < limit(of: change) && bytes > bytesMax / 2)
        let limit =
            isBytes
            ? "\(bytesMax) bytes, the most that they may take (items.bytes_max)"
            : "\(countMax) items, a tenth of them for deletions and windows alone (items.changes_max)"
        return
            "\(states.count) items have changes; there is room for \(limit): train a model that knows them and restore "
            + "them, or raise the limit"
    }

    /// About the bytes that a change takes when it is kept.
    package static func bytes(of change: ItemChange) -> Int {
        var bytes = 160 + 2 * change.item.utf8.count
        guard case .upsert(let description) = change else { return bytes }
        bytes += description.title.utf8.count + 4 * description.vector.count
        for tag in description.tags { bytes += 16 + tag.utf8.count }
        for value in description.attributes {
            bytes += 48 + value.attribute.utf8.count
            for text in value.texts { bytes += 16 + text.utf8.count }
        }
        return bytes
    }

    private static func bytes(of item: String, _ state: ItemState) -> Int {
        state.description.map { bytes(of: .upsert($0)) } ?? bytes(of: .delete(item))
    }

    package mutating func apply(_ change: ItemChange) {
        set(change.item, ItemState.after(states[change.item], change))
    }

    /// Replaces what is known of an item; nil: nothing.
    package mutating func set(_ item: String, _ state: ItemState?) {
        if let before = states[item] { count(item, before, -1) }
        if let state { count(item, state, 1) }
        states[item] = state
    }

    private mutating func count(_ item: String, _ state: ItemState, _ change: Int) {
        bytes += change * Self.bytes(of: item, state)
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
