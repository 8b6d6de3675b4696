import Retrieval

/// Which items an answer may show: a Bloom filter of 128 bits, two for each item.
///
/// Of twenty items 38 bits are set, and a change of another item is taken for a change of one of them in one case of
/// eleven; then an answer is made again that could have been kept.
package struct ShownSketch: Sendable, Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    package init() {}

    package init(_ items: [SlateItem]) {
        for item in items { insert(item.row) }
    }

    /// Of an answer whose items are not known: whatever is changed may be one of them.
    package static var anything: ShownSketch {
        var sketch = ShownSketch()
        sketch.low = .max
        sketch.high = .max
        return sketch
    }

    private static func bits(_ row: UInt32) -> (low: UInt64, high: UInt64) {
        let mixed = (UInt64(row) &+ 1) &* 0x9E37_79B9_7F4A_7C15
        let (a, b) = (mixed >> 57, mixed >> 50 & 127)
        func bit(_ place: UInt64, _ half: UInt64) -> UInt64 { place >> 6 == half ? 1 &<< (place & 63) : 0 }
        return (bit(a, 0) | bit(b, 0), bit(a, 1) | bit(b, 1))
    }

    package mutating func insert(_ row: UInt32) {
        let bits = Self.bits(row)
        low |= bits.low
        high |= bits.high
    }

    package func mayContain(_ row: UInt32) -> Bool {
        let bits = Self.bits(row)
        return low & bits.low == bits.low && high & bits.high == bits.high
    }
}

extension ItemOverlay {
    /// Whether an answer of an earlier version may be shown still: none of its items has changed since.
    ///
    /// - Complexity: O(changes since); false at once where they are too many to be known one by one. Allocates nothing.
    func shows(_ shown: ShownSketch, since version: UInt64) -> Bool {
        if version < content.removalsFloor { return false }
        for removal in content.removals.reversed() {
            if removal.version <= version { return true }
            if shown.mayContain(removal.row) { return false }
        }
        return true
    }
}
