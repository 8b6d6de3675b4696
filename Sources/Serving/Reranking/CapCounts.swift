/// How many items of a slate have each value of the capped attributes, and which candidates that keeps out.
///
/// Values are numbered as they are met; each knows the candidates that have it, so that a value that becomes full marks
/// them and nothing else is looked at.
struct CapCounts {
    private let caps: [(values: ItemValues, most: Int)]
    /// Numbers of the values that were met, for each cap.
    private var numbers: [ValueNumbers]
    /// Places in `values`, for each cap by number.
    private var places: [[Int]]
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
        numbers = Array(repeating: ValueNumbers(), count: caps.count)
        places = Array(repeating: [], count: caps.count)
    }

    var isEmpty: Bool { caps.isEmpty }

    /// Adds candidates, which full values keep out at once.
    ///
    /// - Parameter first: Place of the first of them in `isCapped`.
    mutating func add(_ rows: some Sequence<UInt32>, from first: Int, marking isCapped: inout [Bool]) {
        for (cap, entry) in caps.enumerated() {
            entry.values.forEach(rows) { index, value in
                let place = place(of: value, cap)
                entries.append(Entry(candidate: first + index, before: values[place].last))
                values[place].last = entries.count - 1
                if isFull(place) { isCapped[first + index] = true }
            }
        }
    }

    /// Where a value stands in `values`; it may be a new one.
    private mutating func place(of value: UInt64, _ cap: Int) -> Int {
        let number = numbers[cap].insert(value)
        if number == places[cap].count {
            places[cap].append(values.count)
            values.append(Value(most: caps[cap].most))
        }
        return places[cap][number]
    }

    private func isFull(_ number: Int) -> Bool { values[number].count >= values[number].most + slack }

    /// Counts a chosen item, and marks the candidates that must now stay out.
    mutating func choose(_ row: UInt32, marking isCapped: inout [Bool]) {
        for (cap, entry) in caps.enumerated() {
            scratch.removeAll(keepingCapacity: true)
            entry.values.append(row, to: &scratch)
            for value in scratch {
                let place = place(of: value, cap)
                values[place].count += 1
                if isFull(place) { mark(place, &isCapped) }
            }
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
