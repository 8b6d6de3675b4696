import CandidateRanking
import Retrieval
import Vocabulary

/// Whether a scenario's candidates are ranked.
package enum RankerUse: String, Sendable, CaseIterable {
    /// Where the bundle has a ranker.
    case auto
    /// Retrieval's order.
    case none
    /// As `auto`, and an answer of a bundle without one is marked as degraded.
    case required
}

/// A place where recommendations are shown: how many, from which sources, and how long an answer keeps.
package struct ScenarioConfiguration: Sendable, Equatable {
    /// Items of a slate when the request does not say.
    package var k: Int
    /// Where candidates come from; nil takes the bundle's own mix.
    package var mix: RetrievalMix?
    /// Whether candidates are put in the order of the bundle's ranker.
    package var ranker: RankerUse
    /// Candidates that are ranked at most; nil: as many as the ranker was fitted with.
    package var rankCandidates: Int?
    /// Rows, and requests, of the ranker's batches that this scenario's candidates are in; nil: as the node says.
    package var batchRowsMax: Int?
    package var batchRequestsMax: Int?
    /// How long an answer may be kept; nil takes the cache's.
    package var timeToLive: Duration?
    /// What happens between the scores and the answer; nil: nothing, unless a request pins items.
    package var reranking: RerankingConfiguration?

    package init(
        k: Int = 20, mix: RetrievalMix? = nil, ranker: RankerUse = .auto, rankCandidates: Int? = nil,
        timeToLive: Duration? = nil, reranking: RerankingConfiguration? = nil
    ) {
        self.ranker = ranker
        self.rankCandidates = rankCandidates
        self.k = k
        self.mix = mix
        self.timeToLive = timeToLive
        self.reranking = reranking
    }
}

/// One loaded, immutable set of model files under a number of this node's.
///
/// A request reads the shard's generation once and is answered by it alone.
package final class Generation: Sendable {
    /// Counts up from 1 with each load of this process.
    package let number: UInt64
    /// The bundle's `name@version`.
    package let label: String
    /// Where the bundle was opened.
    package let path: String
    package let model: RetrievalModel
    /// Nil: candidates stay in retrieval's order.
    package let ranker: CandidateRanker?
    /// By an item's number (`ItemNumbers`) its row; `UInt32.max` where the model has no such item.
    package let rowsByNumber: [UInt32]
    /// By row the item's number, `UInt32.max` for none; empty where the ranker asks for no activity of items.
    package let numbersByRow: [UInt32]
    /// Of all that the bundle holds, the same on every node that loads it; 0: not known.
    package let fingerprint: UInt64
    /// Bytes by part, as the bundle's files and tables say.
    package let memory: [(part: MemoryPart, bytes: Int)]

    /// A part of a generation's memory.
    package enum MemoryPart: String, Sendable {
        case userFactors, itemFactors, index, itemNeighbors, userDirectory, itemCatalogue, ranker, content,
            userNeighbors, foldIn
    }

    package init(
        number: UInt64, label: String, path: String, model: RetrievalModel, ranker: CandidateRanker? = nil,
        rowsByNumber: [UInt32] = [], fingerprint: UInt64 = 0, memory: [(part: MemoryPart, bytes: Int)]
    ) {
        self.fingerprint = fingerprint
        self.number = number
        self.label = label
        self.path = path
        self.model = model
        self.ranker = ranker
        self.rowsByNumber = rowsByNumber
        var numbers: [UInt32] = []
        if ranker?.plan.live.items == true {
            numbers = Array(repeating: .max, count: model.items.count)
            for (number, row) in rowsByNumber.enumerated() where Int(row) < numbers.count {
                numbers[Int(row)] = UInt32(number)
            }
        }
        numbersByRow = numbers
        self.memory = memory
    }
}

/// What a shard must know besides its generation; the same for all shards and for the life of the node.
package struct ServingConfiguration: Sendable {
    /// By name; the one named "" serves calls that name none.
    package var scenarios: [String: ScenarioConfiguration]
    package var cache: ResultCacheConfiguration
    /// Largest slate.
    package var itemsMax: Int
    /// Calls that may wait for a shard; more are rejected.
    package var queuedCallsMax: Int
    /// How long a call of normal priority may wait for a shard, by estimate; more important ones may wait longer, less important
    /// ones not as long (`WaitBound`). 0: as long as it takes.
    package var queueWaitNanoseconds: UInt64 = 0
    /// Nanoseconds in which nine calls in ten are to be answered; where they are not, slates are made with less. 0: never.
    package var latencyObjectiveNanoseconds: UInt64 = 0
    /// The best that is made, whatever there is to do.
    package var qualityLevelMin = QualityLevel.full
    /// Slates of a shard that are made at the same time, where their scans gain by taking turns; 1: one after the other.
    package var callsTogetherMax: Int
    package var ranking: RankingConfiguration
    /// What trends is not served when it was found longer ago.
    package var activityAgeMaxNanoseconds: UInt64 = 60_000_000_000
    /// Candidates of a logged slate beside those that were shown.
    package var slateCandidatesMax = 50

    /// Requests of the largest batches of any scenario.
    package var batchRequestsMax: Int {
        scenarios.values.reduce(ranking.batchRequestsMax) { max($0, $1.batchRequestsMax ?? 0) }
    }

    package init(
        scenarios: [String: ScenarioConfiguration] = ["": ScenarioConfiguration()],
        cache: ResultCacheConfiguration = ResultCacheConfiguration(), itemsMax: Int = 1000, queuedCallsMax: Int = 4096,
        callsTogetherMax: Int = 8, ranking: RankingConfiguration = RankingConfiguration()
    ) {
        self.scenarios = scenarios
        self.cache = cache
        self.itemsMax = itemsMax
        self.queuedCallsMax = queuedCallsMax
        self.callsTogetherMax = callsTogetherMax
        self.ranking = ranking
    }

    /// Names in a message at most; a node has up to 64.
    private static let namesShownMax = 8

    /// The rejection of a call for a scenario that there is not; names those that there are.
    func unknownScenario(_ name: String) -> Rejection {
        let names = scenarios.keys.filter { !$0.isEmpty }.sorted()
        var known = names.prefix(Self.namesShownMax).joined(separator: ", ")
        if names.count > Self.namesShownMax { known += " and \(names.count - Self.namesShownMax) more" }
        return Rejection(
            .unknownScenario,
            "no scenario is named '\(name)'"
                + (known.isEmpty ? "; this node has the default only" : "; known: \(known)"))
    }
}
