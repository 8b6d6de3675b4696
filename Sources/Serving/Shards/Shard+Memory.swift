import LiveState

/// What a shard's own structures take.
package struct ShardMemory: Sendable, Equatable {
    package var cache = 0
    package var users = 0
    /// Of the generators and searches of all generations that it holds.
    package var scratch = 0
    package var filters = 0

    package init() {}
}

extension Shard {
    /// Bytes of the shard's structures.
    ///
    /// - Complexity: O(generations).
    package var memory: ShardMemory {
        var memory = ShardMemory()
        memory.cache = cache.byteCount
        memory.users = live?.byteCount ?? 0
        for engine in engines {
            memory.scratch += engine.scratchBytes
            memory.filters += engine.filterBytes
        }
        return memory
    }

    /// Lets the result cache hold so many bytes at most.
    package func setCacheLimit(_ bytes: Int) { cache.setLimit(bytes) }

    /// Evicts answers where the cache holds more than it may now; whether there are more.
    package func shrinkCache(by count: Int) -> Bool { cache.shrink(by: count) }

    /// Lets what is known of users grow, or not.
    package func setUserGrowth(_ mayGrow: Bool) {
        live?.states.setGrowth(mayGrow)
        live?.shown?.setGrowth(mayGrow)
    }
}
