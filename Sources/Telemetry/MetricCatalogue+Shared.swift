extension MetricCatalogue {
    // Changes of items that nodes share.
    static let itemsShared = Metric(
        "martlet_items_shared_total", .counter, labels: ["result"],
        help: "Changes of items that were written for the other nodes, or came from them.")
    static let itemsUnwritten = Metric(
        "martlet_items_unwritten", .gauge, help: "Changes of items that the other nodes cannot see yet.")
    static let itemsBehind = Metric(
        "martlet_items_behind_seconds", .gauge, unit: .seconds,
        help: "Since all that any node had said of items was known here; 0 where nothing is shared.")
    static let itemsRereads = Metric(
        "martlet_items_rereads_total", .counter,
        help: "Readings of all shared changes of items, because some had been missed.")
    static let itemsSharingFailures = Metric(
        "martlet_items_sharing_failures_total", .counter,
        help: "Commands for shared changes of items without a reply that counts.")

    // Events out of streams.
    static let streamEntries = Metric(
        "martlet_event_stream_entries_total", .counter, labels: ["result"],
        help: "Entries of the streams of events, by what became of them.")
    static let streamPending = Metric(
        "martlet_event_stream_pending", .gauge, help: "Entries that were given out and are not acknowledged.")
    static let streamWaiting = Metric(
        "martlet_event_stream_waiting", .gauge, help: "Entries that were given to no node yet.")
    static let streamRefusals = Metric(
        "martlet_event_stream_refusals_total", .counter,
        help: "Batches that the event log refused and that were given to it again.")
    static let streamFailures = Metric(
        "martlet_event_stream_failures_total", .counter,
        help: "Commands for streams of events without a reply that counts.")
}
