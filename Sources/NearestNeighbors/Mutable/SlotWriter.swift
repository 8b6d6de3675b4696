import Glibc
import VectorMath

typealias SlotInserter = HNSWInserter<MarkedRows>

/// The one writer of a mutable index: inserts, updates, deletes and repairs.
///
/// A slot goes round: free -> linked and live -> linked and dead -> retired, out of the graph -> free.
///
/// `@unchecked Sendable`: it is used under the lock of its index only.
final class SlotWriter: @unchecked Sendable {
    private let storage: SlotStorage
    private let epochs: ReadEpochs
    private let configuration: MutableIndexConfiguration
    private let inserter: SlotInserter
    private var supply = SlotSupply()
    /// Slots in the graph, live or dead.
    private var linked: SlotSet
    private var linkedCount = 0
    private var repair: GraphRepair?
    private(set) var repairCount = 0
    private var relinkedBefore = 0

    init(_ storage: SlotStorage, _ epochs: ReadEpochs, _ configuration: MutableIndexConfiguration) {
        self.storage = storage
        self.epochs = epochs
        self.configuration = configuration
        inserter = SlotInserter(storage.graph, storage.linkScorer, filter: MarkedRows(words: storage.live))
        linked = SlotSet(slotCount: storage.slotCount)
    }

    var deadCount: Int { linkedCount - storage.liveCount.load(ordering: .relaxed) }
    var retiredCount: Int { supply.retiredCount }
    var freeCount: Int { supply.freeCount }
    var relinkedCount: Int { relinkedBefore + (repair?.relinked ?? 0) }
    var isRepairing: Bool { repair != nil }
    /// Slots in the graph, for checks.
    var linkedSlots: Set<UInt32> { Set(linked.slots) }

    // MARK: Changes

    func insert(_ vector: UnsafePointer<Float>, row: UInt32) throws(MutableIndexError) {
        if storage.slot(of: row) != nil { throw .duplicateRow(row) }
        guard storage.liveCount.load(ordering: .relaxed) < configuration.capacity else {
            throw .full(capacity: configuration.capacity)
        }
        storage.turn(row, to: link(vector, row), from: nil)
        keepUp()
    }

    func update(_ vector: UnsafePointer<Float>, row: UInt32) throws(MutableIndexError) {
        guard let old = storage.slot(of: row) else { throw .unknownRow(row) }
        storage.turn(row, to: link(vector, row), from: old)
        keepUp()
    }

    func delete(row: UInt32) throws(MutableIndexError) {
        guard let old = storage.slot(of: row) else { throw .unknownRow(row) }
        storage.turn(row, to: nil, from: old)
        keepUp()
    }

    /// Links a new slot with that vector into the graph.
    private func link(_ vector: UnsafePointer<Float>, _ row: UInt32) -> UInt32 {
        let slot = takeSlot()
        storage.write(vector, row: row, to: slot)
        let top = storage.graph.top(of: slot)
        linked.insert(slot)
        linkedCount += 1
        let entry = storage.entry
        if let entry { join(slot, entry) }
        if top > entry?.level ?? -1, let node = storage.graph.node(of: slot, on: top) {
            storage.setEntry((node, top))
        }
        return slot
    }

    /// Gives a slot its links.
    private func join(_ slot: UInt32, _ entry: (node: UInt32, level: Int)) {
        let foundLive = inserter.insert(
            slot, entry: entry.node, entryLevel: entry.level, rowLimit: storage.mark.load(ordering: .relaxed))
        if !foundLive { repair?.revisit(slot) }
    }

    /// A slot that no reader can reach.
    private func takeSlot() -> UInt32 {
        while true {
            if let slot = supply.take() { return slot }
            if supply.collect(epochs) { continue }
            let mark = storage.mark.load(ordering: .relaxed)
            if mark < storage.slotCount {
                storage.mark.store(mark + 1, ordering: .releasing)
                return UInt32(mark)
            }
            // There are more slots than rows: the missing ones are dead, or retired and still read.
            if !finishRepair() { sched_yield() }
        }
    }

