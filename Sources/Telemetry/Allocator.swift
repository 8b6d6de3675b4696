import CJemalloc

/// What jemalloc says of the process' heap.
package struct AllocatorStatistics: Sendable, Equatable {
    package var allocatedBytes: UInt64 = 0
    package var activeBytes: UInt64 = 0
    package var residentBytes: UInt64 = 0
    package var mappedBytes: UInt64 = 0
    package var retainedBytes: UInt64 = 0
    package var metadataBytes: UInt64 = 0
    /// Allocations made in the arenas since the start. With thread caches a fill counts, a hit does not;
    /// with `MALLOC_CONF=tcache:false` every allocation of the process counts, exactly.
    package var allocations: UInt64 = 0

    package init() {}
}

/// The door to jemalloc, which is the process' `malloc` in every executable that links this room.
package enum Allocator {
    /// The statistics as of now, or nil where jemalloc was built without them. Costs tens of microseconds.
    package static func statistics() -> AllocatorStatistics? {
        // Statistics are a snapshot; a write to the epoch takes a new one.
        var epoch: UInt64 = 1
        guard mallctl("epoch", nil, nil, &epoch, MemoryLayout<UInt64>.size) == 0,
            let allocated = size("stats.allocated"), let active = size("stats.active"),
            let resident = size("stats.resident"), let mapped = size("stats.mapped"),
            let retained = size("stats.retained"), let metadata = size("stats.metadata")
        else { return nil }
        // 4096 names all arenas together.
        let small: UInt64 = value("stats.arenas.4096.small.nmalloc", 0) ?? 0
        let large: UInt64 = value("stats.arenas.4096.large.nmalloc", 0) ?? 0
        var statistics = AllocatorStatistics()
        statistics.allocatedBytes = allocated
        statistics.activeBytes = active
        statistics.residentBytes = resident
        statistics.mappedBytes = mapped
        statistics.retainedBytes = retained
        statistics.metadataBytes = metadata
        statistics.allocations = small &+ large
        return statistics
    }

    /// Bytes that the calling thread has ever allocated. Exact, thread caches included; does not go down on `free`.
    package static var threadAllocatedBytes: UInt64 { value("thread.allocated", 0) ?? 0 }

    /// A pointer to the calling thread's own count behind `threadAllocatedBytes`: reading it costs one load.
    /// Valid on this thread, while it lives.
    package static var threadAllocatedCounter: UnsafePointer<UInt64>? {
        value("thread.allocatedp", nil as UnsafePointer<UInt64>?) ?? nil
    }

    /// Lets a thread of jemalloc's own give unused pages back, so that no request pays for it.
    package static func startBackgroundPurging() {
        var enabled = true
        // A refusal (a build without threads) changes nothing but who does the work.
        _ = mallctl("background_thread", nil, nil, &enabled, MemoryLayout<Bool>.size)
    }

    /// Gives pages that nothing lies in back to the system now. Takes up to some milliseconds: not on a loop.
    package static func purge() {
        // 4096 names all arenas together.
        _ = mallctl("arena.4096.purge", nil, nil, nil, 0)
    }

    /// The version of the library that runs, such as "5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c".
    package static var version: String? {
        guard let text = value("version", nil as UnsafePointer<CChar>?) ?? nil else { return nil }
        return String(cString: text)
    }

    private static func size(_ name: String) -> UInt64? {
        value(name, 0 as Int).map { UInt64(clamping: $0) }
    }

    private static func value<Value: BitwiseCopyable>(_ name: String, _ initial: Value) -> Value? {
        var result = initial
        var length = MemoryLayout<Value>.size
        guard mallctl(name, &result, &length, nil, 0) == 0, length == MemoryLayout<Value>.size else { return nil }
        return result
    }
}
