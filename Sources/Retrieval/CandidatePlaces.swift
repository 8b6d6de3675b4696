import VectorMath

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

    /// Adds the parts that `list` contributes to the scores of its rows; rows that are new go to the end of `fused`.
    ///
    /// - Parameter fused: What was merged since `begin`, in the order of its coming.
    mutating func merge(_ list: SourceList, _ scale: SourceList.Scale, into fused: inout [ScoredRow]) {
        let mask = mask
        fused.reserveCapacity(fused.count + list.rows.count)
        slots.withUnsafeMutableBufferPointer { slots in
            for (position, row) in list.rows.enumerated() {
                let part = scale.contribution(position, row)
                let key = UInt64(row.row) + 1
                var slot = Self.home(row.row) & mask
                while slots[slot] != 0, slots[slot] >> 32 != key { slot = (slot + 1) & mask }
                if slots[slot] == 0 {
                    slots[slot] = key << 32 | UInt64(fused.count)
                    fused.append(ScoredRow(row: row.row, score: part))
                } else {
                    fused[Int(slots[slot] & 0xFFFF_FFFF)].score += part
                }
            }
        }
    }

    func contains(_ row: UInt32) -> Bool {
        guard !slots.isEmpty else { return false }
        let key = UInt64(row) + 1
        var slot = Self.home(row) & mask
        while slots[slot] != 0 {
            if slots[slot] >> 32 == key { return true }
            slot = (slot + 1) & mask
        }
        return false
    }

    private static func home(_ row: UInt32) -> Int {
        Int(truncatingIfNeeded: (UInt64(row) &* 0x9E37_79B9_7F4A_7C15) >> 32)
    }
}
