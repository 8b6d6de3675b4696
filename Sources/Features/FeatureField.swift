/// On whose behalf a feature is computed, and so how often: a user's and a context's once for a request, an item's once for
/// a generation, a cross feature for each candidate.
package enum FeatureSide: String, Sendable, Codable, CaseIterable {
    case user
    case item
    case context
    /// Of what happened lately; may be late or missing.
    case live
    /// Of a user and an item together.
    case cross
}

/// Where a feature's value comes from, spelled `word` or `word:name`.
package enum FeatureSource: Hashable, Sendable {
    /// The user's ID.
    case userID
    /// How many items the user's history holds.
    case userHistory
    /// The item's ID.
    case itemID
    /// An attribute of the item's catalogue entry.
    case itemAttribute(String)
    /// The item's tags.
    case itemTags
    /// Interactions of the item in training.
    case itemPopularity
    /// Interactions of the item in the last part of training.
    case itemRecentPopularity
    /// Interactions of the item in that many days before the bundle's newest.
    case itemRecent(days: Int)
    /// Days from the item's first interaction to the bundle's newest.
    case itemAge
    /// Days from the item's last interaction to the bundle's newest.
    case itemIdle
    /// Days from the user's last interaction to the bundle's newest.
    case userIdle
    /// A value that the request names.
    case context(String)
    /// Inner product of the user's factor with the item's, by the factor model's name.
    case factorProduct(String)
    /// The score that a source of retrieval gave the item, by the source's name.
    case sourceScore(String)
    /// The fused score of retrieval.
    case retrievalScore
    /// The place in retrieval's order, the best is 1.
    case retrievalRank
    /// The place in the list of one source, the best is 1, by the source's name.
    case sourceRank(String)
    /// The largest share of the user's history that has one of the item's values of this attribute.
    case sharedAttribute(String)
    /// How much likelier the user is than others to have something with the item's values of this attribute: the mean over
    /// the values of the logarithm of their share of the history over their share of everybody's.
    case attributeAffinity(String)
    /// The sum of the item's weights among the neighbours of that many newest items of the user's history.
    case historySum(items: Int)
    /// The largest of the item's weights among the neighbours of the user's newest items.
    case historyMax
    /// A column of a file of labelled examples; served from the request's context of that name.
    case column(String)
    /// What a node knows of the user from events, as of now.
    case live(LiveSource)

    package var side: FeatureSide {
        switch self {
        case .userID, .userHistory, .userIdle: .user
        case .itemID, .itemAttribute, .itemTags, .itemPopularity, .itemRecentPopularity, .itemRecent, .itemAge,
            .itemIdle:
            .item
        case .context, .column: .context
        case .factorProduct, .sourceScore, .retrievalScore, .retrievalRank, .sharedAttribute, .sourceRank,
            .attributeAffinity, .historySum, .historyMax:
            .cross
        case .live: .live
        }
    }

    /// Nil for what is not of live state.
    package var live: LiveSource? { if case .live(let source) = self { source } else { nil } }

    /// Whether it tells of moments: a model that knows what came after a choice does not give it as serving does.
    package var isOfTime: Bool {
        switch self {
        case .itemRecentPopularity, .itemRecent, .itemAge, .itemIdle, .userIdle: true
        default: false
        }
    }

    private static let plain: [String: FeatureSource] = [
        "user.id": .userID, "user.history": .userHistory, "item.id": .itemID, "item.tags": .itemTags,
        "item.popularity": .itemPopularity, "item.recent_popularity": .itemRecentPopularity,
        "retrieval.score": .retrievalScore, "retrieval.rank": .retrievalRank, "item.age": .itemAge,
        "item.idle": .itemIdle, "user.idle": .userIdle, "history.max": .historyMax,
    ]
    private static let named: [String: @Sendable (String) -> FeatureSource?] = [
        "item.attribute": { .itemAttribute($0) }, "context": { .context($0) }, "cross.product": { .factorProduct($0) },
        "cross.shared": { .sharedAttribute($0) }, "retrieval.score": { .sourceScore($0) }, "column": { .column($0) },
        "retrieval.rank": { .sourceRank($0) }, "cross.affinity": { .attributeAffinity($0) },
        "item.recent": { number($0).map { .itemRecent(days: $0) } },
        "history.sum": { number($0).map { .historySum(items: $0) } },
        "live.events": { LiveSource.counted($0).map { .live(.events($0.0, $0.1)) } },
        "live.pair": { LiveSource.counted($0).map { .live(.pair($0.0, $0.1)) } },
    ]

    /// Days or items that a source may name at most.
    package static let numberMax = 10_000

    private static func number(_ text: String) -> Int? {
        Int(text).flatMap { (1...numberMax).contains($0) ? $0 : nil }
    }

    /// All words, for messages.
    package static var words: [String] {
        (Array(plain.keys) + Array(LiveSource.plain.keys)).sorted() + named.keys.sorted().map { "\($0):NAME" }
    }

    /// Nil for a text that is none.
    package init?(_ text: String) {
        if let source = Self.plain[text] ?? LiveSource.plain[text].map({ .live($0) }) {
            self = source
            return
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[1].isEmpty, let make = Self.named[String(parts[0])],
            let source = make(String(parts[1]))
        else { return nil }
        self = source
    }

    package var text: String {
        switch self {
        case .itemAttribute(let name): "item.attribute:\(name)"
        case .context(let name): "context:\(name)"
        case .factorProduct(let name): "cross.product:\(name)"
        case .sharedAttribute(let name): "cross.shared:\(name)"
        case .sourceScore(let name): "retrieval.score:\(name)"
        case .column(let name): "column:\(name)"
        case .sourceRank(let name): "retrieval.rank:\(name)"
        case .attributeAffinity(let name): "cross.affinity:\(name)"
        case .itemRecent(let days): "item.recent:\(days)"
        case .historySum(let items): "history.sum:\(items)"
        case .live(let source): source.text
        default: Self.plain.first { $0.value == self }?.key ?? ""
        }
    }
}

/// How a categorical value becomes a row of the field's embedding table. Row 0 is for what is missing or unknown.
package enum CategoricalEncoding: Sendable, Equatable {
    /// Values by name; value n has row n + 1.
    case dictionary([String])
    /// Row `1 + XXH64(value, seed 0) % buckets`.
    case hashed(buckets: Int)
    /// The bundle's own row of the user or item, plus 1; `count` rows are known.
    case rows(count: Int)

    /// Rows of the table.
    package var tableRows: Int {
        switch self {
        case .dictionary(let values): values.count + 1
        case .hashed(let buckets): buckets + 1
        case .rows(let count): count + 1
        }
    }
}

/// One feature.
package struct FeatureField: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// A number; `missing` stands in for a value that is absent, late or not a number, before normalisation. Nil: such a
        /// value is NaN, which trees take and networks do not.
        case dense(Normalisation, missing: Double?)
        /// A value among many; several with `isMultivalued`, whose embeddings are averaged.
        case categorical(CategoricalEncoding, isMultivalued: Bool)
    }

    package var name: String
    package var source: FeatureSource
    package var side: FeatureSide
    package var kind: Kind
    /// Of a live feature, seconds after which a value is too old and the one for missing values stands in; nil of others.
    package var timeToLive: Int?

    /// - Parameters:
    ///   - side: Nil: the source's own.
    ///   - timeToLive: Nil: the source's own.
    package init(
        _ name: String, from source: FeatureSource, side: FeatureSide? = nil, timeToLive: Int? = nil, _ kind: Kind
    ) {
        self.name = name
        self.source = source
        self.side = side ?? source.side
        self.kind = kind
        self.timeToLive = timeToLive ?? source.live?.timeToLive
    }

    /// Whether it differs from candidate to candidate and is not of items.
    package var isPerCandidate: Bool {
        switch side {
        case .cross: true
        case .live: source.live?.isPerCandidate ?? true
        case .user, .item, .context: false
        }
    }
}
