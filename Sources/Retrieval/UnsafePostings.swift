import Catalog
import NearestNeighbors

/// For each value of a text attribute the items that have it: a bitmap where they are more than one in 32 (then it is
/// the smaller form, too), else their rows, ascending.
struct Postings: Sendable {
    private let attribute: TextAttribute
    /// The rows of value `v` are `rows[offsets[v]..<offsets[v + 1]]`; none for a dense one.
    private let offsets: [UInt32]
    private let rows: [UInt32]
    private let dense: [UInt32: RowBitmap]
    private let counts: [UInt32]

    /// - Complexity: O(items + assignments).
    init(_ attribute: TextAttribute) {
        self.attribute = attribute
        let (itemCount, valueCount) = (attribute.rowCount, attribute.valueCount)
        var counts = [UInt32](repeating: 0, count: valueCount)
        for row in 0..<UInt32(itemCount) { for value in attribute.numbers(row) { counts[Int(value)] += 1 } }
        var starts: [Int] = [0]
        starts.reserveCapacity(valueCount + 1)
        for count in counts { starts.append((starts.last ?? 0) + Int(count)) }
        var next = starts
        var all = [UInt32](repeating: 0, count: starts.last ?? 0)
        for row in 0..<UInt32(itemCount) {
            for value in attribute.numbers(row) {
                all[next[Int(value)]] = row
                next[Int(value)] += 1
            }
        }
        // Long lists become bitmaps, short ones move together.
        var dense: [UInt32: RowBitmap] = [:]
        var offsets: [UInt32] = [0]
        offsets.reserveCapacity(valueCount + 1)
        var rows: [UInt32] = []
        for value in 0..<valueCount {
            let list = all[starts[value]..<starts[value + 1]]
            if list.count > itemCount / 32 {
                dense[UInt32(value)] = RowBitmap(rowCount: itemCount) { words in
                    for row in list { words[Int(row >> 6)] |= 1 &<< UInt64(row & 63) }
                }
            } else {
                rows.append(contentsOf: list)
            }
            offsets.append(UInt32(rows.count))
        }
        self.offsets = offsets
        self.rows = rows
        self.dense = dense
        self.counts = counts
    }

    var byteCount: Int {
        (offsets.count + rows.count + counts.count) * 4 + dense.values.reduce(0) { $0 + $1.byteCount }
    }

    func number(of value: String) -> UInt32? { attribute.number(of: value) }
    /// Items that have the value.
    func count(_ value: UInt32) -> Int { Int(counts[Int(value)]) }
    func contains(_ row: UInt32, _ value: UInt32) -> Bool {
        dense[value]?.contains(row) ?? attribute.numbers(row).contains(value)
    }

    /// Sets the bits of the items that have the value.
    func insert(_ value: UInt32, into words: UnsafeMutableBufferPointer<UInt64>) {
        if let bitmap = dense[value] {
            for index in words.indices { words[index] |= bitmap.words[index] }
        } else {
            forEachRow(value) { words[Int($0 >> 6)] |= 1 &<< UInt64($0 & 63) }
        }
    }

    /// Clears the bits of the items that have the value.
    func remove(_ value: UInt32, from words: UnsafeMutableBufferPointer<UInt64>) {
        if let bitmap = dense[value] {
            for index in words.indices { words[index] &= ~bitmap.words[index] }
        } else {
            forEachRow(value) { words[Int($0 >> 6)] &= ~(1 &<< UInt64($0 & 63)) }
        }
    }

    /// Calls `body` with each item that has the value, ascending.
    func forEachItem(_ value: UInt32, _ body: (UInt32) -> Void) {
        guard let bitmap = dense[value] else { return forEachRow(value, body) }
        for (index, word) in bitmap.words.enumerated() where word != 0 {
            var word = word
            while word != 0 {
                body(UInt32(index * 64 + word.trailingZeroBitCount))
                word &= word - 1
            }
        }
    }

    @inline(__always)
    private func forEachRow(_ value: UInt32, _ body: (UInt32) -> Void) {
        rows.withUnsafeBufferPointer { rows in
            for position in Int(offsets[Int(value)])..<Int(offsets[Int(value) + 1]) { body(rows[position]) }
        }
    }
}
