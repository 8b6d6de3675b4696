/// How many items of a slate have each value of the capped attributes.
///
/// Items of the pool that a cap keeps out are marked when it is reached, so that the search for the best item looks at
/// one byte of each.
struct CapCounts {
    private let caps: [(values: ItemValues, most: Int)]
    private let pool: [ValueLists]
    private var counts: [Key: Int] = [:]
    /// What all caps were raised by, because nothing was left to choose.
    private(set) var slack = 0
    private var scratch: [UInt64] = []

    private struct Key: Hashable {
        let cap: Int
        let value: UInt64
    }

    init(_ caps: [(values: ItemValues, most: Int)], pool rows: some Collection<UInt32>) {
        self.caps = caps
        pool = caps.map { ValueLists($0.values, rows: rows) }
    }

    var isEmpty: Bool { caps.isEmpty }

    /// Whether the caps let another item like this one in.
    mutating func allows(_ row: UInt32) -> Bool {
        for (cap, entry) in caps.enumerated() {
            scratch.removeAll(keepingCapacity: true)
            entry.values.append(row, to: &scratch)
            for value in scratch where isFull(cap, value) { return false }
        }
        return true
    }

    private func isFull(_ cap: Int, _ value: UInt64) -> Bool {
        (counts[Key(cap: cap, value: value)] ?? 0) >= caps[cap].most + slack
    }

    /// Counts a chosen item, and marks the items of the pool that must now stay out.
    mutating func choose(_ row: UInt32, marking isCapped: inout [Bool]) {
        for (cap, entry) in caps.enumerated() {
            scratch.removeAll(keepingCapacity: true)
            entry.values.append(row, to: &scratch)
            for value in scratch {
                counts[Key(cap: cap, value: value), default: 0] += 1
                if isFull(cap, value) { mark(cap, value, &isCapped) }
            }
        }
    }

    private func mark(_ cap: Int, _ value: UInt64, _ isCapped: inout [Bool]) {
        let lists = pool[cap]
        var index = 0
        for (place, other) in lists.values.enumerated() {
            while lists.ends[index] <= place { index += 1 }
            if other == value { isCapped[index] = true }
        }
    }

    /// Lets one more item of every value in.
    mutating func relax(marking isCapped: inout [Bool]) {
        slack += 1
        for index in isCapped.indices { isCapped[index] = false }
        for (key, count) in counts where count >= caps[key.cap].most + slack { mark(key.cap, key.value, &isCapped) }
    }
}
