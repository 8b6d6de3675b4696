import DequeModule
import Vocabulary

/// What several nodes know together of changed items. Pure.
///
/// Each item has two registers: its last upsert, deletion or restoration, and the last window upon that. A register takes the
/// change of the greatest version, whatever the order in which changes come and however often, so nodes that have heard of the same
/// changes know the same. A change of this node has no version until it is written where all nodes see it; until then it lies on
/// top of the registers, in the order in which this node took it:
///
/// ```
///  take ──> pending, on top ──written──> register, at its version
///                           └─given before, others came later──> gone, once all of theirs were heard
///  accept ────────────────────────────> register, where the version is greater
/// ```
/// An echo of an own change has the version that its register has, or a smaller one, and changes nothing.
package struct SharedItems: Sendable {
    package struct Register: Sendable, Hashable {
        package var version: ItemVersion
        package var change: ItemChange
    }

    private struct Entry: Sendable {
        var main: Register?
        var window: Register?
    }

    /// A change of this node that has no version.
    package struct Own: Sendable, Hashable {
        /// Greater than those of all changes that this node took before.
        package var token: UInt64
        package var change: ItemChange
    }

    private var entries: [String: Entry] = [:]
    private var pending: [UInt64: ItemChange] = [:]
    /// Ascending; those that are not in `pending` any more are passed over.
    private var order: Deque<UInt64> = []
    private var pendingOf: [String: [UInt64]] = [:]
    /// Changes that are on their way: not merged with later ones.
    private var underWay: Set<UInt64> = []
    /// Given before, and others came later: gone when all of those are known.
    private var outdated: Set<UInt64> = []
    private var restored = 0
    /// Restorations that are remembered: beyond, the older half is forgotten.
    private let restoredMax: Int

    package init(restoredMax: Int) { self.restoredMax = max(2, restoredMax) }

    // MARK: State

    package var unwrittenCount: Int { pending.count - outdated.count }
    package var pendingCount: Int { pending.count }
    package var registerCount: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty && pending.isEmpty }

    package func knows(_ item: String) -> Bool { entries[item] != nil || pendingOf[item] != nil }
    package func isPending(_ token: UInt64) -> Bool { pending[token] != nil && !outdated.contains(token) }

    /// The item of an own change that has no version; nil: there is none of that token.
    package func item(ofPending token: UInt64) -> String? { pending[token]?.item }

    /// What is known of an item; nil: it is as the model has it.
    package func state(of item: String) -> ItemState? {
        var state: ItemState?
        if let entry = entries[item] {
            if let main = entry.main { state = ItemState.after(state, main.change) }
            if let window = entry.window { state = ItemState.after(state, window.change) }
        }
        for token in pendingOf[item] ?? [] {
            if let change = pending[token] { state = ItemState.after(state, change) }
        }
        return state
    }

    /// Everything that has a version, to be written down; own changes are `own`.
    package var registers: [Register] { entries.values.flatMap { [$0.main, $0.window].compactMap { $0 } } }
    /// In their order.
    package var own: [Own] { order.compactMap { token in pending[token].map { Own(token: token, change: $0) } } }

    // MARK: Changes

    /// Takes a change with its version.
    ///
    /// - Returns: Whether it was not known, or a later one was not.
    @discardableResult
    package mutating func accept(_ change: ItemChange, version: ItemVersion) -> Bool {
        var entry = entries[change.item] ?? Entry()
        let main = entry.main?.version ?? .zero
        if case .window = change {
            guard version > main, version > entry.window?.version ?? .zero else { return false }
            entry.window = Register(version: version, change: change)
        } else {
            guard version > main else { return false }
            if case .restore? = entry.main?.change { restored -= 1 }
            if case .restore = change { restored += 1 }
            entry.main = Register(version: version, change: change)
            if let window = entry.window, window.version < version { entry.window = nil }
        }
        entries[change.item] = entry
        if restored > restoredMax { forgetRestored() }
        return true
    }

    private mutating func forgetRestored() {
        let versions = entries.values.compactMap { entry -> ItemVersion? in
            if case .restore? = entry.main?.change { entry.main?.version } else { nil }
        }.sorted()
        if versions.isEmpty { return }
        forgetRestored(before: versions[versions.count / 2])
    }

    /// Lets go of restorations that are older, and of nothing else.
    package mutating func forgetRestored(before version: ItemVersion) {
        for (item, entry) in entries {
            guard case .restore? = entry.main?.change, let main = entry.main, main.version < version else { continue }
            restored -= 1
            entries[item] = entry.window == nil ? nil : Entry(window: entry.window)
        }
    }

    /// What a node knows of an item that it did not share yet. Any shared change is later.
    package mutating func adopt(_ item: String, _ state: ItemState) {
        guard entries[item] == nil else { return }
        for change in state.changes(of: item) {
            if case .window = change {
                accept(change, version: .unsharedWindow)
            } else {
                accept(change, version: .unshared)
            }
        }
    }

    /// Forgets what has a version of an item: it was restored by others so long ago that nobody remembers.
    package mutating func drop(_ item: String) {
        if case .restore? = entries.removeValue(forKey: item)?.main?.change { restored -= 1 }
    }

    // MARK: Own changes

    /// Takes a change of this node. Of an item, what it takes the place of is not written any more, unless it is on its way.
    ///
    /// - Parameter token: Greater than all before.
    package mutating func take(_ change: ItemChange, token: UInt64) {
        var tokens = pendingOf[change.item] ?? []
        tokens.removeAll { earlier in
            guard let known = pending[earlier] else { return true }
            if underWay.contains(earlier) || outdated.contains(earlier) { return false }
            if case .window = change {
                guard case .window = known else { return false }
            }
            pending[earlier] = nil
            return true
        }
        tokens.append(token)
        pendingOf[change.item] = tokens
        pending[token] = change
        order.append(token)
        trimOrder()
    }

    /// The first changes to be written; they are on their way then.
    package mutating func takeUnwritten(countMax: Int) -> [Own] {
        var taken: [Own] = []
        for token in order {
            if taken.count == countMax { break }
            guard let change = pending[token], !outdated.contains(token) else { continue }
            taken.append(Own(token: token, change: change))
            underWay.insert(token)
        }
        return taken
    }

    /// Nothing is on its way any more.
    package mutating func returnUnwritten() { underWay.removeAll() }

    /// An own change was written, at this version, or was found to have been. Also at a restart, of a change that was not known to be.
    package mutating func settle(_ token: UInt64, version: ItemVersion) {
        guard let change = remove(token) else { return }
        accept(change, version: version)
    }

    /// An own change had been written before, and others came later: it goes when those are known.
    package mutating func outdate(_ token: UInt64) {
        underWay.remove(token)
        if pending[token] != nil { outdated.insert(token) }
    }

    /// Everything that others wrote up to now is known.
    ///
    /// - Returns: Items that may have changed.
    package mutating func caughtUp() -> Set<String> {
        var items: Set<String> = []
        for token in outdated { if let change = remove(token) { items.insert(change.item) } }
        outdated.removeAll()
        return items
    }

    @discardableResult
    private mutating func remove(_ token: UInt64) -> ItemChange? {
        underWay.remove(token)
        outdated.remove(token)
        guard let change = pending.removeValue(forKey: token) else { return nil }
        var tokens = pendingOf[change.item] ?? []
        tokens.removeAll { $0 == token }
        pendingOf[change.item] = tokens.isEmpty ? nil : tokens
        trimOrder()
        return change
    }

    private mutating func trimOrder() {
        while let first = order.first, pending[first] == nil { order.removeFirst() }
        if order.count > 64, order.count > 2 * pending.count { order.removeAll { pending[$0] == nil } }
    }

    // MARK: What others lack

    /// Versions that a store of everything was seen to hold, by item.
    package struct Seen: Sendable {
        package var main: ItemVersion = .zero
        package var window: ItemVersion = .zero
        package init() {}
    }

    /// What is to be written into a store, or was dropped, after all of it was read.
    package struct Comparison: Sendable {
        package var missing: [Register] = []
        package var dropped: [String] = []
    }

    /// Compares the registers with a store that was read from end to end.
    ///
    /// - Parameters:
    ///   - isKnown: The store is the one that was followed before: what it lacks, and what is older than `forgotten`, was restored.
    ///   - forgotten: Restorations before it are in no store any more.
    /// - Complexity: O(registers).
    package mutating func compare(
        with seen: [String: Seen], isKnown: Bool, forgotten: ItemVersion
    ) -> Comparison {
        var comparison = Comparison()
        for (item, entry) in entries {
            let found = seen[item]
            let newest = max(entry.main?.version ?? .zero, entry.window?.version ?? .zero)
            // What was never shared is no part of what the store has let go of.
            if found == nil, isKnown, newest > .unsharedWindow, newest < forgotten {
                comparison.dropped.append(item)
                continue
            }
            if let main = entry.main, main.version > found?.main ?? .zero { comparison.missing.append(main) }
            if let window = entry.window, window.version > found?.window ?? .zero,
                window.version > found?.main ?? .zero
            {
                comparison.missing.append(window)
            }
        }
        for item in comparison.dropped { drop(item) }
        return comparison
    }
}
