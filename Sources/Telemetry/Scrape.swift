import Vocabulary

extension NodeMetrics {
    /// Everything the node knows about itself, as a scraper reads it. Takes well under a millisecond; any thread.
    package func scrape(_ format: ExpositionFormat) -> [UInt8] {
        var writer = ExpositionWriter(format)
        let reading = reading
        writeRequests(to: &writer)
        writeBatches(to: &writer)
        writeEvents(to: &writer, reading)
        writeItems(to: &writer, reading.items)
        writeLiveItems(to: &writer, reading.liveItems)
        writeCacheAndShards(to: &writer)
        writeRedis(to: &writer)
        writeConnections(to: &writer, reading)
        writeGeneration(to: &writer, reading)
        writeMemory(to: &writer, reading)
        writeProcess(to: &writer)
        writer.begin(MetricCatalogue.build)
        writer.sample(
            [BuildInfo.version, build.swift, build.architecture, build.kernels, build.configuration], 1 as UInt64)
        return writer.finished()
    }

    private typealias Layout = ShardMetrics.Layout

    /// The sum of a cell over the shards, by its place in the fixed part of the layout.
    private func sum(_ cell: (ShardMetrics) -> Int) -> UInt64 {
        shards.reduce(0) { $0 &+ $1.cells.read(cell($1)) }
    }

    private func small(_ cell: Int) -> UInt64 { sum { $0.smallAt + cell } }

    private func writeRequests(to writer: inout ExpositionWriter) {
        writer.begin(MetricCatalogue.requests)
        for method in CallMethod.allCases {
            for code in StatusCode.allCases {
                let count = sum { _ in Int(method.rawValue) * Layout.codes + Int(code.rawValue) }
                // Every method shows its successes from the start; the many pairs that never happen stay out.
                if count > 0 || (code == .ok && method != .unknown) {
                    writer.sample([method.label, code.name], count)
                }
            }
        }
        writer.begin(MetricCatalogue.requestDuration)
        for (index, scenario) in (shards.first?.scenarios ?? []).enumerated() {
            for outcome in RequestOutcome.allCases {
                let histogram = index * Layout.outcomes + Int(outcome.rawValue)
                write(
                    histogramAt: { _ in Layout.requestCells + histogram * Layout.histogram },
                    [scenario, outcome.label], to: &writer)
            }
        }
        writer.begin(MetricCatalogue.stageDuration)
        for stage in RequestStage.allCases {
            write(histogramAt: { $0.stagesAt + Int(stage.rawValue) * Layout.histogram }, [stage.label], to: &writer)
        }
        writer.begin(MetricCatalogue.rejected)
        for reason in RejectionReason.allCases {
            writer.sample([reason.label], small(Layout.rejected + Int(reason.rawValue)))
        }
        writer.begin(MetricCatalogue.shed)
        for priority in PriorityLabel.allCases {
            writer.sample([priority.label], small(Layout.shed + Int(priority.rawValue)))
        }
        writer.begin(MetricCatalogue.qualityLevel)
        for shard in shards { writer.sample([String(shard.shard)], shard.cells.read(shard.smallAt + Layout.quality)) }
        writer.begin(MetricCatalogue.reduced)
        for level in 1...4 { writer.sample([String(level)], small(Layout.reduced + level)) }
        writer.begin(MetricCatalogue.deadlineExceeded)
        for stage in RequestStage.allCases {
            writer.sample([stage.label], small(Layout.deadline + Int(stage.rawValue)))
        }
        writer.begin(MetricCatalogue.cancelled)
        writer.sample([], small(Layout.cancelled))
        writer.begin(MetricCatalogue.fallback)
        for reason in FallbackReason.allCases {
            writer.sample([reason.label], small(Layout.fallback + Int(reason.rawValue)))
        }
        writer.begin(MetricCatalogue.degraded)
        for reason in DegradedReason.allCases {
            writer.sample([reason.label], small(Layout.degraded + Int(reason.rawValue)))
        }
        writer.begin(MetricCatalogue.candidates)
        for (index, source) in RetrievalSource.allCases.enumerated() {
            writer.sample([source.rawValue], small(Layout.candidates + index))
        }
        writer.begin(MetricCatalogue.searches)
        for (index, plan) in SearchPlan.allCases.enumerated() {
            writer.sample([plan.rawValue], small(Layout.searches + index))
        }
        writer.begin(MetricCatalogue.together)
        writer.sample([], small(Layout.together))
        writer.begin(MetricCatalogue.reranked)
        for effect in RerankingEffect.allCases {
            writer.sample([effect.label], small(Layout.reranked + Int(effect.rawValue)))
        }
        writer.begin(MetricCatalogue.split)
        writer.sample([], small(Layout.split))
        writer.begin(MetricCatalogue.splitParts)
        writer.sample([], small(Layout.splitParts))
        writer.begin(MetricCatalogue.recall)
        for plan in SearchPlan.allCases where plan.isApproximate {
            let recall = recall(of: plan)
            // Before the first sample there is nothing to show.
            if recall.samples > 0 { writer.sample([plan.rawValue], recall.mean) }
        }
        writer.begin(MetricCatalogue.recallSamples)
        for plan in SearchPlan.allCases where plan.isApproximate {
            writer.sample([plan.rawValue], recall(of: plan).samples)
        }
    }

