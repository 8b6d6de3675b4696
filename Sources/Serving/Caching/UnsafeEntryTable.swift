/// Finds entries by the hashes of their keys: open addressing, linear probing, four bytes a slot.
///
/// ```
/// slot   0: empty; else the entry's number + 1, and above it as many bits of its hash as there is room for
/// ```
/// The home of a hash is its share of the table (Lemire's multiplication), so the table need not be a power of two. The
/// bits in a slot are the low ones of the hash, which say nothing of its home: most strangers are told apart without a
/// look at their entries.
struct EntryTable {
    private let slots: UnsafeMutablePointer<UInt32>
    private let slotCount: Int
    private let indexBits: UInt32

    /// - Parameter entriesMax: Numbers of entries are below, at most 2^28; no more are in the table at a time.
    init(entriesMax: Int) {
        slotCount = Self.byteCount(entriesMax: entriesMax) / 4
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)
        indexBits = UInt32(Int.bitWidth - (entriesMax + 1).leadingZeroBitCount)
    }

    func deallocate() { slots.deallocate() }
    var byteCount: Int { slotCount * 4 }
    static func byteCount(entriesMax: Int) -> Int { (entriesMax + entriesMax / 4 + 8) * 4 }

    @inline(__always)
    private func home(_ hash: UInt32) -> Int { Int((UInt64(hash) &* UInt64(slotCount)) >> 32) }

    @inline(__always)
    private func next(_ place: Int) -> Int { place + 1 == slotCount ? 0 : place + 1 }

    @inline(__always)
    private func slot(_ index: Int, _ hash: UInt32) -> UInt32 { UInt32(index + 1) | hash << indexBits }

    @inline(__always)
    private func index(_ slot: UInt32) -> Int { Int(slot & (1 << indexBits - 1)) - 1 }

    /// The entry of that hash that `isSame` takes for the right one.
    @inline(__always)
    func find(_ hash: UInt32, isSame: (Int) -> Bool) -> Int? {
        var place = home(hash)
        while true {
            let slot = slots[place]
            if slot == 0 { return nil }
            if slot >> indexBits == (hash << indexBits) >> indexBits {
                let index = index(slot)
                if isSame(index) { return index }
            }
            place = next(place)
        }
    }

    func insert(_ index: Int, hash: UInt32) {
        var place = home(hash)
        while slots[place] != 0 { place = next(place) }
        slots[place] = slot(index, hash)
    }

    /// Removes by shifting later members of the run back, so that no tombstones pile up.
    ///
    /// - Parameter hashOf: The hash of an entry that is in the table.
    func remove(_ index: Int, hash: UInt32, hashOf: (Int) -> UInt32) {
        let wanted = slot(index, hash)
        var hole = home(hash)
        while slots[hole] != wanted { hole = next(hole) }
        var place = next(hole)
        while slots[place] != 0 {
            let home = home(hashOf(self.index(slots[place])))
            // Whoever's home is not between the hole and its place may move into the hole.
            if distance(home, place) >= distance(hole, place) {
                slots[hole] = slots[place]
                hole = place
            }
            place = next(place)
        }
        slots[hole] = 0
    }

    @inline(__always)
    private func distance(_ from: Int, _ to: Int) -> Int { to >= from ? to - from : to + slotCount - from }
}
