extension NodeMetrics {
    func writeItemSharing(to writer: inout ExpositionWriter, _ sharing: ItemSharingReading) {
        writer.begin(MetricCatalogue.itemsShared)
        for (label, count) in sharing.results { writer.sample([label], count) }
        writer.begin(MetricCatalogue.itemsUnwritten)
        writer.sample([], UInt64(clamping: sharing.unwritten))
        writer.begin(MetricCatalogue.itemsBehind)
        writer.sample([], Double(sharing.behindNanoseconds) / 1e9)
        writer.begin(MetricCatalogue.itemsRereads)
        writer.sample([], sharing.rereads)
        writer.begin(MetricCatalogue.itemsSharingFailures)
        writer.sample([], sharing.failures)
    }

    func writeEventStream(to writer: inout ExpositionWriter, _ stream: EventStreamReading) {
        writer.begin(MetricCatalogue.streamEntries)
        for (label, count) in stream.results { writer.sample([label], count) }
        for (metric, value) in [
            (MetricCatalogue.streamPending, stream.pending), (MetricCatalogue.streamWaiting, stream.waiting),
            (MetricCatalogue.streamRefusals, stream.refusals), (MetricCatalogue.streamFailures, stream.failures),
        ] {
            writer.begin(metric)
            writer.sample([], value)
        }
    }
}
