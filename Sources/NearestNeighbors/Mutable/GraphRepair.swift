import VectorMath

/// Takes dead nodes out of the graph, a few nodes at a time.
///
/// A repair begins with the nodes that are dead then, the condemned. It comes to every other node once: one that links to
/// condemned nodes keeps its other links and selects among the live links of the condemned ones for as many new ones. After
/// that nothing leads to the condemned, and their slots can be retired. Nodes that die or come meanwhile are no part of it: new nodes
/// link to live ones.
///
/// - Note: Singh et al. 2021, "FreshDiskANN", arXiv:2105.09613, algorithm 4.
struct GraphRepair {
    let condemned: SlotSet
    let condemnedCount: Int
    /// Slots to come to with each change, so that the repair ends before as many rows die again.
    let stepsPerChange: Int
    /// The next slot to come to.
    private var next = 0
    /// Slots below this are come to in order; those that linked to condemned nodes after it, from the list.
    private let end: Int
    private var late: [UInt32] = []
    /// Nodes that got new links.
    private(set) var relinked = 0
    /// Nodes that have no links on layer 0 any more.
    private(set) var isolated: [UInt32] = []

    // Reused by each node.
    private var candidates: [UInt32] = []
    private var passed: [UInt32] = []
    private var added: [UInt32] = []
    private var seen: Set<UInt32> = []

    /// - Parameter condemned: All that are dead now.
    init(condemned: SlotSet, end: Int) {
        self.condemned = condemned
        self.end = end
        condemnedCount = condemned.count
        stepsPerChange = (end + max(condemnedCount, 1) - 1) / max(condemnedCount, 1) + 1
    }

    /// A new row had to link to nodes that may be condemned.
    mutating func revisit(_ slot: UInt32) { late.append(slot) }

    /// Comes to `count` more slots; returns false when there are no more.
    mutating func step(_ count: Int, linked: SlotSet, _ storage: SlotStorage, _ inserter: SlotInserter) -> Bool {
        var left = count
        while next < end && left > 0 {
            let slot = UInt32(next)
            next += 1
            left -= 1
            if linked.contains(slot) && !condemned.contains(slot) { visit(slot, storage, inserter) }
        }
        while next >= end, left > 0, let slot = late.popLast() {
            left -= 1
            if linked.contains(slot) && !condemned.contains(slot) { visit(slot, storage, inserter) }
        }
        return next < end || !late.isEmpty
    }

    private mutating func visit(_ slot: UInt32, _ storage: SlotStorage, _ inserter: SlotInserter) {
        for level in 0...storage.graph.top(of: slot) {
            guard let node = storage.graph.node(of: slot, on: level) else { return }
            if relink(node, slot, level, storage, inserter) { relinked += 1 }
        }
    }

    /// Gives a node new links in the place of those to condemned nodes; false where it has none.
    private mutating func relink(
        _ node: UInt32, _ slot: UInt32, _ level: Int, _ storage: SlotStorage, _ inserter: SlotInserter
    ) -> Bool {
        let graph = storage.graph
        let layer = graph.layers[level]
        let links = graph.list(node, level)
        let count = graph.linkCount(node, level)
        // Every node once: the links that stay, then those of the condemned.
        candidates.removeAll(keepingCapacity: true)
        passed.removeAll(keepingCapacity: true)
        for i in 0..<count {
            if condemned.contains(layer.row(links[i])) { passed.append(links[i]) } else { candidates.append(links[i]) }
        }
        if passed.isEmpty { return false }
        let stayed = candidates.count
        seen.removeAll(keepingCapacity: true)
        seen.insert(node)
        seen.formUnion(candidates)
        seen.formUnion(passed)
        // Through further condemned ones only while there is little to choose from.
        let first = passed.count
        let enough = 2 * graph.limit(level)
        var next = 0
        while next < passed.count && (next < first || (candidates.count < enough && next < Self.passedMax)) {
            let further = graph.list(passed[next], level)
            for j in 0..<graph.linkCount(passed[next], level) where seen.insert(further[j]).inserted {
                let row = layer.row(further[j])
                if storage.isLive(row) {
                    candidates.append(further[j])
                } else if condemned.contains(row) {
                    passed.append(further[j])
                }
            }
            next += 1
        }
        let selection = inserter.selection
        // What stays was chosen before; choosing among it again would thin the graph out with every repair.
        var kept = selection.keep(candidates.prefix(stayed), level)
        let new = candidates.count - stayed
        selection.reserve(new)
        candidates.withUnsafeBufferPointer { nodes in
            if let base = nodes.baseAddress { selection.rank(base + stayed, count: new, base: slot, level) }
        }
        kept = selection.select(selection.keys, new, base: slot, level, after: kept)
        kept = selection.fill(kept, upTo: count, selection.keys, new, base: slot, level)
        if level == 0 {
            let isCounted = storage.isLive(slot)
            for (place, row) in candidates.enumerated() {
                kept = selection.rescue(row, kept, linked: isCounted && place < stayed ? 1 : 0, where: storage.isLive)
            }
        }
        inserter.relink(node, slot, level, kept: kept)
        if kept == 0 && level == 0 { isolated.append(slot) }
        // What took the place of a dead one gets a link back, as with an insertion.
        let old = candidates.prefix(stayed)
        added.removeAll(keepingCapacity: true)
        for i in 0..<kept where !old.contains(selection.chosen[i]) { added.append(selection.chosen[i]) }
        for other in added { inserter.addLink(from: other, to: node, level) }
        return true
    }

    /// Condemned nodes that a relinked one looks beyond.
    private static let passedMax = 256
}
