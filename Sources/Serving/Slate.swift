import Retrieval
import Vocabulary

/// Which link of the chain served a user.
package enum Fallback: UInt8, Sendable, CaseIterable {
    /// The user's own sources.
    case none = 0
    /// A known user without anything to go by.
    case noHistory = 1
    /// A user the generation does not know.
    case unknownUser = 2

    package var name: String {
        switch self {
        case .none: "none"
        case .noHistory: "no_history"
        case .unknownUser: "unknown_user"
        }
    }
}

/// A way in which an answer is less than it should be.
package enum Degradation: UInt8, Sendable, CaseIterable {
    /// A configured source is not in the bundle.
    case sourceUnavailable = 1
    /// A source was left out to keep the deadline.
    case deadlineTruncated = 2
    /// The cursor was of a generation that is no longer held; the page starts anew.
    case cursorRestarted = 3
    /// Fewer than `k` items were eligible.
    case shortSlate = 4
    /// The scenario wants a ranker and the bundle has none: the order is retrieval's.
    case rankerUnavailable = 5
    /// The ranker was too slow for the deadline, or its scores were no numbers: the order is retrieval's.
    case rankerSkipped = 6
    /// The caps of the scenario were raised to fill the slate.
    case capsRelaxed = 7

    package var name: String {
        switch self {
        case .sourceUnavailable: "source_unavailable"
        case .deadlineTruncated: "deadline_truncated"
        case .cursorRestarted: "cursor_restarted"
        case .shortSlate: "short_slate"
        case .capsRelaxed: "caps_relaxed"
        case .rankerUnavailable: "ranker_unavailable"
        case .rankerSkipped: "ranker_skipped"
        }
    }
}

/// A set of degradations.
package struct DegradationSet: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package init(_ degradation: Degradation) { rawValue = 1 << degradation.rawValue }

    /// The members, in the order of their numbers.
    package var members: [Degradation] { Degradation.allCases.filter { contains(DegradationSet($0)) } }
}

/// One place of a slate.
package struct SlateItem: Sendable, Equatable {
    package var row: UInt32
    package var score: Float

    package init(row: UInt32, score: Float) {
        self.row = row
        self.score = score
    }
}

/// What one source said about one item of a slate.
package struct SourceShare: Sendable, Equatable {
    /// Index into the slate.
    package var item: Int
    package var source: RetrievalSource
    /// 1 is the best of that source.
    package var rank: Int
    /// As the source gave it.
    package var score: Float
    /// Normalised and weighted; an item's contributions add up to its score.
    package var contribution: Float
}

/// How an answer came about; made only when asked for.
package struct Explanation: Sendable {
    /// A sentence for each item.
    package var reasons: [String]
    package var shares: [SourceShare]
    package var timings: [(stage: String, microseconds: Int)]
    /// How many items could have been shown.
    package var eligibleItems: Int
    /// What re-ranking did to each item; empty where nothing is re-ranked.
    package var placements: [RerankedItem] = []
    /// What the ranker made of the items; nil where none gave the order, or time was up.
    package var features: SlateFeatures?
}

/// What chance had to do with a slate.
package struct SlateDraws: Sendable, Equatable {
    /// What the draws were made from; never 0.
    package var seed: UInt64
    /// For each item the probability that it took its place, given the places before it.
    package var propensities: [Float]
    /// Items that stand where the best one would have stood without chance.
    package var exploredItems: Int
}

/// The answer: items for one user, all of one generation; best first, where nothing is re-ranked.
package struct Slate: Sendable {
    /// Of items without windows.
    package static let always: ClosedRange<Int64> = .min ... .max

    package var items: [SlateItem]
    package var generation: Generation
    package var fallback: Fallback
    package var degraded: DegradationSet
    /// Empty when there is no further page.
    package var nextCursor: [UInt8]
    package var explanation: Explanation?
    package var includeDetails: Bool
    /// Whether the same request may be answered with the same bytes for a while.
    package var isCacheable: Bool
    /// The Unix seconds during which all items are available: an answer is kept no longer.
    package var seconds: ClosedRange<Int64>
    /// How many candidates each source brought.
    package var candidates: [(source: RetrievalSource, count: Int, plan: SearchPlan?)]
    /// Nil where nothing is left to chance.
    package var draws: SlateDraws?
    package var pinnedItems = 0
    /// How much was done for it.
    package var quality = QualityLevel.full
    /// Of the user, as of when the slate was begun.
    package var stamp = UserEpochs.Stamp.nobody
    /// By which it was made; nil: nothing had changed.
    package var overlay: ItemOverlay?
    /// What is to be logged of it; nil: nothing.
    package var capture: SlateCapture?
}

/// The slates of several users, each at its place in the call.
package struct ManySlates: Sendable {
    package var generation: Generation
    package var slates: [(position: Int, items: [SlateItem], fallback: Fallback, status: StatusCode)]
    /// By position, of the slates that have items; empty where nothing is left to chance.
    package var propensities: [Int: [Float]] = [:]
    package var exploredItems = 0
    package var pinnedItems = 0
    /// Of the one for which least was done.
    package var quality = QualityLevel.full
    /// By which they were made; nil: nothing had changed.
    package var overlay: ItemOverlay?
    /// What is to be logged of them, and under which request ID; empty: nothing.
    package var captures: [SlateCapture] = []
    package var logID = ""
}

/// Items like an item.
package struct SimilarItems: Sendable {
    package var items: [SlateItem]
    package var generation: Generation
    package var source: RetrievalSource
    package var includeDetails: Bool
    /// By which they were found; nil: nothing had changed.
    package var overlay: ItemOverlay?
}

/// An item's details.
package struct ItemDetails: Sendable {
    package var row: UInt32
    package var generation: Generation
    /// Where the row may be one of its.
    package var overlay: ItemOverlay?
}

/// Items of the caller's, best first.
package struct RankedItems: Sendable {
    /// Their places in the request.
    package var places: [UInt32]
    package var scores: [Float]
    /// Places of items that the model does not know.
    package var unknown: [UInt32]
    package var generation: Generation
    /// Of an explanation: the features, and for each of `places` their values and contributions.
    package var features: [String] = []
    package var values: [Float] = []
    package var contributions: [Float] = []

    package init(places: [UInt32], scores: [Float], unknown: [UInt32], generation: Generation) {
        self.places = places
        self.scores = scores
        self.unknown = unknown
        self.generation = generation
    }
}

/// What a shard answers.
package enum ShardAnswer: Sendable {
    case slate(Slate)
    case slates(ManySlates)
    case similarItems(SimilarItems)
    case item(ItemDetails)
    case ranked(RankedItems)
    case recorded(RecordedEvents)
    case rejected(Rejection)
}
