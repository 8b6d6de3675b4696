import Synchronization
import Vocabulary

/// Figures of the event log, as metrics show them; zeroes where there is none.
package struct EventLogReading: Sendable, Equatable {
    package var bytes: UInt64 = 0
    package var segments: UInt64 = 0
    package var storedThrough: UInt64 = 0
    package var syncs: UInt64 = 0
    package var syncNanoseconds: UInt64 = 0
    package var failures: UInt64 = 0
    package var isRefusing = false

    package init() {}
}

/// Figures of the slate log, as metrics show them; zeroes where there is none.
package struct SlateLogReading: Sendable, Equatable {
    /// Slates that are stored.
    package var logged: UInt64 = 0
    /// Slates that found no room.
    package var dropped: UInt64 = 0
    /// Slates that the disk refused.
    package var lost: UInt64 = 0
    package var bytes: UInt64 = 0
    /// Since the start.
    package var writtenBytes: UInt64 = 0
    package var failures: UInt64 = 0
    package var isRefusing = false

    package init() {}
}

/// Figures of what has changed of the items, as metrics show them.
package struct ItemsReading: Sendable, Equatable {
    /// Items that have changes.
    package var changed: UInt64 = 0
    /// Items that are served beside the model's.
    package var added: UInt64 = 0
    package var deleted: UInt64 = 0
    package var bytes: UInt64 = 0
    package var version: UInt64 = 0
    /// Uptime in nanoseconds when the shards had the newest version; 0: never.
    package var publishedAt: UInt64 = 0
    package var ageNanoseconds: UInt64 = 0
    package var publicationNanoseconds: UInt64 = 0
    /// Changes that were not taken.
    package var refused: UInt64 = 0

    package init() {}
}

/// Figures of what users do with items, as metrics show them.
package struct LiveItemsReading: Sendable, Equatable {
    /// Items that have counts.
    package var items: UInt64 = 0
    /// The same, for each scenario that an item has some in, and over all.
    package var counts: UInt64 = 0
    package var bytes: UInt64 = 0
    package var merges: UInt64 = 0
    package var mergeNanoseconds: UInt64 = 0
    /// Counts that went because there was no room.
    package var evicted: UInt64 = 0
    /// Events that a shard had no room to count.
    package var dropped: UInt64 = 0
    /// Events that were too old to count.
    package var outdated: UInt64 = 0
    /// Uptime in nanoseconds when the shards had the newest counts; 0: never.
    package var publishedAt: UInt64 = 0
    package var ageNanoseconds: UInt64 = 0

    package init() {}
}

