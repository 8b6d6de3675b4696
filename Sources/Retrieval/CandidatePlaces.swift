/// Where each candidate of a request stands: a small table by item row that stays in the nearest cache, whatever the
/// size of the catalogue.
///
/// Open addressing, linear probing, a power of two with at most half of it in use.
struct CandidatePlaces {
    /// Row plus one in the upper half, place in the lower; 0 is free.
    private var slots: [UInt64] = []
    private var mask = 0

    /// Empties the table and makes room for `capacity` rows.
    mutating func begin(capacity: Int) {
        var wanted = 64
        while wanted < capacity * 2 { wanted *= 2 }
        if wanted == slots.count {
            slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        } else {
            slots = Array(repeating: 0, count: wanted)
            mask = wanted - 1
        }
    }

    /// The place of `row`; `place` becomes its place when it has none.
    mutating func place(of row: UInt32, orAdd place: Int) -> Int {
        let key = UInt64(row) + 1
        var slot = home(row)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == key { return Int(slots[slot] & 0xFFFF_FFFF) }
            slot = (slot + 1) & mask
        }
        slots[slot] = key << 32 | UInt64(place)
        return place
    }

    func contains(_ row: UInt32) -> Bool {
        guard !slots.isEmpty else { return false }
        let key = UInt64(row) + 1
        var slot = home(row)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == key { return true }
            slot = (slot + 1) & mask
        }
        return false
    }

    private func home(_ row: UInt32) -> Int {
        Int(truncatingIfNeeded: (UInt64(row) &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    }
}