    // MARK: Repair

    private var isRepairDue: Bool {
        deadCount >= max(16, Int(configuration.tombstoneRatio * Double(linkedCount)))
    }

    /// What a change does besides.
    private func keepUp() {
        supply.collect(epochs)
        if configuration.repairsWithChanges { repair(steps: repair?.stepsPerChange ?? 1) }
    }

    /// Comes to `steps` more slots of the repair under way, or of the one that is due; returns whether there is more to do.
    @discardableResult
    func repair(steps: Int) -> Bool {
        supply.collect(epochs)
        if repair == nil {
            if !isRepairDue { return false }
            beginRepair()
        }
        if repair?.step(steps, linked: linked, storage, inserter) == true { return true }
        endRepair()
        return isRepairDue
    }

    /// Runs the repair under way to its end, or one of all that is dead; returns false when there is nothing dead.
    @discardableResult
    func finishRepair() -> Bool {
        if repair == nil {
            if deadCount == 0 { return false }
            beginRepair()
        }
        while repair?.step(1 << 20, linked: linked, storage, inserter) == true {}
        endRepair()
        return true
    }

    private func beginRepair() {
        repair = GraphRepair(condemned: linked.without(storage.live), end: storage.mark.load(ordering: .relaxed))
    }

    private func endRepair() {
        guard let done = repair else { return }
        repair = nil
        linked.remove(done.condemned)
        linkedCount -= done.condemnedCount
        replaceEntry(done.condemned)
        for slot in done.isolated where storage.isLive(slot) && storage.graph.linkCount(slot, 0) == 0 {
            if let entry = storage.entry, storage.graph.layers[entry.level].row(entry.node) != slot {
                join(slot, entry)
            }
        }
        supply.retire(done.condemned.slots, epochs)
        repairCount += 1
        relinkedBefore += done.relinked
    }

    /// Where the entry is among `condemned`, takes a linked node of the highest layer that has one.
    private func replaceEntry(_ condemned: SlotSet) {
        let graph = storage.graph
        guard let entry = storage.entry, condemned.contains(graph.layers[entry.level].row(entry.node)) else { return }
        for level in stride(from: entry.level, to: 0, by: -1) {
            let layer = graph.layers[level]
            for node in 0..<UInt32(layer.nodeCount) where linked.contains(layer.row(node)) {
                return storage.setEntry((node, level))
            }
        }
        storage.setEntry(linked.first.map { ($0, 0) })
    }

    // MARK: Start

    /// Takes over the rows and links of a sealed graph; nothing was inserted before.
    ///
    /// Its upper layers are the storage's, which were laid out by it.
    func adopt(_ index: HNSWIndex) {
        let graph = storage.graph
        let room = UnsafeMutablePointer<Float>.allocate(capacity: index.dimension)
        defer { room.deallocate() }
        for row in 0..<UInt32(index.rowCount) {
            storage.write(index.scorer.floats(of: Int(row), room), row: row, to: row)
            linked.insert(row)
        }
        for (level, layer) in index.graph.layers.enumerated() {
            for node in 0..<UInt32(layer.nodeCount) {
                let links = layer.linksOf(node)
                let most = min(layer.linkStride, graph.limit(level))
                let count = (0..<most).first { links[$0] == HNSWLayer.none } ?? most
                graph.replace(node, level, by: links, count: count, isCounted: true)
            }
        }
        linkedCount = index.rowCount
        storage.mark.store(index.rowCount, ordering: .releasing)
        if index.rowCount > 0 { storage.setEntry((index.graph.entry, index.graph.layers.count - 1)) }
        for row in 0..<UInt32(index.rowCount) { storage.turn(row, to: row, from: nil) }
    }
}
