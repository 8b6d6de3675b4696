extension NodeMetrics {
    private typealias Layout = ShardMetrics.Layout

    private func sum(_ cell: Int) -> UInt64 { shards.reduce(0) { $0 &+ $1.cells.read($1.smallAt + cell) } }

    func writeRedis(to writer: inout ExpositionWriter) {
        writer.begin(MetricCatalogue.redisCommands)
        writer.sample([], sum(Layout.redisCommands))
        writer.begin(MetricCatalogue.redisFailures)
        for reason in RedisFailureReason.allCases {
            writer.sample([reason.label], sum(Layout.redisFailures + Int(reason.rawValue)))
        }
        writer.begin(MetricCatalogue.redisDuration)
        writer.histogram(
            [], counts: (0..<DurationBuckets.count).map { sum(Layout.redisDuration + $0) },
            bounds: DurationBuckets.boundsNanoseconds.map { "\(Double($0) / 1e9)" },
            sum: Double(sum(Layout.redisDuration + DurationBuckets.count)) / 1e9)
        writer.begin(MetricCatalogue.redisConnections)
        let (all, ready) = (sum(Layout.redisConnections), sum(Layout.redisReady))
        writer.sample(["ready"], ready)
        writer.sample(["not_ready"], all >= ready ? all - ready : 0)
        writer.begin(MetricCatalogue.redisInFlight)
        writer.sample([], sum(Layout.redisInFlight))
        writer.begin(MetricCatalogue.breakerState)
        writer.sample(["redis_reads"], worst(Layout.redisReadBreaker))
        writer.sample(["redis_writes"], worst(Layout.redisWriteBreaker))
        writer.begin(MetricCatalogue.sharedMisses)
        for miss in SharedCacheMiss.allCases {
            writer.sample([miss.label], sum(Layout.sharedMissReasons + Int(miss.rawValue)))
        }
        writer.begin(MetricCatalogue.sharedStores)
        for store in SharedCacheStore.allCases {
            writer.sample([store.label], sum(Layout.sharedStores + Int(store.rawValue)))
        }
        writeSharedCopies(to: &writer)
    }

    func writeSharedCopies(to writer: inout ExpositionWriter) {
        writer.begin(MetricCatalogue.sharedDropped)
        writer.sample([], sum(Layout.sharedDropped))
        writer.begin(MetricCatalogue.sharedForgotten)
        writer.sample([], sum(Layout.sharedForgotten))
        writer.begin(MetricCatalogue.sharedTracking)
        writer.sample([], sum(Layout.sharedTracking) > 0 ? 1 as UInt64 : 0)
    }

    /// Open is worse than half open, and that than closed.
    private func worst(_ cell: Int) -> UInt64 {
        let states = shards.map { $0.cells.read($0.smallAt + cell) }
        return states.contains(1) ? 1 : states.contains(2) ? 2 : 0
    }

    /// Look-ups of the cache beside the node, beside those of the one inside.
    func writeSharedLookups(to writer: inout ExpositionWriter) {
        writer.sample([CacheLevel.l2.label, CacheResult.hit.label], sum(Layout.sharedHits))
        writer.sample([CacheLevel.l2.label, CacheResult.miss.label], sum(Layout.sharedMisses))
    }
}
