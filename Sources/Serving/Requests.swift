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
    /// What a ranker may take of the moment of the request, by name.
    package var context: [String: String]
    /// False leaves nothing to chance, whatever the scenario says.
    package var explores = true
    /// Of what is left to chance; 0: the shard takes one of its own.
    package var seed: UInt64 = 0
    /// Items of late, oldest first.
    package var recentItems: [String] = []
    /// Items for places of the first page, before those of the scenario; each item and place once.
    package var pins: [RerankingConfiguration.Pin] = []
    /// The request ID under which the slate is to be logged; empty: it is not.
    package var logID = ""
    /// Other nodes may know something of the user that this one does not.
    package var isUserStale = false
    /// How old the word of other nodes is, in microseconds; nil: there are none.
    package var userStateAge: Int?

    package init(
        user: String, k: Int = 0, scenario: String = "", excludedItems: [String] = [],
        filter: ItemFilter = ItemFilter(), explain: Bool = false, cursor: [UInt8] = [],
        includeDetails: Bool = false, context: [String: String] = [:]
    ) {
        self.context = context
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
    /// Places in the call of users of whom other nodes may know more.
    package var staleUsers: Set<Int> = []

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

/// A request for the order of items that the caller found.
package struct RankRequest: Sendable {
    /// Perhaps one that the model does not know.
    package var user: String
    package var items: [String]
    package var context: [String: String]
    package var explain: Bool
    /// Other nodes may know something of the user that this one does not.
    package var isUserStale = false

    package init(user: String, items: [String], context: [String: String] = [:], explain: Bool = false) {
        self.user = user
        self.items = items
        self.context = context
        self.explain = explain
    }
}

/// What a shard can be asked.
package enum ShardRequest: Sendable {
    case recommend(RecommendationRequest)
    case recommendMany(ManyRequest)
    case similarItems(SimilarItemsRequest)
    case item(String)
    case rank(RankRequest)
    case record(EventBatch)
}

extension ShardRequest {
    /// The same while changes of items that other nodes took may be missing. Single slates are marked as they go out, so that
    /// the cache can keep them.
    package var withStaleItems: ShardRequest {
        switch self {
        case .recommendMany(var request):
            request.staleUsers = Set(request.users.map(\.position))
            return .recommendMany(request)
        case .rank(var request):
            request.isUserStale = true
            return .rank(request)
        case .recommend, .similarItems, .item, .record: return self
        }
    }
}
