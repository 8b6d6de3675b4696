import CandidateRanking
import LiveState
import Logging
import Retrieval
import Serving

/// Everything a node can be told, with its defaults.
///
/// It comes from four places, later ones winning: the defaults below, a YAML file, `MARTLET_...` variables of the
/// environment, flags of the command. `load(file:environment:flags:)` puts them together.
package struct ServerConfiguration: Sendable, Equatable {
    /// Names the node in logs and in its welcome.
    package var nodeName = "martlet"
    /// Where calls are answered.
    package var listen = SocketEndpoint(host: "127.0.0.1", port: 7400)
    /// Where metrics, health and status are answered; nil: nowhere.
    package var http: SocketEndpoint? = SocketEndpoint(host: "127.0.0.1", port: 7480)
    /// Event loops, each with one shard; 0: one for each core.
    package var shards = 0
    /// The bundle that is served at start.
    package var bundle: String?
    /// The only folder from which LoadModel takes bundles; nil: the folder that holds `bundle`.
    package var modelsRoot: String?
    /// How factors are searched.
    package var index = RetrievalModel.Options().index
    /// How the items' factors are held.
    package var itemRows = RetrievalModel.Options().itemRows
    package var rankerPrecision = RankerPrecision.auto
    /// Bytes of the items' parts of a ranker's first layer at most; 0: none.
    package var rankerItemBytes = RankerCalibration.itemBytesMaxDefault
    /// What walks over a graph read of them.
    package var graphRows = RetrievalModel.Options().graphRows
    /// Recall that an approximate search must reach at load to be chosen, 0 to 1.
    package var recallMin = RetrievalModel.Options().recallMin
    /// Share of the approximate searches that are checked exactly, 0 to 1.
    package var recallSampleShare = 0.01
    /// Slates of a shard that are made at the same time, where their scans gain by it; 1: none.
    package var callsTogether = 8
    /// Idle loops that may help with one long exact scan; 0: none.
    package var searchHelpers = 1
    package var ranking = BatchConfiguration()
    package var events = EventsConfiguration()
    package var slates = SlatesConfiguration()
    package var items = ItemsConfiguration()
    package var liveItems = LiveItemsConfiguration()
    package var cache = CacheConfiguration()
    package var redis = RedisSettings()
    package var memory = MemoryConfiguration()
    package var limits = LimitsConfiguration()
    package var brownout = BrownoutConfiguration()
    /// Time that a call has when it names none itself; zero: as long as it takes.
    package var defaultDeadline: Duration = .seconds(1)
    /// How long calls in flight may take to finish after the node was asked to stop.
    package var drainTimeout: Duration = .seconds(10)
    /// By name; `default` is always there and serves calls that name no scenario.
    package var scenarios: [String: ScenarioConfiguration] = ["default": ScenarioConfiguration()]
    package var log = LogConfiguration()

    package init() {}

    /// The scenarios, `default` first, then by name: the order of their numbers in metrics.
    package var orderedScenarios: [(name: String, scenario: ScenarioConfiguration)] {
        scenarios.sorted { a, b in
            if (a.key == "default") != (b.key == "default") { return a.key == "default" }
            return a.key < b.key
        }.map { ($0.key, $0.value) }
    }
}

/// When slates are made with less than is configured, because there is too much to do.
package struct BrownoutConfiguration: Sendable, Equatable {
    /// In which nine slates in ten are to be made, waiting included; zero: nothing is ever left out.
    package var latency: Duration = .milliseconds(25)
    /// What is left out whatever there is to do: 0 nothing, 4 the most.
    package var level = 0
}

/// How the candidates of several requests go through a ranker together.
package struct BatchConfiguration: Sendable, Equatable {
    /// Candidates at once.
    package var batchRows = RankingConfiguration().batchRowsMax
    /// Requests at once; 1: each request is ranked alone.
    package var batchRequests = RankingConfiguration().batchRequestsMax
}

/// What users do: which events are taken, where they are stored, and what is kept of them.
package struct EventsConfiguration: Sendable, Equatable {
    package enum Sync: String, CaseIterable, Sendable { case always, interval, never }

    /// What an event may be.
    package var types = EventTypes.standardTypes
    /// The folder of the event log; nil: events live as long as the process.
    package var directory: String?
    package var sync = Sync.always
    /// Between two syncs of `interval`.
    package var syncInterval: Duration = .milliseconds(5)
    package var segmentBytes = 64 << 20
    package var segmentAge: Duration = .seconds(3600)
    package var retentionAge: Duration = .seconds(30 * 86_400)
    package var retentionBytes = 16 << 30
    package var pendingBytesMax = 32 << 20
    /// Between two snapshots of what is known of users; zero: only when the node stops.
    package var snapshotInterval: Duration = .seconds(300)
    /// How far ahead of the node's a producer's clock may be.
    package var futureMax: Duration = .seconds(300)
    /// Events of a user that are kept one by one.
    package var historyMax = 100
    /// Events of a user by which it was only shown something that are kept one by one; 0: none.
    package var shownMax = 100
    /// Items of a user that are remembered as seen beyond the history.
    package var seenMax = 2000
    /// Seen items are shown again when they were seen that long ago; zero: never.
    package var seenAge: Duration = .zero
    /// Of all users together; those who were not active lately go.
    package var stateBytesMax = 1 << 30
    /// Events whose IDs are known: one of them that comes again does not count again.
    package var repeatsWindow = 1 << 20
    /// Items that may have been named by events and models; events for others count for nothing but the log.
    package var itemsMax = 10_000_000
    /// Where events are read from beside calls.
    package var stream = EventStreamSettings()
    /// Older events are refused.
    package var ageMax: Duration = .seconds(10 * 365 * 86_400)
}

