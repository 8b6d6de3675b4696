import Catalog
import NearestNeighbors

/// The items by rising number, so that a range is a run of them.
struct NumberIndex: Sendable {
    private let attribute: NumberAttribute
    /// Rows that have a number, by it, then by row.
    private let order: [UInt32]
    /// The rows that have one; nil when all do.
    private let present: RowBitmap?

    /// - Complexity: O(items log items).
    init(_ attribute: NumberAttribute) {
        self.attribute = attribute
        let values = attribute.values
        var keyed: [(value: Double, row: UInt32)] = []
        keyed.reserveCapacity(values.count)
        for row in values.indices where !values[row].isNaN { keyed.append((values[row], UInt32(row))) }
        keyed.sort { $0.value < $1.value || ($0.value == $1.value && $0.row < $1.row) }
        order = keyed.map(\.row)
        present =
            keyed.count == values.count
            ? nil
            : RowBitmap(rowCount: values.count) { words in
                for row in values.indices where !values[row].isNaN { words[row >> 6] |= 1 << UInt64(row & 63) }
            }
    }

    var byteCount: Int { order.count * 4 + (present?.byteCount ?? 0) }

    /// The places in the order whose numbers are in the range; empty where `min` is above `max`.
    func places(min: Double, max: Double) -> Range<Int> {
        let values = attribute.values
        func first(where isPast: (Double) -> Bool) -> Int {
            var (low, high) = (0, order.count)
            while low < high {
                let middle = (low + high) / 2
                if isPast(values[Int(order[middle])]) { high = middle } else { low = middle + 1 }
            }
            return low
        }
        guard min <= max else { return 0..<0 }
        let begin = first { $0 >= min }
        return begin..<Swift.max(begin, first { $0 > max })
    }

    func contains(_ row: UInt32, min: Double, max: Double) -> Bool {
        let value = attribute.values[Int(row)]
        return value >= min && value <= max
    }

    /// Sets the bits of the items at `places`. Whatever words held before stays.
    func insert(_ places: Range<Int>, into words: UnsafeMutableBufferPointer<UInt64>) {
        order.withUnsafeBufferPointer { order in
            for place in places { words[Int(order[place] >> 6)] |= 1 &<< UInt64(order[place] & 63) }
        }
    }

    /// Sets the bits of the items at `places` in words that are all zero: from the other side where they are the most.
    func fill(_ places: Range<Int>, into words: UnsafeMutableBufferPointer<UInt64>) {
        if places.count * 2 <= order.count {
            insert(places, into: words)
            return
        }
        if let present {
            _ = words.update(fromContentsOf: present.words)
        } else {
            words.update(repeating: .max)
        }
        remove(0..<places.lowerBound, from: words)
        remove(places.upperBound..<order.count, from: words)
    }

    /// Clears the bits of the items at `places`.
    func remove(_ places: Range<Int>, from words: UnsafeMutableBufferPointer<UInt64>) {
        order.withUnsafeBufferPointer { order in
            for place in places { words[Int(order[place] >> 6)] &= ~(1 &<< UInt64(order[place] & 63)) }
        }
    }

    /// The same as `fill`, by looking at every item: for a measurement beside it.
    func scan(min: Double, max: Double, into words: UnsafeMutableBufferPointer<UInt64>) {
        let values = attribute.values
        guard let base = values.baseAddress else { return }
        for index in words.indices {
            let begin = index * 64
            var word: UInt64 = 0
            for bit in 0..<Swift.min(64, values.count - begin) {
                let value = base[begin + bit]
                word |= (value >= min && value <= max ? 1 : 0) &<< UInt64(bit)
            }
            words[index] = word
        }
    }
}
