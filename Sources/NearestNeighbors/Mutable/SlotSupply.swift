/// Where slots come from and where they go: never used, in the graph, retired until no reader can stand on them, free.
struct SlotSupply {
    /// Slots that may be written, the last freed first: they are still in the caches.
    private var free: [UInt32] = []
    /// Slots out of the graph, by the epoch after which nobody can reach them; oldest first.
    private var retired: [(epoch: UInt64, slots: [UInt32])] = []

    var freeCount: Int { free.count }
    var retiredCount: Int { retired.reduce(0) { $0 + $1.slots.count } }

    /// A slot that was used before.
    mutating func take() -> UInt32? { free.popLast() }

    mutating func putBack(_ slot: UInt32) { free.append(slot) }

    /// Takes slots that nothing in the graph leads to any more.
    mutating func retire(_ slots: [UInt32], _ epochs: ReadEpochs) {
        if !slots.isEmpty { retired.append((epochs.end(), slots)) }
    }

    /// Frees what no reader can stand on any more; returns whether that was anything.
    @discardableResult
    mutating func collect(_ epochs: ReadEpochs) -> Bool {
        let over = retired.prefix { epochs.isOver($0.epoch) }
        if over.isEmpty { return false }
        for batch in over { free.append(contentsOf: batch.slots) }
        retired.removeFirst(over.count)
        return true
    }
}