    private func writeBatches(to writer: inout ExpositionWriter) {
        let bounds = CountBuckets.bounds.map { "\($0).0" }
        for (metric, cell) in [
            (MetricCatalogue.batchRows, Layout.batchRows), (MetricCatalogue.batchRequests, Layout.batchRequests),
        ] {
            writer.begin(metric)
            writer.histogram(
                [], counts: (0..<CountBuckets.count).map { small(cell + $0) }, bounds: bounds,
                sum: Double(small(cell + CountBuckets.count)))
        }
        writer.begin(MetricCatalogue.batchQueue)
        write(histogramAt: { $0.smallAt + Layout.batchQueue }, [], to: &writer)
        writer.begin(MetricCatalogue.batchesClosed)
        for reason in BatchCloseReason.allCases {
            writer.sample([reason.label], small(Layout.batchClosed + Int(reason.rawValue)))
        }
        writer.begin(MetricCatalogue.batchesExpired)
        writer.sample([], small(Layout.batchExpired))
        writer.begin(MetricCatalogue.missingFeatures)
        for group in FeatureGroup.allCases {
            writer.sample([group.label], small(Layout.missingFeatures + Int(group.rawValue)))
        }
    }

    private func writeEvents(to writer: inout ExpositionWriter, _ reading: Reading) {
        writer.begin(MetricCatalogue.events)
        for outcome in EventOutcome.allCases {
            writer.sample([outcome.label], small(Layout.events + Int(outcome.rawValue)))
        }
        for (metric, cell) in [
            (MetricCatalogue.liveUsers, Layout.liveUsers), (MetricCatalogue.liveBytes, Layout.liveBytes),
            (MetricCatalogue.liveEvicted, Layout.liveEvicted),
        ] {
            writer.begin(metric)
            for shard in shards { writer.sample([String(shard.shard)], shard.cells.read(shard.smallAt + cell)) }
        }
        let log = reading.eventLog
        for (metric, value) in [
            (MetricCatalogue.logBytes, log.bytes), (MetricCatalogue.logSegments, log.segments),
            (MetricCatalogue.logSequence, log.storedThrough), (MetricCatalogue.logSyncs, log.syncs),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
        writer.begin(MetricCatalogue.logSyncSeconds)
        writer.sample([], Double(log.syncNanoseconds) / 1e9)
        writer.begin(MetricCatalogue.logFailures)
        writer.sample([], log.failures)
        writer.begin(MetricCatalogue.logRefusing)
        writer.sample([], log.isRefusing ? 1 as UInt64 : 0)
        write(reading.slateLog, to: &writer)
    }

    private func write(_ slates: SlateLogReading, to writer: inout ExpositionWriter) {
        writer.begin(MetricCatalogue.slates)
        for (outcome, count) in [("logged", slates.logged), ("dropped", slates.dropped), ("lost", slates.lost)] {
            writer.sample([outcome], count)
        }
        for (metric, value) in [
            (MetricCatalogue.slateLogBytes, slates.bytes), (MetricCatalogue.slateLogWritten, slates.writtenBytes),
            (MetricCatalogue.slateLogFailures, slates.failures),
            (MetricCatalogue.slateLogRefusing, slates.isRefusing ? 1 : 0),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
    }

    private func writeItems(to writer: inout ExpositionWriter, _ items: ItemsReading) {
        for (metric, value) in [
            (MetricCatalogue.itemsChanged, items.changed), (MetricCatalogue.itemsAdded, items.added),
            (MetricCatalogue.itemsDeleted, items.deleted), (MetricCatalogue.itemsBytes, items.bytes),
            (MetricCatalogue.itemsVersion, items.version), (MetricCatalogue.itemsRefused, items.refused),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
        for (metric, nanoseconds) in [
            (MetricCatalogue.itemsAge, items.ageNanoseconds),
            (MetricCatalogue.itemsPublication, items.publicationNanoseconds),
        ] {
            writer.begin(metric)
            writer.sample([], Double(nanoseconds) / 1e9)
        }
    }

    private func writeLiveItems(to writer: inout ExpositionWriter, _ items: LiveItemsReading) {
        for (metric, value) in [
            (MetricCatalogue.liveItems, items.items), (MetricCatalogue.liveItemCounts, items.counts),
            (MetricCatalogue.liveItemBytes, items.bytes), (MetricCatalogue.liveItemMerges, items.merges),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
        writer.begin(MetricCatalogue.liveItemMergeSeconds)
        writer.sample([], Double(items.mergeNanoseconds) / 1e9)
        for (metric, value) in [
            (MetricCatalogue.liveItemsEvicted, items.evicted), (MetricCatalogue.liveItemsDropped, items.dropped),
            (MetricCatalogue.liveItemsOutdated, items.outdated),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
        writer.begin(MetricCatalogue.liveItemsAge)
        writer.sample([], Double(items.ageNanoseconds) / 1e9)
    }

    private func write(
        histogramAt place: (ShardMetrics) -> Int, _ labels: [String], to writer: inout ExpositionWriter
    ) {
        let counts = (0..<DurationBuckets.count).map { bucket in sum { place($0) + bucket } }
        let nanoseconds = sum { place($0) + DurationBuckets.count }
        writer.histogram(labels, counts: counts, bounds: Self.bounds, sum: Double(nanoseconds) / 1e9)
    }

    /// The same text in both formats, so that a scraper that changes its mind keeps its series.
    private static let bounds = DurationBuckets.boundsNanoseconds.map { "\(Double($0) / 1e9)" }

    private func writeCacheAndShards(to writer: inout ExpositionWriter) {
        writer.begin(MetricCatalogue.cacheRequests)
        for result in CacheResult.allCases {
            writer.sample([CacheLevel.l1.label, result.label], small(Layout.cache + Int(result.rawValue)))
        }
        writeSharedLookups(to: &writer)
        writer.begin(MetricCatalogue.cacheBytes)
        writer.sample([CacheLevel.l1.label], small(Layout.cacheBytes))
        writer.begin(MetricCatalogue.cacheEntries)
        writer.sample([CacheLevel.l1.label], small(Layout.cacheEntries))
        writer.begin(MetricCatalogue.cacheUsedBytes)
        writer.sample([CacheLevel.l1.label], small(Layout.cacheUsedBytes))
        for (metric, first, labels) in [
            (MetricCatalogue.cacheEvictions, Layout.cacheDepartures, CacheDeparture.allCases.map(\.label)),
            (MetricCatalogue.cacheUnfit, Layout.cacheUnfit, CacheUnfitness.allCases.map(\.label)),
            (MetricCatalogue.cacheAdmissions, Layout.cacheAdmissions, CacheAdmission.allCases.map(\.label)),
            (MetricCatalogue.cacheRefills, Layout.cacheRefills, CacheRefill.allCases.map(\.label)),
        ] {
            writer.begin(metric)
            for (place, label) in labels.enumerated() {
                writer.sample([CacheLevel.l1.label, label], small(first + place))
            }
        }
        writer.begin(MetricCatalogue.cacheJoined)
        writer.sample([CacheLevel.l1.label], small(Layout.cacheJoined))
        writer.begin(MetricCatalogue.cacheRefillsWaiting)
        writer.sample([CacheLevel.l1.label], small(Layout.cacheRefillsWaiting))
        for (metric, cell) in [
            (MetricCatalogue.shardQueueDepth, Layout.queueDepth), (MetricCatalogue.shardUsers, Layout.users),
            (MetricCatalogue.shardAllocated, Layout.allocated),
        ] {
            writer.begin(metric)
            for shard in shards { writer.sample([String(shard.shard)], shard.cells.read(shard.smallAt + cell)) }
        }
    }

    private func writeConnections(to writer: inout ExpositionWriter, _ reading: Reading) {
        // Closed is read first: a connection that comes and goes between the two reads must not show as a negative.
        let closed = small(Layout.closed)
        let opened = small(Layout.opened)
        writer.begin(MetricCatalogue.connections)
        writer.sample([], opened >= closed ? opened - closed : 0)
        writer.begin(MetricCatalogue.connectionsTotal)
        writer.sample([], opened)
        writer.begin(MetricCatalogue.connectionsRefused)
        for reason in ConnectionRefusal.allCases {
            let atAccept = reading.refusedAtAccept[Int(reason.rawValue)]
            writer.sample([reason.label], small(Layout.refused + Int(reason.rawValue)) + atAccept)
        }
        writer.begin(MetricCatalogue.framesBad)
        for fault in FrameFault.allCases {
            let atAccept = reading.badFramesAtAccept[Int(fault.rawValue)]
            writer.sample([fault.label], small(Layout.frames + Int(fault.rawValue)) + atAccept)
        }
    }

    private func writeGeneration(to writer: inout ExpositionWriter, _ reading: Reading) {
        writer.begin(MetricCatalogue.ready)
        writer.sample([], reading.ready ? 1 as UInt64 : 0)
        writer.begin(MetricCatalogue.generation)
        writer.sample([], reading.generation)
        writer.begin(MetricCatalogue.modelInfo)
        if let model = reading.model { writer.sample([model], 1 as UInt64) }
        writer.begin(MetricCatalogue.generationSwaps)
        for result in SwapResult.allCases { writer.sample([result.label], reading.swaps[Int(result.rawValue)]) }
        writer.begin(MetricCatalogue.generationLoad)
        writer.sample([], reading.generationLoadSeconds)
    }

    private func writeMemory(to writer: inout ExpositionWriter, _ reading: Reading) {
        writer.begin(MetricCatalogue.memory)
        for part in MemoryPart.allCases { writer.sample([part.label], reading.memory[Int(part.rawValue)]) }
        let allocator = Allocator.statistics() ?? AllocatorStatistics()
        for (metric, value) in [
            (MetricCatalogue.allocatorAllocated, allocator.allocatedBytes),
            (MetricCatalogue.allocatorActive, allocator.activeBytes),
            (MetricCatalogue.allocatorResident, allocator.residentBytes),
            (MetricCatalogue.allocatorMapped, allocator.mappedBytes),
            (MetricCatalogue.allocatorRetained, allocator.retainedBytes),
            (MetricCatalogue.allocatorMetadata, allocator.metadataBytes),
            (MetricCatalogue.allocatorAllocations, allocator.allocations),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
    }

    private func writeProcess(to writer: inout ExpositionWriter) {
        let process = ProcessStatistics.read()
        writer.begin(MetricCatalogue.processCPU)
        writer.sample([], process.cpuSeconds)
        writer.begin(MetricCatalogue.processStart)
        writer.sample([], process.startSeconds)
        for (metric, value) in [
            (MetricCatalogue.processResident, process.residentBytes),
            (MetricCatalogue.processVirtual, process.virtualBytes),
            (MetricCatalogue.processDescriptors, process.openDescriptors),
            (MetricCatalogue.processDescriptorsMax, process.openDescriptorsMax),
            (MetricCatalogue.processThreads, process.threads),
            (MetricCatalogue.processMajorFaults, process.majorFaults),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
    }
}
