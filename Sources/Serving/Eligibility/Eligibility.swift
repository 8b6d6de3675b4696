import Retrieval
import Vocabulary

/// The one place that decides what may be shown to a request: it only ever removes.
///
/// The mask it fills is handed down to the sources, so that they spend their effort on eligible items; that is the one
/// step against the order of the stages.
enum Eligibility {
    /// Blocks seen items, exclusions and what the filter asks to leave out.
    static func apply(
        _ request: RecommendationRequest, seen: UnsafeBufferPointer<UInt32>?, model: RetrievalModel,
        to mask: EligibilityMask
    ) {
        apply(filter: request.filter, excluded: request.excludedItems, seen: seen, model: model, to: mask)
    }

    static func apply(
        filter: AttributeFilter, excluded: [String], seen: UnsafeBufferPointer<UInt32>?, model: RetrievalModel,
        to mask: EligibilityMask
    ) {
        mask.begin()
        if !filter.isEmpty {
            let items = model.items
            mask.restrict(
                to: model.tags.bitmap(
                    any: filter.anyTag.isEmpty ? nil : filter.anyTag.compactMap { items.tagID(of: $0) },
                    all: filter.allTags.map { items.tagID(of: $0) },
                    none: filter.noTag.compactMap { items.tagID(of: $0) }))
        }
        if let seen {
            for row in seen { mask.block(row) }
        }
        for item in excluded {
            if let row = model.items.row(of: item) { mask.block(row) }
        }
    }
}
