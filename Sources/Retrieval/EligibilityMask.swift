import NearestNeighbors

/// Which items may be shown to one request: a bit for each item row, set when it may.
///
/// Scratch of one shard, used by one request at a time. `begin` costs what the request before had blocked, or one pass
/// over the words, whichever is less.
package final class EligibilityMask {
    package let itemCount: Int
    private let mask: RowMask
    /// What the words held before rows were blocked; nil: every item.
    private var available: RowBitmap?
    private var filter: RowBitmap?
    private var countAtBegin: Int
    /// Of items beside the model's, by row less `itemCount`; nil where there are none.
    private var added: RowMask?
    /// Rows that were blocked, unless `isWorn`.
    private var blockedRows: [UInt32] = []
    /// Whether the words can no longer be mended row by row.
    private var isWorn = false
    /// Rows that can be blocked before a pass over the words is the cheaper way to mend them.
    private let mendableRows: Int

    package init(itemCount: Int) {
        self.itemCount = itemCount
        mask = RowMask(rowCount: itemCount, allEligible: true)
        countAtBegin = itemCount
        mendableRows = max(64, itemCount / 1024)
    }

    /// Items that may be shown.
    package var eligibleCount: Int { mask.count + addedCount }
    /// The same, of those beside the model's.
    package var addedCount: Int { added?.count ?? 0 }

    /// Makes the items eligible that stand in both; nil stands for all.
    ///
    /// - Parameters:
    ///   - added: The items beside the model's that are there; nil: none.
    ///   - addedFilter: Those of them that satisfy the filter; nil: all.
    /// - Complexity: O(rows blocked before) where both are the same as before and those were few, else O(items / 64); and
    ///   O(added items / 64).
    package func begin(
        available: RowBitmap? = nil, filter: RowBitmap? = nil, added: RowBitmap? = nil, addedFilter: RowBitmap? = nil
    ) {
        if let added {
            if self.added?.rowCount != added.rowCount {
                self.added = RowMask(rowCount: added.rowCount, allEligible: false)
            }
            self.added?.set(added, and: addedFilter)
        } else {
            self.added = nil
        }
        if !isWorn, available === self.available, filter === self.filter {
            if !blockedRows.isEmpty { mask.mend(blockedRows, available, and: filter, count: countAtBegin) }
        } else {
            mask.set(available, and: filter)
            self.available = available
            self.filter = filter
            countAtBegin = mask.count
        }
        blockedRows.removeAll(keepingCapacity: true)
        isWorn = false
    }

    /// Keeps only the items whose bit is set in `allowed`.
    package func restrict(to allowed: [UInt64]) {
        mask.intersect(with: allowed)
        isWorn = true
    }

    /// Blocks one item; rows that there are not are ignored.
    package func block(_ row: UInt32) {
        if Int(row) >= itemCount { return blockAdded(row) }
        guard mask.contains(row) else { return }
        mask.remove(row)
        if blockedRows.count < mendableRows { blockedRows.append(row) } else { isWorn = true }
    }

    private func blockAdded(_ row: UInt32) {
        guard let added, Int(row) - itemCount < added.rowCount else { return }
        added.remove(row - UInt32(itemCount))
    }

    /// Blocks items, in any order; rows that there are not are ignored.
    ///
    /// - Complexity: O(rows), about a nanosecond each where they are many.
    package func block(_ rows: UnsafeBufferPointer<UInt32>) {
        mask.remove(rows)
        if added != nil { for row in rows where Int(row) >= itemCount { blockAdded(row) } }
        if blockedRows.count + rows.count <= mendableRows {
            blockedRows.append(contentsOf: rows)
        } else {
            isWorn = true
        }
    }

    package func isEligible(_ row: UInt32) -> Bool {
        if Int(row) < itemCount { return mask.contains(row) }
        guard let added, Int(row) - itemCount < added.rowCount else { return false }
        return added.contains(row - UInt32(itemCount))
    }

    /// The mask as it is now, to keep; nil when every item is eligible.
    var snapshot: RowPredicate? { mask.count == itemCount ? nil : mask.snapshot() }

    /// The mask as a predicate for an index, good until the next change; nil when every item is eligible.
    package var predicate: RowPredicate? {
        mask.count == itemCount ? nil : mask.predicate
    }
}
