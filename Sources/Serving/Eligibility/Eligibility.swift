import NearestNeighbors
import Retrieval
import Vocabulary

/// The one place that decides what may be shown to a request: it only ever removes.
///
/// The mask it fills is handed down to the sources, so that they spend their effort on eligible items; that is the one
/// step against the order of the stages.
enum Eligibility {
    /// Leaves the items that are available and satisfy the filter, without seen items and exclusions.
    ///
    /// - Parameters:
    ///   - available: From `Engine.availableItems`, by `overlay`.
    ///   - blocked: Further rows, perhaps some twice.
    ///   - filter: From `Engine.rows(of:)`.
    static func apply(
        available: AvailableRows, filter: FilteredRows, excluded: [String], seen: UnsafeBufferPointer<UInt32>?,
        blocked: [UInt32] = [], engine: Engine, overlay: ItemOverlay, mask: EligibilityMask
    ) {
        mask.begin(
            available: available.items, filter: filter.items, added: available.added, addedFilter: filter.added)
        if let seen { mask.block(seen) }
        if !blocked.isEmpty { blocked.withUnsafeBufferPointer { mask.block($0) } }
        for item in excluded {
            if let row = engine.row(of: item, overlay) { mask.block(row) }
        }
    }
}
