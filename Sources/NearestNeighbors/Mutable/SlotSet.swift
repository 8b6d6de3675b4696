/// Some slots, one bit each.
struct SlotSet {
    private var words: [UInt64]

    init(slotCount: Int) { words = [UInt64](repeating: 0, count: (slotCount + 63) / 64) }

    @inline(__always)
    func contains(_ slot: UInt32) -> Bool { words[Int(slot >> 6)] >> UInt64(slot & 63) & 1 != 0 }
    mutating func insert(_ slot: UInt32) { words[Int(slot >> 6)] |= 1 << UInt64(slot & 63) }
    mutating func remove(_ slot: UInt32) { words[Int(slot >> 6)] &= ~(1 << UInt64(slot & 63)) }
    mutating func remove(_ other: SlotSet) { for i in words.indices { words[i] &= ~other.words[i] } }

    /// Those of `self` whose bits are not set in `others`.
    func without(_ others: UnsafePointer<UInt64>) -> SlotSet {
        var left = self
        for i in words.indices { left.words[i] &= ~others[i] }
        return left
    }

    /// The lowest.
    var first: UInt32? {
        words.firstIndex { $0 != 0 }.map { UInt32($0 * 64 + words[$0].trailingZeroBitCount) }
    }

    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// In ascending order.
    var slots: [UInt32] {
        var slots: [UInt32] = []
        for (place, word) in words.enumerated() {
            var bits = word
            while bits != 0 {
                slots.append(UInt32(place * 64 + bits.trailingZeroBitCount))
                bits &= bits - 1
            }
        }
        return slots
    }
}
