import Catalog
import FactorModels
import Glibc
import LiveState
import NearestNeighbors
import Retrieval
import Serving
import Telemetry
import VectorMath

/// What a node will take, structure by structure, before there is one. Each structure says itself what it takes for a count
/// of what it holds; here they are only put together.
///
/// ```
///  start    program + one generation + tables that are made at once
///  steady   the same + caches, users' states and scratch, full
///  peak     steady + a second generation + what its load holds twice
/// ```
package struct MemoryPlan: Sendable {
    /// How full a node is thought to be.
    package struct Load: Sendable, Equatable {
        /// Users with events, and events of each.
        package var activeUsers = 0
        package var eventsPerUser = 0.0
        /// Answers that were asked for, different ones; nil: as many as the cache holds.
        package var answers: Int?
        /// Bytes of an answer of 20 items with its request, about.
        package var answerBytes = 330
        package var connections = 64

        package init() {}
    }

    package let shape: MemoryShape
    package let load: Load
    /// Of a node right after its start, and when it is full; in the order of `MemoryPart`.
    package private(set) var atStart: [(part: MemoryPart, bytes: Int)] = []
    package private(set) var steady: [(part: MemoryPart, bytes: Int)] = []
    /// Of the model alone.
    package private(set) var generationBytes = 0
    /// What a load holds for a while beside what it leaves: the mapped factors of items while they are copied, less what is
    /// not there yet at that moment; or a ranker's weights as they were read.
    package private(set) var stagingBytes = 0

    package var startBytes: Int { atStart.reduce(0) { $0 + $1.bytes } }
    package var steadyBytes: Int { steady.reduce(0) { $0 + $1.bytes } }
    /// After a load: the generation before stays for cursors.
    package var steadyAfterLoadBytes: Int { steadyBytes + generationBytes }
    /// While the next generation is loaded.
    package var peakBytes: Int { steadyAfterLoadBytes + stagingBytes }

    /// Code, libraries and what they write into, resident: measured in nodes that serve.
    package static let programBytes = 36 << 20
    /// Heap of a node without model: loops, threads' stacks, metrics, configuration, jemalloc's own; the same for each loop more.
    package static let heapBytes = 4 << 20
    package static let heapBytesPerShard = 1 << 20
    /// What jemalloc holds beside what caches and users' states have from it, as a share: large blocks have a page more, sizes
    /// that were outgrown leave gaps. Measured after a million events and as many answers.
    package static let heapShare = 0.2

    package init(_ shape: MemoryShape, _ configuration: ServerConfiguration, load: Load = Load(), cores: Int = 2) {
        self.shape = shape
        self.load = load
        let shards = configuration.shards == 0 ? cores : configuration.shards
        var bytes = [Int](repeating: 0, count: MemoryPart.allCases.count)
        func add(_ part: MemoryPart, _ count: Int) { bytes[Int(part.rawValue)] += count }
        for (part, count) in Self.generation(shape, configuration) {
            add(part, count)
            generationBytes += count
        }
        stagingBytes = Self.staging(shape, configuration)
        add(.program, Self.programBytes)
        add(.allocator, Self.heapBytes + shards * Self.heapBytesPerShard)
        add(
            .itemNumbers,
            ItemNumbers.byteCount(
                items: shape.items, idBytes: shape.itemIDBytes, countMax: configuration.events.itemsMax))
        add(.liveState, Self.users(0, 0, shape, configuration, shards))
        add(.resultCache, Self.cache(answers: 0, load, configuration, shards))
        atStart = MemoryPart.allCases.map { ($0, bytes[Int($0.rawValue)]) }

        add(
            .liveState,
            Self.users(load.activeUsers, load.eventsPerUser, shape, configuration, shards)
                - Self.users(0, 0, shape, configuration, shards))
        add(
            .resultCache,
            Self.cache(answers: load.answers ?? .max, load, configuration, shards)
                - Self.cache(answers: 0, load, configuration, shards))
        func growth(_ part: MemoryPart) -> Int { bytes[Int(part.rawValue)] - atStart[Int(part.rawValue)].bytes }
        add(.allocator, Int(Self.heapShare * Double(growth(.liveState) + growth(.resultCache))))
        // Items that events name, drawn evenly: fewer where some are named more than others.
        let events = Double(load.activeUsers) * load.eventsPerUser
        let named = Double(shape.items) * (1 - exp(-events / Double(max(1, shape.items))))
        add(.itemActivity, min(ItemActivity.byteCount(items: Int(named)), configuration.liveItems.bytesMax))
        let masks = min(configuration.callsTogether, 8) * CandidateGenerator.maskBytes(items: shape.items)
        add(.scratch, shards * (CandidateGenerator.Scratch.byteCount(items: shape.items) + masks))
        add(.connections, load.connections * LoopMemory.connectionBytes + shards * (64 << 10))
        steady = MemoryPart.allCases.map { ($0, bytes[Int($0.rawValue)]) }
    }

    private static func generation(
        _ shape: MemoryShape, _ configuration: ServerConfiguration
    ) -> [(MemoryPart, Int)] {
        let (users, items, kinds) = (shape.users, shape.items, shape.factorKinds)
        // A scan by inner product and one by angle.
        var index = kinds * 2 * ScanIndex.byteCount(rowCount: items, dimension: shape.rank)
        if let m = shape.graphM, configuration.index == .hnsw {
            index += kinds * HNSWIndex.graphByteCount(rowCount: items, dimension: shape.rank, m: m)
        }
        return [
            (.userFactors, kinds * FactorModel.userFactorByteCount(users: users, rank: shape.rank)),
            (
                .itemFactors,
                kinds * RowMatrix.byteCount(rowCount: items, columnCount: shape.rank, as: configuration.itemRows)
            ),
            (.index, index),
            (.itemNeighbors, shape.neighborEntries.map { ItemNeighbors.byteCount(items: items, entries: $0) } ?? 0),
            (
                .userDirectory,
                IDDictionary.byteCount(count: users, idBytes: shape.userIDBytes)
                    + UserDirectory.historyByteCount(
                        users: users, entries: shape.historyEntries, hasTimes: shape.historyHasTimes)
            ),
            (
                .itemCatalogue,
                ItemCatalog.byteCount(items: items, idBytes: shape.itemIDBytes, titleBytes: shape.titleBytes)
                    + shape.attributeBytes
            ),
            (.ranker, shape.rankerBytes),
            (.foldIn, kinds > 0 ? shape.rank * shape.rank * 12 : 0),
            (.rowNumbers, Generation.rowNumberBytes(items: items, hasLiveItems: shape.rankerHasLiveItems)),
        ]
    }

    private static func staging(_ shape: MemoryShape, _ configuration: ServerConfiguration) -> Int {
        guard shape.factorKinds > 0 else { return shape.rankerFileBytes }
        let mapped = FactorMatrix.byteCount(rowCount: shape.items, columnCount: shape.rank)
        let later =
            IDDictionary.byteCount(count: shape.users, idBytes: shape.userIDBytes)
            + UserDirectory.historyByteCount(
                users: shape.users, entries: shape.historyEntries, hasTimes: shape.historyHasTimes)
        return max(mapped - later, shape.rankerFileBytes)
    }

    private static func users(
        _ users: Int, _ events: Double, _ shape: MemoryShape, _ configuration: ServerConfiguration, _ shards: Int
    ) -> Int {
        let states = UserStates.byteCount(
            users: users, idBytes: shape.userIDBytes, events: events, items: shape.items,
            historyMax: configuration.events.historyMax)
        let shown =
            configuration.events.shownMax > 0
            ? UserStates.byteCount(users: 0, idBytes: 0, events: 0, items: shape.items) : 0
        let known = Int((Double(users) * events).rounded())
        let recent =
            shards
            * RecentEvents.residentBytes(
                events: known / shards, capacity: max(1, configuration.events.repeatsWindow / shards))
        return min(states, configuration.events.stateBytesMax) + shown + recent + UserEpochs.byteCount(shards: shards)
    }

    private static func cache(
        answers: Int, _ load: Load, _ configuration: ServerConfiguration, _ shards: Int
    ) -> Int {
        shards
            * ResultCache.byteCount(
                answers: answers == .max ? .max : answers / shards, blockBytes: load.answerBytes,
                bytesMax: configuration.cache.bytes / shards)
    }
}