/// Which slates are logged, and where.
package struct SlatesConfiguration: Sendable, Equatable {
    /// The folder of the slate log; nil: `slates` in the event log's folder, and nowhere where there is none.
    package var directory: String?
    /// Share of the requests whose slates are logged, 0 to 1, where the scenario does not say.
    package var sample = 0.01
    /// Candidates of a slate that are logged beside those that were shown.
    package var candidatesMax = 50
    package var segmentBytes = 64 << 20
    package var segmentAge: Duration = .seconds(3600)
    package var retentionAge: Duration = .seconds(14 * 86_400)
    package var retentionBytes = 4 << 30
    /// Bytes that may wait for the disk; further slates are dropped.
    package var pendingBytesMax = 16 << 20
}

/// Changes of items that the model does not know of.
package struct ItemsConfiguration: Sendable, Equatable {
    /// Items that may have changes; changes of further ones are refused.
    package var changesMax = 100_000
    /// Of their descriptions.
    package var bytesMax = 1 << 30
}

/// What users do with items: how it is counted, and how long that is good for.
package struct LiveItemsConfiguration: Sendable, Equatable {
    /// Between two merges of what the shards have counted.
    package var mergeInterval: Duration = .seconds(1)
    /// After as long an event counts half, in what happens now.
    package var fastHalfLife: Duration = .seconds(3600)
    /// The same, in what is usual.
    package var slowHalfLife: Duration = .seconds(86_400)
    /// Counts that are older are not served.
    package var ageMax: Duration = .seconds(60)
    /// Of all counts; those of the least active items go.
    package var bytesMax = 64 << 20
    /// Items of a scenario's list of those that trend.
    package var trendingMax = 500
    /// Impressions that a scenario's rate of clicks is worth in that of one of its items.
    package var priorImpressions = 50
}

/// The result cache of all shards together.
package struct CacheConfiguration: Sendable, Equatable {
    /// Bytes in all; each shard has an equal share. Zero turns the cache off.
    package var bytes = 128 << 20
    /// How long an answer may be served again, where the scenario does not say.
    package var ttl: Duration = .seconds(60)
    /// No adapted life is shorter.
    package var ttlMin: Duration = .seconds(10)
    /// Visits of its user that an answer is to serve; 0: lives are not adapted.
    package var ttlVisits = 50
    /// How long an answer that is too old may be served while a new one is made.
    package var staleFor: Duration = .zero
    /// How long past its life an answer may be served in place of an error or of popular items.
    package var staleIfLate: Duration = .seconds(600)
    /// Share of a loop's time for answers that nobody waits for.
    package var backgroundShare = 0.1
    /// Requests of active users that are asked again after a swap or a start, all shards together.
    package var warmKeys = 10_000
    /// Where they are remembered over a restart; nil: nowhere.
    package var warmFile: String?
    /// How long a start may wait for them before the node is ready.
    package var warmBeforeReady: Duration = .zero
    /// Larger answers are not kept.
    package var entryBytesMax = 64 << 10
    /// Sets of items that filters were made into; a larger one is not kept.
    package var filterBytes = 16 << 20
}

/// What the process is to stay below.
package struct MemoryConfiguration: Sendable, Equatable {
    /// Resident bytes; nil: as many as there are.
    package var budget: Int?
}

/// The maximum of everything that could grow. What happens when one is reached stands beside it.
package struct LimitsConfiguration: Sendable, Equatable {
    /// A larger frame closes its connection.
    package var frameBytesMax = 1 << 20
    /// Further connections are closed at once.
    package var connectionsMax = 20_000
    /// For each connection; further calls are answered RESOURCE_EXHAUSTED.
    package var callsInFlightMax = 1024
    /// For each shard; further calls are answered RESOURCE_EXHAUSTED.
    package var queuedRequestsMax = 4096
    /// How long a call may wait for its shard, by estimate; zero: as long as it takes.
    package var queueWait: Duration = .zero
    /// A call that asks for more items is answered INVALID_ARGUMENT.
    package var kMax = 1000
    /// For each connection; a client that reads its answers slower than that is disconnected.
    package var writeBufferBytesMax = 4 << 20
    /// A connection that has not said hello by then is closed.
    package var handshakeTimeout: Duration = .seconds(10)
    /// A connection without a frame for that long is closed; zero: never.
    package var idleTimeout: Duration = .zero
}

/// A named place where recommendations are shown.
package struct ScenarioConfiguration: Sendable, Equatable {
    /// Items of a slate when the call does not say.
    package var k = 20
    /// nil: `cache.ttl`. Zero: answers of this scenario are not kept.
    package var cacheTTL: Duration?
    /// nil: the mix that the bundle brings.
    package var retrieval: RetrievalMix?
    /// nil: slates are the best candidates in their order.
    package var reranking: RerankingConfiguration?
    /// Whether candidates are put in the order of the bundle's ranker.
    package var ranker = RankerUse.auto
    /// Candidates that are ranked at most; nil: as many as the bundle's ranker was fitted with.
    package var rankCandidates: Int?
    /// Share of the requests whose slates are logged; nil: `slates.sample`.
    package var slatesSample: Double?
    /// nil: `ranking.batch_rows`.
    package var batchRows: Int?
    /// nil: `ranking.batch_requests`.
    package var batchRequests: Int?

    package init() {}
}

package struct LogConfiguration: Sendable, Equatable {
    package enum Format: String, CaseIterable, Sendable { case text, json }

    package var level: Logger.Level = .info
    package var format: Format = .text
}

/// A host and a port to listen at.
package struct SocketEndpoint: Sendable, Equatable, CustomStringConvertible {
    package var host: String
    /// Zero: a free one, chosen by the system.
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
