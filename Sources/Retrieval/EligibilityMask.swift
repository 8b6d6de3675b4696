import NearestNeighbors

/// Which items may be shown to one request: a bit for each item row, set when it may.
///
/// Scratch of one shard, used by one request at a time: `begin` makes every item eligible again, in time that depends
/// on what the request before had blocked, not on the catalogue.
package final class EligibilityMask {
    package let itemCount: Int
    private let mask: RowMask
    private var blockedRows: [UInt32] = []
    /// Whether an attribute filter narrowed the mask.
    package private(set) var hasFilter = false

    package init(itemCount: Int) {
        self.itemCount = itemCount
        mask = RowMask(rowCount: itemCount, allEligible: true)
    }

    /// Items that may be shown.
    package var eligibleCount: Int { mask.count }
    /// Rows that were blocked one by one since `begin`.
    package var blockedCount: Int { blockedRows.count }

    /// Makes every item eligible.
    package func begin() {
        if hasFilter || blockedRows.count > itemCount / 64 {
            mask.reset(allEligible: true)
        } else {
            for row in blockedRows { mask.insert(row) }
        }
        blockedRows.removeAll(keepingCapacity: true)
        hasFilter = false
    }

    /// Keeps only the items whose bit is set in `allowed`; call before `block`.
    package func restrict(to allowed: [UInt64]) {
        mask.intersect(with: allowed)
        hasFilter = true
    }

    /// Blocks one item; rows past the catalogue are ignored.
    package func block(_ row: UInt32) {
        guard Int(row) < itemCount, mask.contains(row) else { return }
        mask.remove(row)
        blockedRows.append(row)
    }

    package func isEligible(_ row: UInt32) -> Bool { mask.contains(row) }

    /// The mask as it is now, to keep; nil when every item is eligible.
    var snapshot: RowPredicate? { mask.count == itemCount ? nil : mask.snapshot() }

    /// The mask as a predicate for an index, good until the next change; nil when every item is eligible.
    package var predicate: RowPredicate? {
        mask.count == itemCount ? nil : mask.predicate
    }
}
