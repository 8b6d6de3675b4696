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
    package var eligibleCount: Int { mask.count }

    /// Makes the items eligible that stand in both; nil stands for all.
    ///
    /// - Complexity: O(rows blocked before) where both are the same as before and those were few, else O(items / 64).
    package func begin(available: RowBitmap? = nil, filter: RowBitmap? = nil) {
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

    /// Blocks one item; rows past the catalogue are ignored.
    package func block(_ row: UInt32) {
        guard Int(row) < itemCount, mask.contains(row) else { return }
        mask.remove(row)
        if blockedRows.count < mendableRows { blockedRows.append(row) } else { isWorn = true }
    }

    /// Blocks items, in any order; rows past the catalogue are ignored.
    ///
    /// - Complexity: O(rows), about a nanosecond each where they are many.
    package func block(_ rows: UnsafeBufferPointer<UInt32>) {
        mask.remove(rows)
        if blockedRows.count + rows.count <= mendableRows {
            blockedRows.append(contentsOf: rows)
        } else {
            isWorn = true
        }
    }

    package func isEligible(_ row: UInt32) -> Bool { mask.contains(row) }

    /// The mask as it is now, to keep; nil when every item is eligible.
    var snapshot: RowPredicate? { mask.count == itemCount ? nil : mask.snapshot() }

    /// The mask as a predicate for an index, good until the next change; nil when every item is eligible.
    package var predicate: RowPredicate? {
        mask.count == itemCount ? nil : mask.predicate
    }
}
