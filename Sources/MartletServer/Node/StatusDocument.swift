import Foundation
import LiveState
import NearestNeighbors
import Serving
import Telemetry
import Vocabulary

/// The node's state as JSON, for people and scripts: `GET /status`.
final class StatusDocument: Sendable {
    private let node: NodeContext
    private let models: ModelControl
    /// Of items, for their IDs.
    private let numbers: ItemNumbers
    private let slates: SlateStore
    private let streams: EventStreams?

    private let memory: MemoryDesk

    init(
        node: NodeContext, models: ModelControl, numbers: ItemNumbers, slates: SlateStore,
        streams: EventStreams? = nil, memory: MemoryDesk
    ) {
        self.streams = streams
        self.memory = memory
        self.numbers = numbers
        self.slates = slates
        self.node = node
        self.models = models
    }

    private struct Document: Encodable {
        struct Part: Encodable {
            var part: String
            var bytes: UInt64
        }
        struct Memory: Encodable {
            struct Allocator: Encodable {
                var allocatedBytes: UInt64
                var activeBytes: UInt64
                var residentBytes: UInt64
                var mappedBytes: UInt64
                var retainedBytes: UInt64
                var metadataBytes: UInt64

                init(_ statistics: AllocatorStatistics) {
                    allocatedBytes = statistics.allocatedBytes
                    activeBytes = statistics.activeBytes
                    residentBytes = statistics.residentBytes
                    mappedBytes = statistics.mappedBytes
                    retainedBytes = statistics.retainedBytes
                    metadataBytes = statistics.metadataBytes
                }
            }
            var parts: [Part]
            /// Of all parts.
            var accountedBytes: UInt64
            /// As the kernel counts the process.
            var residentBytes: UInt64
            /// Resident and of no part.
            var unexplainedBytes: Int64
            /// As jemalloc says.
            var allocator: Allocator
            /// Absent where there is no budget.
            var budget: MemoryDesk.Status?
        }
        /// What has changed of the items since the model was made.
        struct Items: Encodable {
            var changed: UInt64
            var added: UInt64
            var deleted: UInt64
            var refused: UInt64
            var version: UInt64
            var ageSeconds: Double

            init(_ reading: ItemsReading) {
                changed = reading.changed
                added = reading.added
                deleted = reading.deleted
                refused = reading.refused
                version = reading.version
                ageSeconds = Double(reading.ageNanoseconds) / 1e9
            }
        }
        /// What users do with items, as it is served.
        struct LiveItems: Encodable {
            struct Trending: Encodable {
                var item: String
                var trend: Double
                var impressions: Double
                var clicks: Double
                var clickRate: Double
            }
            struct Scenario: Encodable {
                /// Absent: all together.
                var scenario: String?
                var items: Int
                var impressions: Double
                var clicks: Double
                var clickRate: Double
                /// How much more happens than usual.
                var rise: Double
                /// The first of them.
                var trending: [Trending]
            }
            var items: UInt64
            var counts: UInt64
            var bytes: UInt64
            var evicted: UInt64
            var dropped: UInt64
            var merges: UInt64
            var ageSeconds: Double
            var scenarios: [Scenario]

            private static let trendingMax = 5

            init(_ reading: LiveItemsReading, _ view: ItemActivityView?, _ numbers: ItemNumbers) {
                items = reading.items
                counts = reading.counts
                bytes = reading.bytes
                evicted = reading.evicted
                dropped = reading.dropped
                merges = reading.merges
                ageSeconds = Double(reading.ageNanoseconds) / 1e9
                func rounded(_ value: Double) -> Double { (value * 1e4).rounded() / 1e4 }
                scenarios = (0..<(view?.scenarios.count ?? 0)).compactMap { number in
                    guard let view else { return nil }
                    let counts = view.counts(scenario: number)
                    let rates = view.rates(scenario: number)
                    let trending = view.trending(scenario: number).prefix(Self.trendingMax).map { item in
                        let values = view.values(of: item.item, scenario: number)
                        return Trending(
                            item: numbers.id(item.item).map { String(decoding: $0, as: UTF8.self) } ?? "",
                            trend: rounded(values.trend), impressions: rounded(values.impressions),
                            clicks: rounded(values.clicks), clickRate: rounded(values.clickRate))
                    }
                    return Scenario(
                        scenario: number == 0 ? nil : view.scenarios.names[number - 1],
                        items: view.itemCount(scenario: number), impressions: rounded(counts.impressions),
                        clicks: rounded(counts.clicks), clickRate: rounded(rates.rate), rise: rounded(rates.rise),
                        trending: trending)
                }
            }
        }
        /// The slate log; absent where no slate is logged.
        struct Slates: Encodable {
            var directory: String
            var logged: UInt64
            var dropped: UInt64
            var lost: UInt64
            var bytes: UInt64
            var failures: UInt64
            var fault: String?

