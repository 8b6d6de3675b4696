import NearestNeighbors

/// What is popular, and popular of late, among the items that satisfy a filter: found once, as far as somebody asked, and kept with
/// the filter.
///
/// The lists know nothing of a user or of a moment: whoever takes rows from them asks the mask of its request for each. So
/// nothing voids them but what voids the filter's rows: another generation, and items that are described anew.
/// One for each filter of a shard; not thread safe.
package final class HotLists {
    package enum Kind: Int, CaseIterable, Sendable { case popular, recent }

    /// Rows of one list; further ones are looked for each time.
    package static let rowsMax = 1024
    /// Bytes of all lists, at most.
    package static let bytesMax = Kind.allCases.count * (rowsMax * 4 + 64)
    /// A list is worth its bytes where one item in so many, or fewer, satisfy the filter.
    package static let scarcityMin = 8

    private struct List {
        var rows: [UInt32] = []
        /// Where the order goes on behind the rows.
        var next = 0
    }

    private let filter: RowBitmap
    private var lists = Array(repeating: List(), count: Kind.allCases.count)

    package init(_ filter: RowBitmap) { self.filter = filter }

    /// Rows of `order` that satisfy the filter, in its order, until `take` says that it has enough.
    ///
    /// - Parameters:
    ///   - order: The same one for a kind each time.
    ///   - take: Is given a row; false: no more.
    /// - Complexity: O(rows given) where somebody asked as far before, else O(order).
    package func walk(_ kind: Kind, _ order: UnsafeBufferPointer<UInt32>, _ take: (UInt32) -> Bool) {
        for row in lists[kind.rawValue].rows where !take(row) { return }
        var next = lists[kind.rawValue].next
        while next < order.count {
            let row = order[next]
            next += 1
            guard filter.contains(row) else { continue }
            if lists[kind.rawValue].rows.count < Self.rowsMax {
                lists[kind.rawValue].rows.append(row)
                lists[kind.rawValue].next = next
            }
            if !take(row) { return }
        }
        if lists[kind.rawValue].rows.count < Self.rowsMax { lists[kind.rawValue].next = next }
    }
}
