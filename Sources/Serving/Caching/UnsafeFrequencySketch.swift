/// How often keys were asked for of late: counters of four bits, four a key, all in one cache line; the least of the four
/// counts. After ten times as many notes as there are keys to tell apart, all counters are halved.
///
/// Source: Einziger, Friedman, Manes 2017, "TinyLFU: A highly efficient cache admission policy".
package struct FrequencySketch {
    private let words: UnsafeMutablePointer<UInt64>
    private let blockCount: Int
    private let sampleSize: Int
    private var notes = 0

    /// - Parameter entries: Keys that it should tell apart; 8 bytes each.
    package init(entries: Int) {
        blockCount = Self.byteCount(entries: entries) / 64
        words = .allocate(capacity: blockCount * 8)
        words.initialize(repeating: 0, count: blockCount * 8)
        sampleSize = max(64, entries) * 10
    }

    package func deallocate() { words.deallocate() }
    package var byteCount: Int { blockCount * 64 }
    static func byteCount(entries: Int) -> Int { max(8, (entries + 7) / 8) * 64 }

    @inline(__always)
    private func place(_ hash: UInt32) -> (block: UnsafeMutablePointer<UInt64>, choices: UInt32) {
        let mixed = UInt64((hash ^ hash >> 15) &* 0x85EB_CA6B)
        return (words + Int((mixed &* UInt64(blockCount)) >> 32) * 8, (hash ^ hash >> 13) &* 0xC2B2_AE35)
    }

    /// Counts a request for a key.
    package mutating func note(_ hash: UInt32) {
        let (block, choices) = place(hash)
        var isNoted = false
        for row in 0..<4 {
            // Two words for each row; the choice says which of them and which of its sixteen counters.
            let choice = choices >> UInt32(row * 8)
            let word = block + (row * 2 + Int(choice & 1))
            let shift = UInt64(choice >> 1 & 15) * 4
            if word.pointee >> shift & 15 != 15 {
                word.pointee += 1 << shift
                isNoted = true
            }
        }
        if isNoted {
            notes += 1
            if notes >= sampleSize { halve() }
        }
    }

    /// About how often a key was asked for, at most 15.
    package func frequency(_ hash: UInt32) -> Int {
        let (block, choices) = place(hash)
        var least: UInt64 = 15
        for row in 0..<4 {
            let choice = choices >> UInt32(row * 8)
            least = min(least, block[row * 2 + Int(choice & 1)] >> (UInt64(choice >> 1 & 15) * 4) & 15)
        }
        return Int(least)
    }

    private mutating func halve() {
        for place in 0..<blockCount * 8 { words[place] = words[place] >> 1 & 0x7777_7777_7777_7777 }
        notes /= 2
    }
}