            init?(_ store: SlateStore) {
                guard let directory = store.directory else { return nil }
                let reading = store.reading
                self.directory = directory
                logged = reading.logged
                dropped = reading.dropped
                lost = reading.lost
                bytes = reading.bytes
                failures = reading.failures
                fault = store.fault
            }
        }
        /// The Redis beside the node.
        struct Redis: Encodable {
            var url: String
            var connections = 0
            var connectionsReady = 0
            var commands: UInt64 = 0
            var failures: [String: UInt64] = [:]
            var reads = "closed"
            var writes = "closed"
            var hits: UInt64 = 0
            var stored: UInt64 = 0
            var misses: [String: UInt64] = [:]

            init(_ url: String, _ shards: [ShardMetrics]) {
                self.url = url
                let states = ["closed", "open", "half_open"]
                for shard in shards {
                    let reading = shard.redisReading
                    connections += reading.connections
                    connectionsReady += reading.connectionsReady
                    commands += reading.commands
                    for (reason, count) in zip(RedisFailureReason.allCases, reading.failures) where count > 0 {
                        failures[reason.label, default: 0] += count
                    }
                    if reading.readBreaker != 0, reads != "open" { reads = states[min(2, reading.readBreaker)] }
                    if reading.writeBreaker != 0, writes != "open" { writes = states[min(2, reading.writeBreaker)] }
                    hits += shard.sharedHits
                    stored += shard.sharedStores(.stored)
                    for miss in SharedCacheMiss.allCases where shard.sharedMisses(miss) > 0 {
                        misses[miss.label, default: 0] += shard.sharedMisses(miss)
                    }
                }
            }
        }
        /// Changes of items that nodes share.
        struct ItemSharing: Encodable {
            var isCurrent: Bool
            var behindSeconds: Double
            var unwritten: Int
            var items: Int
            var changes: [String: UInt64]
            var rereads: UInt64
            var failures: UInt64
            var lastFailure: String?

            init?(_ reading: ItemSharingReading) {
                guard reading.isOn else { return nil }
                isCurrent = reading.isCurrent
                behindSeconds = Double(reading.behindNanoseconds) / 1e9
                unwritten = reading.unwritten
                items = reading.items
                changes = Dictionary(uniqueKeysWithValues: reading.results.map { ($0.label, $0.count) })
                rereads = reading.rereads
                failures = reading.failures
                lastFailure = reading.lastFailure
            }
        }
        /// Events out of streams.
        struct EventStreams: Encodable {
            var entries: [String: UInt64]
            var stored: UInt64
            var duplicates: UInt64
            var pending: UInt64
            var waiting: UInt64
            var refusals: UInt64
            var failures: UInt64
            var lastFailure: String?

            init?(_ reading: EventStreamReading?) {
                guard let reading, reading.isOn else { return nil }
                entries = Dictionary(uniqueKeysWithValues: reading.results.map { ($0.label, $0.count) })
                stored = reading.stored
                duplicates = reading.duplicates
                pending = reading.pending
                waiting = reading.waiting
                refusals = reading.refusals
                failures = reading.failures
                lastFailure = reading.lastFailure
            }
        }
        /// What the node shares of its users with others.
        struct SharedUsers: Encodable {
            var node: String
            /// Since other nodes were heard of, the longest of all shards.
            var ageSeconds = 0.0
            var slots = 0
            var wholeSlots = 0
            var suspectSlots = 0
            var unwritten = 0
            var claims: UInt64 = 0
            var losses: UInt64 = 0
            var loads: [String: UInt64] = [:]
            var writes: UInt64 = 0
            var writesFailed: UInt64 = 0
            var compactions: UInt64 = 0
            var damages: UInt64 = 0
            var staleAnswers: UInt64 = 0

