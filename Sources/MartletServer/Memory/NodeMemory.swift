import LiveState
import Serving
import Synchronization
import Telemetry

/// Adds up what the node's structures take, beside what the allocator and the kernel say of the process. Any thread.
///
/// Each structure counts its own bytes as they are allocated; what is mapped counts as it is read at load, whole. Nothing is
/// measured by walking over it but `program`, which the kernel is asked for (`measureProgram`).
final class NodeMemory: Sendable {
    /// What is there at one moment.
    struct Reading: Sendable {
        /// In the order of `MemoryPart`.
        var parts: [(part: MemoryPart, bytes: UInt64)] = []
        var allocator = AllocatorStatistics()
        /// Of the process, as the kernel counts it.
        var residentBytes: UInt64 = 0

        var accountedBytes: UInt64 { parts.reduce(0) { $0 + $1.bytes } }
        /// Resident bytes that no structure explains; negative where structures count what was not touched yet.
        var unexplainedBytes: Int64 { Int64(clamping: residentBytes) - Int64(clamping: accountedBytes) }
    }

    private let node: NodeContext
    private let models: ModelControl
    private let numbers: ItemNumbers
    private let events: EventStore
    private let slates: SlateStore
    /// Code and libraries, as measured last.
    private let program = Atomic<UInt64>(0)

    init(node: NodeContext, models: ModelControl, events: EventStore, slates: SlateStore) {
        self.node = node
        self.models = models
        self.events = events
        self.slates = slates
        numbers = events.numbers
    }

    /// Asks the kernel for the resident bytes of code and libraries. Some milliseconds, not on a loop: they hardly change.
    func measureProgram() {
        // What a bundle holds is in files of this name.
        program.store(ProcessStatistics.residentFiles(exceptThoseEndingIn: ".safetensors"), ordering: .relaxed)
    }

    /// Bytes of all result caches, as of the last second.
    var cacheBytes: Int { node.workers.reduce(0) { $0 + $1.memory.withLock { $0.shard.cache } } }

    /// - Complexity: O(shards); some tens of microseconds for the allocator's figures.
    func read() -> Reading {
        var bytes = [Int](repeating: 0, count: MemoryPart.allCases.count)
        func add(_ part: MemoryPart, _ count: Int) { bytes[Int(part.rawValue)] += count }
        let held = models.held.withLock { $0 }
        for (part, count) in held.current { add(part.counted, count) }
        add(.earlierGenerations, held.earlierBytes)
        for worker in node.workers {
            let loop = worker.memory.withLock { $0 }
            add(.resultCache, loop.shard.cache)
            add(.liveState, loop.shard.users)
            add(.scratch, loop.shard.scratch + loop.shard.filters)
            add(.connections, loop.connections)
        }
        add(.itemNumbers, numbers.bytes)
        add(.itemChanges, Int(clamping: node.items?.reading.bytes ?? 0))
        add(.itemActivity, Int(clamping: node.activity?.reading.bytes ?? 0))
        add(.logs, (events.log?.bufferBytes ?? 0) + slates.bufferBytes)
        let allocator = Allocator.statistics() ?? AllocatorStatistics()
        add(
            .allocator,
            Int(clamping: allocator.residentBytes)
                - Int(clamping: min(allocator.allocatedBytes, allocator.residentBytes)))
        add(.program, Int(clamping: program.load(ordering: .relaxed)))
        var reading = Reading()
        reading.allocator = allocator
        reading.residentBytes = ProcessStatistics.resident()
        for part in MemoryPart.allCases {
            let count = bytes[Int(part.rawValue)]
            reading.parts.append((part, UInt64(clamping: count)))
            node.metrics.setMemory(part, bytes: count)
        }
        return reading
    }
}
