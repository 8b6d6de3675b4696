import NearestNeighbors

/// Filters that were compiled lately, within a number of bytes: a repeated filter costs a look-up.
///
/// CLOCK decides what stays: an entry that was used since the hand came by gets another round. Not thread safe: it
/// belongs to one shard and to one generation.
package final class FilterCache {
    private struct Entry {
        var filter: ItemFilter
        var rows: RowBitmap
        var bytes: Int
        var wasUsed: Bool
        /// Made when somebody asks for them.
        var lists: HotLists?
    }

    private let compile: (ItemFilter) throws(FilterFault) -> RowBitmap
    private let bytesMax: Int
    private var entries: [Entry] = []
    private var places: [ItemFilter: Int] = [:]
    private var hand = 0
    package private(set) var bytes = 0
    package private(set) var hits: UInt64 = 0
    package private(set) var misses: UInt64 = 0

    /// - Parameters:
    ///   - bytesMax: At 0 nothing is kept.
    ///   - compile: Is given filters that ask something.
    package init(bytesMax: Int, compile: @escaping (ItemFilter) throws(FilterFault) -> RowBitmap) {
        self.bytesMax = bytesMax
        self.compile = compile
    }

    package convenience init(_ index: AttributeIndex, bytesMax: Int) {
        self.init(bytesMax: bytesMax) { (filter) throws(FilterFault) in try index.rows(of: filter) }
    }

    package var count: Int { entries.count }

    /// The rows that satisfy a filter; nil for one that asks nothing.
    ///
    /// - Throws: `FilterFault`.
    package func rows(of filter: ItemFilter) throws(FilterFault) -> RowBitmap? {
        if filter.isEmpty { return nil }
        if let place = places[filter] {
            hits += 1
            entries[place].wasUsed = true
            return entries[place].rows
        }
        misses += 1
        let rows = try compile(filter)
        keep(rows, filter)
        return rows
    }

    /// What is popular among the rows of a filter that is kept; nil where the lists would not be worth their bytes.
    package func hotLists(of filter: ItemFilter) -> HotLists? {
        guard let place = places[filter] else { return nil }
        if let lists = entries[place].lists { return lists }
        let rows = entries[place].rows
        guard rows.count <= rows.rowCount / HotLists.scarcityMin,
            entries[place].bytes + HotLists.bytesMax <= bytesMax
        else { return nil }
        entries[place].wasUsed = true
        while bytes + HotLists.bytesMax > bytesMax { evictOne() }
        guard let place = places[filter] else { return nil }
        let lists = HotLists(rows)
        entries[place].lists = lists
        entries[place].bytes += HotLists.bytesMax
        bytes += HotLists.bytesMax
        return lists
    }

    /// Drops everything, for a generation that only stays for rollback.
    package func removeAll() {
        entries = []
        places = [:]
        hand = 0
        bytes = 0
    }

    private func keep(_ rows: RowBitmap, _ filter: ItemFilter) {
        // The filter stands in the entry and in the table.
        let cost = rows.byteCount + 2 * filter.byteCount + MemoryLayout<Entry>.stride
        guard cost <= bytesMax else { return }
        while bytes + cost > bytesMax { evictOne() }
        places[filter] = entries.count
        entries.append(Entry(filter: filter, rows: rows, bytes: cost, wasUsed: false))
        bytes += cost
    }

    private func evictOne() {
        while true {
            if hand >= entries.count { hand = 0 }
            if entries[hand].wasUsed {
                entries[hand].wasUsed = false
                hand += 1
                continue
            }
            bytes -= entries[hand].bytes
            places[entries[hand].filter] = nil
            // The last one takes the place.
            let last = entries.removeLast()
            if hand < entries.count {
                entries[hand] = last
                places[last.filter] = hand
                hand += 1
            }
            return
        }
    }
}