            init(_ node: String, _ shards: [ShardMetrics]) {
                self.node = node
                for shard in shards {
                    let reading = shard.sharingReading
                    ageSeconds = max(ageSeconds, Double(reading.ageNanoseconds) / 1e9)
                    slots += reading.slots
                    wholeSlots += reading.wholeSlots
                    suspectSlots += reading.suspectSlots
                    unwritten += reading.unwritten
                    claims += reading.claims
                    losses += reading.losses
                    for load in UserLoad.allCases {
                        loads[load.label, default: 0] += reading.loads[Int(load.rawValue)]
                    }
                    writes += reading.writes
                    writesFailed += reading.writesFailed
                    compactions += reading.compactions
                    damages += reading.damages
                    staleAnswers += shard.staleUsers
                }
            }
        }
        struct Shard: Encodable {
            var shard: Int
            var slots: String
            var queueDepth: UInt64
            var cacheBytes: UInt64
            var cacheEntries: UInt64
            var cacheHits: UInt64
            var cacheStaleHits: UInt64
            var cacheMisses: UInt64
            var cacheJoined: UInt64
            var refillsWaiting: UInt64
            var liveUsers: UInt64
            var liveBytes: UInt64
        }
        var node: String
        var version: String
        var state: String
        var uptimeSeconds: Double
        var generation: UInt64
        var model: String?
        /// How the items' factors are held: f32 or f16; absent where there are none.
        var itemRows: String?
        /// Absent where the bundle has none.
        var ranker: RankerStatus?
        var items: Items
        /// Absent where nothing is shared.
        var itemSharing: ItemSharing?
        var liveItems: LiveItems
        var slates: Slates?
        /// Absent where none are read.
        var eventStreams: EventStreams?
        /// Absent where there is none.
        var redis: Redis?
        /// Absent where users are this node's alone.
        var sharedUsers: SharedUsers?
        var connections: Int
        var callsInFlight: Int
        var shards: [Shard]
        /// What each way to search factors costs here, as measured at load, by kind of factors.
        var planners: [String: SearchPlanner]
        var memory: Memory
    }

    /// Read from counters alone; waits for nothing.
    func text() -> String {
        let summary = node.metrics.summary
        memory.memory.measureProgram()
        let memoryNow = memory.memory.read()
        let document = Document(
            node: node.nodeName, version: BuildInfo.version,
            state: node.state.isDraining ? "draining" : node.state.isReady ? "ready" : "loading",
            uptimeSeconds: Double(LoopWorker.now &- node.state.startedNanoseconds) / 1e9,
            generation: summary.generation, model: summary.model,
            itemRows: models.itemRows.withLock { $0?.rawValue }, ranker: models.ranker.withLock { $0 },
            items: Document.Items(node.items?.reading ?? ItemsReading()),
            itemSharing: Document.ItemSharing(node.items?.sharingReading ?? ItemSharingReading()),
            liveItems: Document.LiveItems(node.activity?.reading ?? LiveItemsReading(), node.activity?.view, numbers),
            slates: Document.Slates(slates),
            eventStreams: Document.EventStreams(streams?.reading),
            redis: node.redisURL.map { Document.Redis($0, node.metrics.shards) },
            sharedUsers: node.sharingNode.map { Document.SharedUsers($0, node.metrics.shards) },
            connections: node.state.connectionCount,
            callsInFlight: node.state.callsInFlight,
            shards: node.metrics.shards.map {
                let slots = node.partitions.slots(of: $0.shard)
                return Document.Shard(
                    shard: $0.shard, slots: "\(slots.lowerBound)..<\(slots.upperBound)", queueDepth: $0.queueDepth,
                    cacheBytes: $0.cacheBytes, cacheEntries: $0.cacheEntries,
                    cacheHits: $0.cacheRequests(.hit), cacheStaleHits: $0.cacheRequests(.stale),
                    cacheMisses: $0.cacheRequests(.miss), cacheJoined: $0.cacheJoined,
                    refillsWaiting: $0.refillsWaiting,
                    liveUsers: $0.liveUsers, liveBytes: $0.liveBytes)
            },
            planners: models.planners.withLock { $0 },
            memory: Document.Memory(
                parts: memoryNow.parts.map { Document.Part(part: $0.part.label, bytes: $0.bytes) },
                accountedBytes: memoryNow.accountedBytes, residentBytes: memoryNow.residentBytes,
                unexplainedBytes: memoryNow.unexplainedBytes, allocator: Document.Memory.Allocator(memoryNow.allocator),
                budget: memory.status))
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(document) else { return "{}" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
