// Answers as the node writes them: straight from the memory of the catalogue into the outgoing frame, no Strings and
// no arrays of them. They encode to the same bytes as the value types of the same message.
//
// Everything borrowed must stay valid until `encode` returns, and must not change between `encodedByteCount` and
// `encode`.

/// A borrowed `RecommendReply`.
package struct RecommendReplyFields: ProtoEncodable {
    /// UTF-8 of each item's ID, best first.
    package var items: UnsafeBufferPointer<UnsafeRawBufferPointer>
    /// As many as items.
    package var scores: UnsafeBufferPointer<Float>
    package var fallback = Fallback.none
    package var degraded: Degradations = []
    package var nextCursor = UnsafeRawBufferPointer(start: nil, count: 0)
    /// As many as items, or none.
    package var titles = UnsafeBufferPointer<UnsafeRawBufferPointer>(start: nil, count: 0)
    /// As many as items, or none.
    package var reasons: [String] = []
    package var shares: [SourceShare] = []
    package var timings: [StageTiming] = []
    package var arm = UnsafeRawBufferPointer(start: nil, count: 0)
    package var eligibleItems: UInt32 = 0
    /// As many as items, or none.
    package var propensities = UnsafeBufferPointer<Float>(start: nil, count: 0)
    package var seed: UInt64 = 0
    /// As many as items, or none.
    package var placements: [Placement] = []
    package var ranking = RankerFeatures()
    package var requestID = ""
    package var qualityLevel: UInt32 = 0

    /// - Precondition: as many scores as items.
    package init(items: UnsafeBufferPointer<UnsafeRawBufferPointer>, scores: UnsafeBufferPointer<Float>) {
        precondition(items.count == scores.count, "\(items.count) items and \(scores.count) scores")
        self.items = items
        self.scores = scores
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        for item in items { sink.element(1, item) }
        sink.packed(2, scores)
        sink.field(5, fallback.rawValue)
        sink.field(6, degraded)
        sink.field(7, nextCursor)
        for title in titles { sink.element(8, title) }
        sink.field(9, reasons)
        for share in shares { sink.message(10, share) }
        for timing in timings { sink.message(11, timing) }
        sink.field(12, arm)
        sink.field(13, eligibleItems)
        sink.packed(14, propensities)
        sink.field(15, seed)
        for placement in placements { sink.message(16, placement) }
        ranking.write(to: &sink)
        sink.field(21, requestID)
        sink.field(22, qualityLevel)
    }
}

/// The fields of a `RecommendReply` that say what made it: the same for all answers of a generation, so whoever keeps answers
/// leaves these out and puts them behind the body.
package struct RecommendReplyOrigin: ProtoEncodable {
    package var generation: UInt64
    package var model: String

    package init(generation: UInt64, model: String) {
        self.generation = generation
        self.model = model
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(3, generation)
        sink.field(4, model)
    }
}

/// A borrowed `RecommendManyReply`.
package struct RecommendManyReplyFields: ProtoEncodable {
    /// One for each user; their sum is `items.count`.
    package var itemCounts: UnsafeBufferPointer<UInt32>
    package var items: UnsafeBufferPointer<UnsafeRawBufferPointer>
    package var scores: UnsafeBufferPointer<Float>
    /// Raw values of `Fallback`, one for each user.
    package var fallbacks: UnsafeBufferPointer<UInt32>
    /// Raw values of `StatusCode`, one for each user.
    package var statuses: UnsafeBufferPointer<UInt32>
    package var generation: UInt64 = 0
    package var model = UnsafeRawBufferPointer(start: nil, count: 0)
    /// As many as items, or none.
    package var propensities = UnsafeBufferPointer<Float>(start: nil, count: 0)
    package var requestID = ""
    package var qualityLevel: UInt32 = 0
    /// Raw values of `Degradations`, one for each user, or none.
    package var degraded = UnsafeBufferPointer<UInt32>(start: nil, count: 0)

    /// - Precondition: one count, fallback and status for each user; one score for each item.
    package init(
        itemCounts: UnsafeBufferPointer<UInt32>, items: UnsafeBufferPointer<UnsafeRawBufferPointer>,
        scores: UnsafeBufferPointer<Float>, fallbacks: UnsafeBufferPointer<UInt32>,
        statuses: UnsafeBufferPointer<UInt32>
    ) {
        precondition(items.count == scores.count, "\(items.count) items and \(scores.count) scores")
        precondition(
            itemCounts.count == fallbacks.count && itemCounts.count == statuses.count,
            "\(itemCounts.count) counts, \(fallbacks.count) fallbacks and \(statuses.count) statuses")
        self.itemCounts = itemCounts
        self.items = items
        self.scores = scores
        self.fallbacks = fallbacks
        self.statuses = statuses
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.packed(1, itemCounts)
        for item in items { sink.element(2, item) }
        sink.packed(3, scores)
        sink.packed(4, fallbacks)
        sink.packed(5, statuses)
        sink.field(6, generation)
        sink.field(7, model)
        sink.packed(8, propensities)
        sink.field(9, requestID)
        sink.packed(10, degraded)
        sink.field(11, qualityLevel)
    }
}

/// A borrowed `SimilarItemsReply`.
package struct SimilarItemsReplyFields: ProtoEncodable {
    /// UTF-8 of each item's ID, best first.
    package var items: UnsafeBufferPointer<UnsafeRawBufferPointer>
    /// As many as items.
    package var scores: UnsafeBufferPointer<Float>
    package var generation: UInt64 = 0
    package var model = UnsafeRawBufferPointer(start: nil, count: 0)
    package var source = UnsafeRawBufferPointer(start: nil, count: 0)
    /// As many as items, or none.
    package var titles = UnsafeBufferPointer<UnsafeRawBufferPointer>(start: nil, count: 0)

    /// - Precondition: as many scores as items.
    package init(items: UnsafeBufferPointer<UnsafeRawBufferPointer>, scores: UnsafeBufferPointer<Float>) {
        precondition(items.count == scores.count, "\(items.count) items and \(scores.count) scores")
        self.items = items
        self.scores = scores
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        for item in items { sink.element(1, item) }
        sink.packed(2, scores)
        sink.field(3, generation)
        sink.field(4, model)
        sink.field(5, source)
        for title in titles { sink.element(6, title) }
    }
}
