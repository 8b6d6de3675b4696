import Retrieval
import Vocabulary

/// A decoded, checked request for one user's slate.
package struct RecommendationRequest: Sendable {
    package var user: String
    /// 0 asks for the scenario's default.
    package var k: Int
    package var scenario: String
    package var excludedItems: [String]
    package var filter: ItemFilter
    package var explain: Bool
    package var cursor: [UInt8]
    package var includeDetails: Bool
    /// False leaves nothing to chance, whatever the scenario says.
    package var explores = true
    /// Of what is left to chance; 0: the shard takes one of its own.
    package var seed: UInt64 = 0
    /// Items for places of the first page, before those of the scenario; each item and place once.
    package var pins: [RerankingConfiguration.Pin] = []

    package init(
        user: String, k: Int = 0, scenario: String = "", excludedItems: [String] = [],
        filter: ItemFilter = ItemFilter(), explain: Bool = false, cursor: [UInt8] = [],
        includeDetails: Bool = false
    ) {
        self.user = user
        self.k = k
        self.scenario = scenario
        self.excludedItems = excludedItems
        self.filter = filter
        self.explain = explain
        self.cursor = cursor
        self.includeDetails = includeDetails
    }
}

/// The slates of several users of one shard, asked for in one call.
package struct ManyRequest: Sendable {
    /// The users, and for each its place in the whole call.
    package var users: [(position: Int, user: String)]
    /// What holds for each of them; its `user` is not read.
    package var template: RecommendationRequest
    /// What must make all of them; nil: what the shard holds.
    package var generation: Generation?

    package init(
        users: [(position: Int, user: String)], template: RecommendationRequest, generation: Generation? = nil
    ) {
        self.users = users
        self.template = template
        self.generation = generation
    }
}

/// A request for items like one item.
package struct SimilarItemsRequest: Sendable {
    package var item: String
    package var k: Int
    package var source: String
    package var excludedItems: [String]
    package var filter: ItemFilter
    package var includeDetails: Bool

    package init(
        item: String, k: Int = 0, source: String = "", excludedItems: [String] = [],
        filter: ItemFilter = ItemFilter(), includeDetails: Bool = false
    ) {
        self.item = item
        self.k = k
        self.source = source
        self.excludedItems = excludedItems
        self.filter = filter
        self.includeDetails = includeDetails
    }
}

/// What a shard can be asked.
package enum ShardRequest: Sendable {
    case recommend(RecommendationRequest)
    case recommendMany(ManyRequest)
    case similarItems(SimilarItemsRequest)
    case item(String)
}
