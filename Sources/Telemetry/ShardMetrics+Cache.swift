/// What the result cache of a shard has done, published by its loop now and then.
package struct CacheReading: Sendable {
    package var bytes = 0
    package var usedBytes = 0
    package var entries = 0
    /// By `CacheDeparture`, `CacheUnfitness` and `CacheAdmission`; counts since start.
    package var departures: [UInt64] = []
    package var unfit: [UInt64] = []
    package var admissions: [UInt64] = []

    package init() {}
}

extension ShardMetrics {
    /// Publishes what the cache holds and has done since start.
    package func setCache(_ reading: CacheReading) {
        setCache(bytes: reading.bytes, entries: reading.entries)
        cells.set(smallAt &+ Layout.cacheUsedBytes, to: UInt64(clamping: reading.usedBytes))
        for (first, counts) in [
            (Layout.cacheDepartures, reading.departures), (Layout.cacheUnfit, reading.unfit),
            (Layout.cacheAdmissions, reading.admissions),
        ] {
            for (place, count) in counts.prefix(8).enumerated() { cells.set(smallAt &+ first &+ place, to: count) }
        }
    }

    /// Publishes what is kept of filters: since start, and now.
    package func setFilterCache(hits: UInt64, misses: UInt64, bytes: Int, entries: Int) {
        for (place, value) in [hits, misses, UInt64(clamping: bytes), UInt64(clamping: entries)].enumerated() {
            cells.set(smallAt &+ Layout.filterCache &+ place, to: value)
        }
    }

    /// Counts a call that waits for another of the same bytes.
    package func countCacheJoined() { cells.add(1, to: smallAt &+ Layout.cacheJoined) }

    /// Counts what became of an answer that nobody waited for.
    package func countRefill(_ refill: CacheRefill) {
        cells.add(1, to: smallAt &+ Layout.cacheRefills &+ Int(refill.rawValue))
    }

    package func setRefillsWaiting(_ count: Int) {
        cells.set(smallAt &+ Layout.cacheRefillsWaiting, to: UInt64(clamping: count))
    }

    /// As published last.
    package var cacheUsedBytes: UInt64 { cells.read(smallAt &+ Layout.cacheUsedBytes) }
    package var refillsWaiting: UInt64 { cells.read(smallAt &+ Layout.cacheRefillsWaiting) }
    package func cacheRequests(_ result: CacheResult) -> UInt64 {
        cells.read(smallAt &+ Layout.cache &+ Int(result.rawValue))
    }
    package func refills(_ refill: CacheRefill) -> UInt64 {
        cells.read(smallAt &+ Layout.cacheRefills &+ Int(refill.rawValue))
    }
    package var cacheJoined: UInt64 { cells.read(smallAt &+ Layout.cacheJoined) }
}
