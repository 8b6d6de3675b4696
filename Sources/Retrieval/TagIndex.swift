import Catalog

/// For each tag the items that carry it: turns an attribute filter into a set of rows.
package struct TagIndex: Sendable {
    private let offsets: [Int]
    private let rows: [UInt32]
    private let itemCount: Int

    /// - Complexity: O(items + tag assignments).
    package init(_ items: ItemCatalog) {
        itemCount = items.count
        var counts = [Int](repeating: 0, count: items.tagCount + 1)
        for row in 0..<UInt32(items.count) {
            for tag in items.tagIDs(row) { counts[Int(tag) + 1] += 1 }
        }
        for tag in 1..<max(counts.count, 1) { counts[tag] += counts[tag - 1] }
        var next = counts
        var rows = [UInt32](repeating: 0, count: counts.last ?? 0)
        for row in 0..<UInt32(items.count) {
            for tag in items.tagIDs(row) {
                rows[next[Int(tag)]] = row
                next[Int(tag)] += 1
            }
        }
        offsets = counts
        self.rows = rows
    }

    /// Bytes that the index takes.
    package var byteCount: Int { rows.count * 4 + offsets.count * 8 }

    /// The rows that satisfy a filter, as a bitmap with a bit for each item.
    ///
    /// - Parameters:
    ///   - any: At least one of these tags must be there; nil when the request did not ask.
    ///   - all: Each of these must be there; a nil in it is a tag that no item has.
    ///   - none: None of these may be there.
    /// - Complexity: O(items / 64 + assignments of the tags named).
    package func bitmap(any: [UInt32]?, all: [UInt32?], none: [UInt32]) -> [UInt64] {
        let wordCount = (itemCount + 63) / 64
        var result: [UInt64]
        if let any {
            result = Array(repeating: 0, count: wordCount)
            for tag in any { forEachRow(tag) { result[$0 >> 6] |= 1 << UInt64($0 & 63) } }
        } else {
            result = Array(repeating: .max, count: wordCount)
        }
        for tag in all {
            var having = [UInt64](repeating: 0, count: wordCount)
            if let tag { forEachRow(tag) { having[$0 >> 6] |= 1 << UInt64($0 & 63) } }
            for index in result.indices { result[index] &= having[index] }
        }
        for tag in none { forEachRow(tag) { result[$0 >> 6] &= ~(1 << UInt64($0 & 63)) } }
        return result
    }

    private func forEachRow(_ tag: UInt32, _ body: (Int) -> Void) {
        guard Int(tag) + 1 < offsets.count else { return }
        for position in offsets[Int(tag)]..<offsets[Int(tag) + 1] { body(Int(rows[position])) }
    }
}
