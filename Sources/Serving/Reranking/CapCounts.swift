/// How many items of a slate have each value of the capped attributes, and which candidates that keeps out.
///
/// Values are numbered as they are met; each knows the candidates that have it, so that a value that becomes full marks
/// them and nothing else is looked at.
struct CapCounts {
    private let caps: [(values: ItemValues, most: Int)]
    /// Numbers of the values that were met, for each cap.
    private var numbers: [[UInt64: Int]]
    private var values: [Value] = []
    private var entries: [Entry] = []
    /// What all caps were raised by, because nothing was left to choose.
    private(set) var slack = 0
    private var scratch: [UInt64] = []

    private struct Value {
        let most: Int
        /// Items of the slate that have it.
        var count = 0
        /// The entry of the last candidate that has it; -1: none.
        var last = -1
    }

    /// A candidate in the list of a value.
    private struct Entry {
        let candidate: Int
        let before: Int
    }

    init(_ caps: [(values: ItemValues, most: Int)]) {
        self.caps = caps
        numbers = Array(repeating: [:], count: caps.count)
    }

    var isEmpty: Bool { caps.isEmpty }

    /// Calls `body` with the number of each value that an item has.
    private mutating func forEachValue(of row: UInt32, _ body: (inout CapCounts, Int) -> Void) {
        for (cap, entry) in caps.enumerated() {
            scratch.removeAll(keepingCapacity: true)
            entry.values.append(row, to: &scratch)
            for value in scratch {
                let number: Int
                if let known = numbers[cap][value] {
                    number = known
                } else {
                    number = values.count
                    numbers[cap][value] = number
                    values.append(Value(most: entry.most))
                }
                body(&self, number)
            }
        }
    }

    /// Adds a candidate, which a full value keeps out at once.
    ///
    /// - Parameter candidate: Its place in `isCapped`.
    mutating func add(_ row: UInt32, candidate: Int, marking isCapped: inout [Bool]) {
        var isOut = false
        forEachValue(of: row) { counts, number in
            counts.entries.append(Entry(candidate: candidate, before: counts.values[number].last))
            counts.values[number].last = counts.entries.count - 1
            if counts.isFull(number) { isOut = true }
        }
        isCapped[candidate] = isOut
    }

    private func isFull(_ number: Int) -> Bool { values[number].count >= values[number].most + slack }

    /// Counts a chosen item, and marks the candidates that must now stay out.
    mutating func choose(_ row: UInt32, marking isCapped: inout [Bool]) {
        if caps.isEmpty { return }
        forEachValue(of: row) { counts, number in
            counts.values[number].count += 1
            if counts.isFull(number) { counts.mark(number, &isCapped) }
        }
    }

    private func mark(_ number: Int, _ isCapped: inout [Bool]) {
        var entry = values[number].last
        while entry >= 0 {
            isCapped[entries[entry].candidate] = true
            entry = entries[entry].before
        }
    }

    /// Lets one more item of every value in.
    mutating func relax(marking isCapped: inout [Bool]) {
        slack += 1
        for index in isCapped.indices { isCapped[index] = false }
        for number in values.indices where isFull(number) { mark(number, &isCapped) }
    }
}
