import VectorMath

/// Finds a request's candidates by item row: a small hash table that stays in the nearest cache, however many items there
/// are. Used again without allocation.
struct CandidateIndex {
    /// `row + 1` in the upper half, the place in the lower; 0: empty. Open addressing, at most a quarter full.
    private var slots: [UInt64] = []
    private var shift: UInt32 = 32

    /// Takes candidates in; of an item that stands there twice the first place counts.
    ///
    /// - Complexity: O(candidates).
    mutating func begin(_ candidates: [ScoredRow]) {
        var bits: UInt32 = 6
        while 1 << bits < candidates.count * 4 { bits += 1 }
        shift = 32 - bits
        slots.removeAll(keepingCapacity: true)
        slots.append(contentsOf: repeatElement(0, count: 1 << bits))
        for (place, candidate) in candidates.enumerated() {
            let slot = self.slot(of: candidate.row)
            if slots[slot] == 0 { slots[slot] = (UInt64(candidate.row) + 1) << 32 | UInt64(place) }
        }
    }

    /// Where an item stands; nil: it is no candidate.
    @inline(__always)
    func place(of row: UInt32) -> Int? {
        let entry = slots[slot(of: row)]
        return entry == 0 ? nil : Int(truncatingIfNeeded: entry & 0xFFFF_FFFF)
    }

    /// The slot that holds an item, or the empty one that would.
    @inline(__always)
    private func slot(of row: UInt32) -> Int {
        // Multiplication by 2^32 over the golden ratio spreads rows that stand side by side.
        var slot = Int((row &* 0x9E37_79B9) >> shift)
        while slots[slot] != 0, slots[slot] >> 32 != UInt64(row) + 1 { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }
}
