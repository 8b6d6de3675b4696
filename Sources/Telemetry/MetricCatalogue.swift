/// Every metric of the node. A metric is born here; nothing else is ever exposed.
package enum MetricCatalogue {
    // Requests.
    static let requests = Metric(
        "martlet_requests_total", .counter, labels: ["method", "code"],
        help: "Calls answered, by method and canonical status code.")
    static let requestDuration = Metric(
        "martlet_request_duration_seconds", .histogram, unit: .seconds, labels: ["scenario", "outcome"],
        help: "Time from a slate request's arrival in the process to its encoded answer.")
    static let stageDuration = Metric(
        "martlet_stage_duration_seconds", .histogram, unit: .seconds, labels: ["stage"],
        help: "Time spent in one stage of a request.")
    static let rejected = Metric(
        "martlet_rejected_total", .counter, labels: ["reason"],
        help: "Calls turned away before any work was done for them.")
    static let shed = Metric(
        "martlet_shed_total", .counter, labels: ["priority"],
        help: "Calls that would have waited for their shard too long, or did while others were still in time.")
    static let qualityLevel = Metric(
        "martlet_quality_level", .gauge, labels: ["shard"],
        help: "How much a shard leaves out of slates because it has too much to do: 0 nothing, 4 the most.")
    static let reduced = Metric(
        "martlet_reduced_slates_total", .counter, labels: ["level"],
        help: "Slates that were made with less than is configured, by level.")
    static let deadlineExceeded = Metric(
        "martlet_deadline_exceeded_total", .counter, labels: ["stage"],
        help: "Calls whose deadline passed, by the stage that noticed.")
    static let cancelled = Metric(
        "martlet_cancelled_total", .counter, help: "Calls that the client cancelled before they were answered.")
    static let fallback = Metric(
        "martlet_fallback_total", .counter, labels: ["fallback"],
        help: "Slates served by a fallback because the user has no sources of its own.")
    static let degraded = Metric(
        "martlet_degraded_total", .counter, labels: ["reason"],
        help: "Slates served with something left out, by what it was.")
    static let candidates = Metric(
        "martlet_retrieval_candidates_total", .counter, labels: ["source"],
        help: "Candidates that a retrieval source found, before fusion and filters.")

    static let searches = Metric(
        "martlet_retrieval_searches_total", .counter, labels: ["plan"],
        help: "Searches of factors for a slate, by how they were done.")

    static let together = Metric(
        "martlet_retrieval_together_total", .counter,
        help: "Slates that were made at the same time as others of their shard, their scans taking turns.")

    static let reranked = Metric(
        "martlet_reranked_items_total", .counter, labels: ["effect"],
        help: "Items of computed slates that chance or a pin put at their place.")
    static let split = Metric(
        "martlet_retrieval_split_total", .counter,
        help: "Scans that idle event loops were asked to help with.")
    static let splitParts = Metric(
        "martlet_retrieval_split_parts_total", .counter,
        help: "Parts of scans that were read by event loops other than the scan's own.")

    static let recall = Metric(
        "martlet_retrieval_recall", .gauge, labels: ["plan"],
        help:
            "Share of the truly nearest rows that approximate searches found lately, by checking some of them exactly.")
    static let recallSamples = Metric(
        "martlet_retrieval_recall_samples_total", .counter, labels: ["plan"],
        help: "Approximate searches that were checked exactly.")

    // Batches of the ranker.
    static let batchRows = Metric(
        "martlet_microbatch_rows", .histogram, help: "Candidates that went through a ranker in one batch.")
    static let batchRequests = Metric(
        "martlet_microbatch_requests", .histogram, help: "Requests whose candidates shared one batch of a ranker.")
    static let batchQueue = Metric(
        "martlet_microbatch_queue_seconds", .histogram, unit: .seconds,
        help: "Time that a request's candidates waited for their first batch.")
    static let batchesClosed = Metric(
        "martlet_microbatch_closed_total", .counter, labels: ["reason"],
        help: "Batches of a ranker, by why they did not wait for more rows.")
    static let batchesExpired = Metric(
        "martlet_microbatch_expired_total", .counter,
        help: "Requests that left a ranker's queue because their deadline passed.")

    // Events.
    static let events = Metric(
        "martlet_events_total", .counter, labels: ["outcome"],
        help: "Events that were given to the node, by what became of them; unknown_item is part of stored.")
    static let liveUsers = Metric(
        "martlet_live_users", .gauge, labels: ["shard"], help: "Users of whom a shard knows something from events.")
    static let liveBytes = Metric(
        "martlet_live_state_bytes", .gauge, unit: .bytes, labels: ["shard"],
        help: "Bytes of what a shard knows of users from events.")
    static let liveEvicted = Metric(
        "martlet_live_users_evicted_total", .counter, labels: ["shard"],
        help: "Users whom a shard forgot because all of them together had too many bytes.")
    static let logBytes = Metric(
        "martlet_event_log_bytes", .gauge, unit: .bytes, help: "Bytes of the event log's segments.")
    static let logSegments = Metric("martlet_event_log_segments", .gauge, help: "Segments of the event log.")
    static let logSequence = Metric(
        "martlet_event_log_sequence", .gauge, help: "Number of the last record of the event log that is stored.")
    static let logSyncs = Metric("martlet_event_log_syncs_total", .counter, help: "Syncs of the event log.")
    static let logSyncSeconds = Metric(
        "martlet_event_log_sync_seconds_total", .counter, unit: .seconds, help: "Time spent in syncs of the event log.")
    static let logFailures = Metric(
        "martlet_event_log_failures_total", .counter, help: "Writes and syncs of the event log that failed.")
    static let logRefusing = Metric(
        "martlet_event_log_refusing", .gauge, help: "1 while the event log takes nothing for its disk's sake.")
    static let slates = Metric(
        "martlet_slates_total", .counter, labels: ["outcome"],
        help:
            "Slates that were sampled for the slate log: logged, dropped for want of room, or lost for the disk's sake."
    )
    static let slateLogBytes = Metric(
        "martlet_slate_log_bytes", .gauge, unit: .bytes, help: "Bytes of the slate log's segments.")
    static let slateLogWritten = Metric(
        "martlet_slate_log_written_bytes_total", .counter, unit: .bytes, help: "Bytes written to the slate log.")
    static let slateLogFailures = Metric(
        "martlet_slate_log_failures_total", .counter, help: "Failures of the slate log: of opening it, and of writes.")
    static let slateLogRefusing = Metric(
        "martlet_slate_log_refusing", .gauge, help: "1 while slates are lost for the disk's sake.")
    static let missingFeatures = Metric(
        "martlet_ranker_missing_features_total", .counter, labels: ["group"],
        help:
            "Values of a ranker's features that were missing, by where they come from: of user, context and the user's live state one a request, else one a candidate."
    )

    // The result cache.
    static let cacheRequests = Metric(
        "martlet_cache_requests_total", .counter, labels: ["level", "result"],
        help: "Look-ups in the result cache.")
    static let cacheBytes = Metric(
        "martlet_cache_bytes", .gauge, unit: .bytes, labels: ["level"], help: "Bytes held by the result cache.")
    static let cacheEntries = Metric(
        "martlet_cache_entries", .gauge, labels: ["level"], help: "Answers held by the result cache.")
    static let cacheUsedBytes = Metric(
        "martlet_cache_used_bytes", .gauge, unit: .bytes, labels: ["level"],
        help: "Of the bytes held by the result cache: in use by answers, their keys and their records.")
    static let cacheEvictions = Metric(
        "martlet_cache_evictions_total", .counter, labels: ["level", "cause"],
        help: "Answers dropped from the result cache, by why.")
    static let cacheUnfit = Metric(
        "martlet_cache_unfit_total", .counter, labels: ["level", "cause"],
        help: "Misses that found an answer which may not be shown any more, by why.")
    static let cacheAdmissions = Metric(
        "martlet_cache_admissions_total", .counter, labels: ["level", "outcome"],
        help: "Answers that were offered to the result cache, and what became of those that left its window.")
    static let cacheRefills = Metric(
        "martlet_cache_refills_total", .counter, labels: ["level", "outcome"],
        help: "Answers made for the result cache that nobody waited for, by why or what became of them.")
    static let cacheJoined = Metric(
        "martlet_cache_joined_total", .counter, labels: ["level"],
        help: "Misses that waited for the answer to another call of the same bytes.")
    static let cacheRefillsWaiting = Metric(
        "martlet_cache_refills_waiting", .gauge, labels: ["level"],
        help: "Answers that nobody waits for and that are still to be made.")

    // Shards.
    static let shardQueueDepth = Metric(
        "martlet_shard_queue_depth", .gauge, labels: ["shard"], help: "Requests that wait for their shard.")
    static let shardUsers = Metric(
        "martlet_shard_users", .gauge, labels: ["shard"], help: "Users of the current generation that a shard owns.")
    static let shardAllocated = Metric(
        "martlet_shard_allocated_bytes_total", .counter, unit: .bytes, labels: ["shard"],
        help: "Bytes that a shard's thread has ever asked the allocator for.")

    // Changes of items.
    static let itemsChanged = Metric(
        "martlet_items_changed", .gauge, help: "Items that have changes which the model does not know of.")
    static let itemsAdded = Metric(
        "martlet_items_added", .gauge, help: "Items that are served beside those of the model.")
    static let itemsDeleted = Metric("martlet_items_deleted", .gauge, help: "Items that were deleted.")
    static let itemsBytes = Metric(
        "martlet_items_bytes", .gauge, unit: .bytes, help: "What is known of changed items takes so many bytes.")
    static let itemsVersion = Metric(
        "martlet_items_version", .gauge, help: "Version of the changes of items that all shards have.")
    static let itemsRefused = Metric(
        "martlet_items_refused_total", .counter, help: "Changes of items that were not taken.")
    static let itemsAge = Metric(
        "martlet_items_age_seconds", .gauge, unit: .seconds,
        help: "Since the shards were given the newest version of the changes of items; 0: never.")
    static let itemsPublication = Metric(
        "martlet_items_publication_seconds", .gauge, unit: .seconds,
        help: "How long it took last until all shards had the changes of items.")

    // What users do with items.
    static let liveItems = Metric("martlet_live_items", .gauge, help: "Items of which lately events came.")
    static let liveItemCounts = Metric(
        "martlet_live_item_counts", .gauge, help: "The same, once for each scenario of an item and once over all.")
    static let liveItemBytes = Metric(
        "martlet_live_item_bytes", .gauge, unit: .bytes, help: "Bytes of the counts of items.")
    static let liveItemMerges = Metric(
        "martlet_live_item_merges_total", .counter, help: "Merges of what the shards counted of items.")
    static let liveItemMergeSeconds = Metric(
        "martlet_live_item_merge_seconds_total", .counter, unit: .seconds,
        help: "Time that these merges took, waits for the shards included.")
    static let liveItemsEvicted = Metric(
        "martlet_live_item_counts_evicted_total", .counter,
        help: "Counts of items that were forgotten because all of them together had too many bytes.")
    static let liveItemsDropped = Metric(
        "martlet_live_item_events_dropped_total", .counter,
        help: "Events that did not count for their items because a shard had too many items between two merges.")
    static let liveItemsOutdated = Metric(
        "martlet_live_item_events_outdated_total", .counter,
        help: "Events that did not count for their items because they were too old.")
    static let liveItemsAge = Metric(
        "martlet_live_items_age_seconds", .gauge, unit: .seconds,
        help: "Since the shards were given the newest counts of items; 0: never.")

    // Connections.
    static let connections = Metric("martlet_connections", .gauge, help: "Open connections of the RPC port.")
    static let connectionsTotal = Metric(
        "martlet_connections_opened_total", .counter, help: "Connections that the RPC port has accepted.")
    static let connectionsRefused = Metric(
        "martlet_connections_refused_total", .counter, labels: ["reason"],
        help: "Connections that the node refused or closed by itself.")
    static let framesBad = Metric(
        "martlet_frames_bad_total", .counter, labels: ["reason"], help: "Frames that could not be understood.")

    // Generations.
    static let ready = Metric(
        "martlet_ready", .gauge, help: "1 while the node answers calls, 0 while it loads or drains.")
    static let generation = Metric("martlet_generation", .gauge, help: "Number of the generation that serves; 0: none.")
    static let modelInfo = Metric(
        "martlet_model_info", .info, labels: ["model"], help: "Name and version of the bundle that serves.")
    static let generationSwaps = Metric(
        "martlet_generation_swaps_total", .counter, labels: ["result"], help: "Attempts to serve another bundle.")
    static let generationLoad = Metric(
        "martlet_generation_load_seconds", .gauge, unit: .seconds,
        help: "How long the generation that serves took to load and verify.")

    // Memory.
    static let memory = Metric(
        "martlet_memory_bytes", .gauge, unit: .bytes, labels: ["part"],
        help: "Bytes that a part of the node holds, mapped files included.")
    static let allocatorAllocated = Metric(
        "martlet_allocator_allocated_bytes", .gauge, unit: .bytes, help: "Bytes that the program holds from jemalloc.")
    static let allocatorActive = Metric(
        "martlet_allocator_active_bytes", .gauge, unit: .bytes, help: "Bytes in pages with a live allocation.")
    static let allocatorResident = Metric(
        "martlet_allocator_resident_bytes", .gauge, unit: .bytes,
        help: "Upper bound of the bytes that jemalloc keeps in physical memory.")
    static let allocatorMapped = Metric(
        "martlet_allocator_mapped_bytes", .gauge, unit: .bytes, help: "Bytes in extents that jemalloc has mapped.")
    static let allocatorRetained = Metric(
        "martlet_allocator_retained_bytes", .gauge, unit: .bytes,
        help: "Bytes of address space that jemalloc keeps without memory behind them.")
    static let allocatorMetadata = Metric(
        "martlet_allocator_metadata_bytes", .gauge, unit: .bytes, help: "Bytes of jemalloc's own bookkeeping.")
    static let allocatorAllocations = Metric(
        "martlet_allocator_allocations_total", .counter,
        help: "Allocations made in jemalloc's arenas; fills of thread caches count too.")

    // The process, by the names that every Prometheus client uses.
    static let processCPU = Metric(
        "process_cpu_seconds_total", .counter, unit: .seconds, help: "User and system time spent.")
    static let processResident = Metric(
        "process_resident_memory_bytes", .gauge, unit: .bytes, help: "Resident memory, mapped files included.")
    static let processVirtual = Metric(
        "process_virtual_memory_bytes", .gauge, unit: .bytes, help: "Address space in use.")
    static let processStart = Metric(
        "process_start_time_seconds", .gauge, unit: .seconds, help: "Start of the process since the epoch.")
    static let processDescriptors = Metric("process_open_fds", .gauge, help: "Open file descriptors.")
    static let processDescriptorsMax = Metric("process_max_fds", .gauge, help: "Maximum of open file descriptors.")
    static let processThreads = Metric("process_threads", .gauge, help: "Threads of the process.")
    static let processMajorFaults = Metric(
        "process_major_page_faults_total", .counter, help: "Page faults that had to wait for the disk.")

    static let build = Metric(
        "martlet_build_info", .info, labels: ["version", "swift", "architecture", "kernels", "configuration"],
        help: "What this program was built from and for.")

    /// The whole catalogue, in the order of a scrape.
    package static let all: [Metric] = [
        requests, requestDuration, stageDuration, rejected, shed, qualityLevel, reduced, deadlineExceeded, cancelled,
        fallback, degraded, candidates,
        searches, together, split, splitParts, reranked, recall, recallSamples,
        batchRows, batchRequests, batchQueue, batchesClosed, batchesExpired, missingFeatures,
        events, liveUsers, liveBytes, liveEvicted, logBytes, logSegments, logSequence, logSyncs, logSyncSeconds,
        logFailures, logRefusing, slates, slateLogBytes, slateLogWritten, slateLogFailures, slateLogRefusing,
        itemsChanged, itemsAdded, itemsDeleted, itemsBytes, itemsVersion, itemsRefused, itemsAge, itemsPublication,
        liveItems, liveItemCounts, liveItemBytes, liveItemMerges, liveItemMergeSeconds, liveItemsEvicted,
        liveItemsDropped, liveItemsOutdated, liveItemsAge,
        cacheRequests, cacheBytes, cacheEntries, cacheUsedBytes, cacheEvictions, cacheUnfit, cacheAdmissions,
        cacheRefills, cacheJoined, cacheRefillsWaiting, shardQueueDepth, shardUsers, shardAllocated,
        redisCommands, redisFailures, redisDuration, redisConnections, redisInFlight, breakerState, sharedMisses,
        sharedStores,
        connections,
        connectionsTotal, connectionsRefused, framesBad, ready, generation, modelInfo, generationSwaps, generationLoad,
        memory, allocatorAllocated, allocatorActive, allocatorResident, allocatorMapped, allocatorRetained,
        allocatorMetadata, allocatorAllocations, processCPU, processResident, processVirtual, processStart,
        processDescriptors, processDescriptorsMax, processThreads, processMajorFaults, build,
    ]
}