/// What the node counts beside its shards: few events, any thread.
package final class NodeMetrics: Sendable {
    package let shards: [ShardMetrics]
    package let build: BuildInfo

    private let refusals = Mutex([UInt64](repeating: 0, count: ConnectionRefusal.allCases.count))
    private let badFrames = Mutex([UInt64](repeating: 0, count: FrameFault.allCases.count))
    private let ready = Atomic<Bool>(false)
    private let generation = Atomic<UInt64>(0)
    private let generationLoadNanoseconds = Atomic<UInt64>(0)
    private let model = Mutex<String?>(nil)
    private let swaps = Mutex([UInt64](repeating: 0, count: SwapResult.allCases.count))
    private let recall = Mutex([SearchPlan: Recall]())
    private let eventLog = Mutex(EventLogReading())
    private let slateLog = Mutex(SlateLogReading())
    private let items = Mutex(ItemsReading())
    private let itemSharing = Mutex(ItemSharingReading())
    private let eventStream = Mutex(EventStreamReading())
    private let liveItems = Mutex(LiveItemsReading())
    private let memoryBudget = Atomic<Int>(0)
    private let memoryLevel = Atomic<Int>(0)
    private let memoryCacheMax = Atomic<Int>(0)
    private let memory = Mutex([UInt64](repeating: 0, count: MemoryPart.allCases.count))

    package init(shards: [ShardMetrics], build: BuildInfo) {
        self.shards = shards
        self.build = build
    }

    package func setReady(_ isReady: Bool) { ready.store(isReady, ordering: .relaxed) }

    /// A generation serves from now on.
    package func setGeneration(_ number: UInt64, model name: String, loadNanoseconds: UInt64) {
        generation.store(number, ordering: .relaxed)
        generationLoadNanoseconds.store(loadNanoseconds, ordering: .relaxed)
        model.withLock { $0 = name }
    }

    package func setEventLog(_ reading: EventLogReading) { eventLog.withLock { $0 = reading } }

    package func setSlateLog(_ reading: SlateLogReading) { slateLog.withLock { $0 = reading } }

    package func setItems(_ reading: ItemsReading) { items.withLock { $0 = reading } }

    package func setItemSharing(_ reading: ItemSharingReading) { itemSharing.withLock { $0 = reading } }

    package func setEventStream(_ reading: EventStreamReading) { eventStream.withLock { $0 = reading } }

    package func setLiveItems(_ reading: LiveItemsReading) { liveItems.withLock { $0 = reading } }

    package func countSwap(_ result: SwapResult) { swaps.withLock { $0[Int(result.rawValue)] += 1 } }

    package func setMemory(_ part: MemoryPart, bytes: Int) {
        memory.withLock { $0[Int(part.rawValue)] = UInt64(clamping: bytes) }
    }

    package func setMemoryBudget(_ bytes: Int, cacheBytesMax: Int) {
        memoryBudget.store(bytes, ordering: .relaxed)
        memoryCacheMax.store(cacheBytesMax, ordering: .relaxed)
    }

    package func setMemoryLevel(_ level: Int, cacheBytesMax: Int) {
        memoryLevel.store(level, ordering: .relaxed)
        memoryCacheMax.store(cacheBytesMax, ordering: .relaxed)
    }

    /// Budget, level, and what caches may hold.
    var memoryFigures: (budget: UInt64, level: UInt64, cacheMax: UInt64) {
        (
            UInt64(clamping: memoryBudget.load(ordering: .relaxed)),
            UInt64(clamping: memoryLevel.load(ordering: .relaxed)),
            UInt64(clamping: memoryCacheMax.load(ordering: .relaxed))
        )
    }

    /// A connection was turned away by the acceptor, before any shard saw it.
    package func countConnectionRefusedAtAccept(_ reason: ConnectionRefusal) {
        refusals.withLock { $0[Int(reason.rawValue)] += 1 }
    }

    /// A frame before the hello was not one.
    package func countBadFrameAtAccept(_ fault: FrameFault) { badFrames.withLock { $0[Int(fault.rawValue)] += 1 } }

    /// Of one plan's approximate searches.
    struct Recall {
        var samples: UInt64 = 0
        /// Each sample moves it by a hundredth once there are as many.
        var mean = 0.0
    }

    /// An approximate search was checked exactly.
    package func recordRecall(_ plan: SearchPlan, found: Int, expected: Int) {
        guard expected > 0 else { return }
        recall.withLock { recall in
            var entry = recall[plan] ?? Recall()
            entry.samples += 1
            entry.mean += (Double(found) / Double(expected) - entry.mean) / Double(min(entry.samples, 100))
            recall[plan] = entry
        }
    }

    func recall(of plan: SearchPlan) -> Recall { recall.withLock { $0[plan] ?? Recall() } }

    /// What the scrape and the status page show of this type.
    struct Reading {
        var ready: Bool
        var generation: UInt64
        var generationLoadSeconds: Double
        var model: String?
        var swaps: [UInt64]
        var memory: [UInt64]
        var eventLog: EventLogReading
        var slateLog: SlateLogReading
        var items: ItemsReading
        var itemSharing: ItemSharingReading
        var eventStream: EventStreamReading
        var liveItems: LiveItemsReading
        var refusedAtAccept: [UInt64]
        var badFramesAtAccept: [UInt64]
    }

    var reading: Reading {
        Reading(
            ready: ready.load(ordering: .relaxed), generation: generation.load(ordering: .relaxed),
            generationLoadSeconds: Double(generationLoadNanoseconds.load(ordering: .relaxed)) / 1e9,
            model: model.withLock { $0 }, swaps: swaps.withLock { $0 }, memory: memory.withLock { $0 },
            eventLog: eventLog.withLock { $0 }, slateLog: slateLog.withLock { $0 }, items: items.withLock { $0 },
            itemSharing: itemSharing.withLock { $0 }, eventStream: eventStream.withLock { $0 },
            liveItems: liveItems.withLock { $0 },
            refusedAtAccept: refusals.withLock { $0 },
            badFramesAtAccept: badFrames.withLock { $0 })
    }

    /// Bytes of each part, for the status page.
    package var memoryByPart: [(part: MemoryPart, bytes: UInt64)] {
        let bytes = memory.withLock { $0 }
        return MemoryPart.allCases.map { ($0, bytes[Int($0.rawValue)]) }
    }
}

/// What the program was built from and for.
package struct BuildInfo: Sendable, Equatable {
    /// The version of the product.
    package static let version = "0.1.0"

    /// The instruction set of the vector kernels, as chosen at start.
    package var kernels: String

    package init(kernels: String) { self.kernels = kernels }

    package var swift: String {
        #if swift(>=6.4)
            "6.4 or later"
        #elseif swift(>=6.3)
            "6.3"
        #elseif swift(>=6.2)
            "6.2"
        #else
            "6.1"
        #endif
    }

    package var architecture: String {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "aarch64"
        #else
            "other"
        #endif
    }

    package var configuration: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}
