import Vocabulary

extension ShardMetrics {
    /// Counts slates that came from the result cache in one read of a connection, with the time of the read.
    @inlinable
    package func countHits(_ count: Int, scenario: Int, nanoseconds: UInt64, stale: Int = 0) {
        let count = UInt64(truncatingIfNeeded: count)
        cells.add(count, to: Int(CallMethod.recommend.rawValue) &* Layout.codes &+ Int(StatusCode.ok.rawValue))
        let staleCount = UInt64(truncatingIfNeeded: stale)
        cells.add(count &- staleCount, to: smallAt &+ Layout.cache &+ Int(CacheResult.hit.rawValue))
        if stale > 0 { cells.add(staleCount, to: smallAt &+ Layout.cache &+ Int(CacheResult.stale.rawValue)) }
        let histogram =
            Layout.requestCells
            &+ (scenario &* Layout.outcomes &+ Int(RequestOutcome.cached.rawValue)) &* Layout.histogram
        cells.add(count, to: histogram &+ grid.bucket(nanoseconds))
        cells.add(count &* nanoseconds, to: histogram &+ DurationBuckets.count)
    }

    /// As published last.
    package var cacheBytes: UInt64 { cells.read(smallAt &+ Layout.cacheBytes) }
    package var cacheEntries: UInt64 { cells.read(smallAt &+ Layout.cacheEntries) }
    package var liveUsers: UInt64 { cells.read(smallAt &+ Layout.liveUsers) }
    package var liveBytes: UInt64 { cells.read(smallAt &+ Layout.liveBytes) }
    package var queueDepth: UInt64 { cells.read(smallAt &+ Layout.queueDepth) }
}

extension NodeMetrics {
    /// What the status page says of the generation.
    package var summary: (generation: UInt64, model: String?) {
        let reading = reading
        return (reading.generation, reading.model)
    }
}
