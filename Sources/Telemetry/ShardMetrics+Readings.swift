import Vocabulary

extension ShardMetrics {
    /// Counts slates that came from the result cache in one read of a connection, with the time of the read.
    @inlinable
    package func countHits(_ count: Int, scenario: Int, nanoseconds: UInt64) {
        let count = UInt64(truncatingIfNeeded: count)
        cells.add(count, to: Int(CallMethod.recommend.rawValue) &* Layout.codes &+ Int(StatusCode.ok.rawValue))
        cells.add(count, to: smallAt &+ Layout.cache &+ Int(CacheResult.hit.rawValue))
        let histogram =
            Layout.requestCells
            &+ (scenario &* Layout.outcomes &+ Int(RequestOutcome.cached.rawValue)) &* Layout.histogram
        cells.add(count, to: histogram &+ grid.bucket(nanoseconds))
        cells.add(count &* nanoseconds, to: histogram &+ DurationBuckets.count)
    }

    /// Publishes how many answers the cache has dropped since start.
    package func setEvictions(_ count: UInt64) { cells.set(smallAt &+ Layout.evictions, to: count) }

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
