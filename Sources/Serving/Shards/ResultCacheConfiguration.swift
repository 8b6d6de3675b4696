/// Bounds of the result caches of a node.
package struct ResultCacheConfiguration: Sendable, Equatable {
    /// Bytes for all shards together, index and bookkeeping included; 0 turns the cache off.
    package var bytesMax: Int
    /// How long an answer may be shown, at most.
    package var timeToLive: Duration
    /// Larger answers are not kept.
    package var answerBytesMax: Int

    package init(bytesMax: Int = 128 << 20, timeToLive: Duration = .seconds(60), answerBytesMax: Int = 64 << 10) {
        self.bytesMax = bytesMax
        self.timeToLive = timeToLive
        self.answerBytesMax = answerBytesMax
    }
}

/// What a cache has done so far. All counts since start.
package struct ResultCacheStatistics: Sendable, Equatable {
    package var hits: UInt64 = 0
    package var misses: UInt64 = 0
    /// Misses that found an entry that was too old or of another generation; part of `misses`.
    package var stale: UInt64 = 0
    package var insertions: UInt64 = 0
    package var evictions: UInt64 = 0
    /// Answers that alone would not fit.
    package var refusals: UInt64 = 0
    package var entryCount: Int = 0
    package var bytes: Int = 0
}
