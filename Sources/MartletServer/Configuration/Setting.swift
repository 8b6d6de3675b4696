import CandidateRanking
import Logging
import NearestNeighbors
import VectorMath
import Wire

/// One key of the configuration: its name everywhere, its meaning, its way in and out.
package struct Setting: Sendable {
    /// In the YAML file: nested by its dots.
    package let key: String
    package let help: String
    let read: @Sendable (ServerConfiguration) -> String?
    let assign: @Sendable (inout ServerConfiguration, String) throws(SettingFault) -> Void

    /// In the environment.
    package var variable: String { Self.variablePrefix + key.uppercased().replacing(".", with: "_") }

    package static let variablePrefix = "MARTLET_"

    /// Of the node and of a scenario alike.
    static let batchRowsRange = 8...4096
    static let batchRequestsRange = 1...64

    /// The value's text in `configuration`; nil where nothing is set.
    package func text(in configuration: ServerConfiguration) -> String? { read(configuration) }

    private init(
        _ key: String, _ help: String, read: @escaping @Sendable (ServerConfiguration) -> String?,
        assign: @escaping @Sendable (inout ServerConfiguration, String) throws(SettingFault) -> Void
    ) {
        self.key = key
        self.help = help
        self.read = read
        self.assign = assign
    }

    private static func integer(
        _ key: String, _ path: WritableKeyPath<ServerConfiguration, Int> & Sendable, in range: ClosedRange<Int>,
        _ help: String
    ) -> Setting {
        Setting(key, help) {
            String($0[keyPath: path])
        } assign: { (configuration, text) throws(SettingFault) in
            configuration[keyPath: path] = try SettingValue.integer(text, in: range)
        }
    }

    private static func size(
        _ key: String, _ path: WritableKeyPath<ServerConfiguration, Int> & Sendable, in range: ClosedRange<Int>,
        _ help: String
    ) -> Setting {
        Setting(key, help) {
            SettingValue.text(size: $0[keyPath: path])
        } assign: { (configuration, text) throws(SettingFault) in
            configuration[keyPath: path] = try SettingValue.size(text, in: range)
        }
    }

    private static func duration(
        _ key: String, _ path: WritableKeyPath<ServerConfiguration, Duration> & Sendable, from lower: Duration = .zero,
        to upper: Duration = SettingValue.durationMax, _ help: String
    ) -> Setting {
        Setting(key, help) {
            SettingValue.text(duration: $0[keyPath: path])
        } assign: { (configuration, text) throws(SettingFault) in
            configuration[keyPath: path] = try SettingValue.duration(text, from: lower, to: upper)
        }
    }

    /// Every key with a single value, in the order in which `--print-config` and the documentation show them.
    package static let all: [Setting] = [
        Setting("node_name", "Names the node in logs and in its welcome.") {
            $0.nodeName
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.nodeName = try SettingValue.name(text)
        },
        Setting("listen", "Where calls are answered, HOST:PORT; port 0 takes a free one.") {
            $0.listen.description
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.listen = try SettingValue.endpoint(text)
        },
        Setting("http", "Where /metrics, /healthz, /readyz and /status are answered; `off`: nowhere.") {
            $0.http?.description ?? "off"
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.http = text == "off" ? nil : try SettingValue.endpoint(text)
        },
        integer("shards", \.shards, in: 0...1024, "Event loops, each with one shard; 0: one for each core."),
        Setting("bundle", "The bundle that is served at start.") {
            $0.bundle
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.bundle = try SettingValue.path(text)
        },
        Setting(
            "models_root", "The only folder from which LoadModel takes bundles; default: the one that holds `bundle`."
        ) {
            $0.modelsRoot
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.modelsRoot = try SettingValue.path(text)
        },
        Setting(
            "index",
            "How factors are searched: auto (by cost, measured at load), scan (exactly) or hnsw (by the bundle's graph)."
        ) {
            $0.index.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.index = try SettingValue.choice(text, of: SearchPlanner.Mode.self)
        },
        Setting(
            "item_rows",
            "How the items' factors are held: f32, or f16 in half the memory, where scores are of the rounded factors."
        ) {
            $0.itemRows.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.itemRows = try SettingValue.choice(text, of: RowPrecision.self)
        },
        Setting(
            "ranker_precision",
            "How a ranker's layers are computed: f32, bf16, int8, or auto (the narrowest that keeps users' orders, measured at load)."
        ) {
            $0.rankerPrecision.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.rankerPrecision = try SettingValue.choice(text, of: RankerPrecision.self)
        },
        size(
            "ranker_item_bytes", \.rankerItemBytes, in: 0...(1 << 40),
            "What a ranker's first layer makes of each item may be held in so many bytes, where that is cheaper; 0: never."
        ),
        Setting(
            "graph_rows",
            "What walks over a graph read of each item: rows, f16, int8 (8-bit codes) or auto (what is quickest for the rank)."
        ) {
            $0.graphRows.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.graphRows = try SettingValue.choice(text, of: GraphRows.self)
        },
        Setting(
            "recall_min",
            "Share of the true neighbours that a search must find, measured at load, to be chosen for its speed; 1: all."
        ) {
            "\($0.recallMin)"
        } assign: { (configuration, text) throws(SettingFault) in
            let share = try SettingValue.share(text)
            guard share > 0 else { throw SettingFault(expected: "a number above 0, up to 1") }
            configuration.recallMin = share
        },
        Setting(
            "recall_sample_share",
            "Share of the approximate searches that are checked exactly, within a hundredth of a core; 0: none."
        ) {
            "\($0.recallSampleShare)"
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.recallSampleShare = try SettingValue.share(text)
        },
        integer(
            "calls_together", \.callsTogether, in: 1...64,
            "Waiting calls of a shard that are served at the same time, where their scans gain by taking turns; 1: none."
        ),
        integer(
            "search_helpers", \.searchHelpers, in: 0...16,
            "Idle event loops that may help with one long exact scan; 0: none."),
        integer(
            "ranking.batch_rows", \.ranking.batchRows, in: batchRowsRange,
            "Candidates that go through a ranker at once; fewer where so many take more than 250 us."),
        integer(
            "ranking.batch_requests", \.ranking.batchRequests, in: batchRequestsRange,
            "Requests whose candidates may share a batch; 1: each is ranked alone."),
        Setting("events.directory", "The folder of the event log; without one, events are gone when the node ends.") {
            $0.events.directory
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.events.directory = try SettingValue.path(text)
        },
        Setting(
            "events.sync",
            "When an event is stored: always (its sync ended), interval (the next sync of many ended) or never (the system has it)."
        ) {
            $0.events.sync.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.events.sync = try SettingValue.choice(text, of: EventsConfiguration.Sync.self)
        },
        duration(
            "events.sync_interval", \.events.syncInterval, from: .milliseconds(1),
            "Between the beginnings of two syncs of `events.sync: interval`."),
        size(
            "events.segment_bytes", \.events.segmentBytes, in: (64 << 10)...(1 << 30),
            "A segment of the event log that has reached this size is followed by another."),
        duration(
            "events.segment_age", \.events.segmentAge, from: .seconds(1), "The same, of a segment that is this old."),
        duration(
            "events.retention_age", \.events.retentionAge, from: .seconds(1), to: SettingValue.ageMax,
            "Older segments are removed, once the state does not need them."),
        size(
            "events.retention_bytes", \.events.retentionBytes, in: (1 << 20)...(1 << 50),
            "Segments beyond this are removed, oldest first, once the state does not need them."),
        size(
            "events.pending_bytes_max", \.events.pendingBytesMax, in: (64 << 10)...(1 << 30),
            "Events that wait for the disk; more are answered RESOURCE_EXHAUSTED."),
        duration(
            "events.snapshot_interval", \.events.snapshotInterval,
            "Between snapshots of what is known of users, from which a restart goes on; 0s: one when the node stops."),
        duration(
            "events.future_max", \.events.futureMax, "How far ahead of the node's clock an event's time may be."),
        duration(
            "events.age_max", \.events.ageMax, from: .seconds(1), to: SettingValue.ageMax, "Older events are refused."),
        integer(
            "events.history_max", \.events.historyMax, in: 1...4096, "Events of a user that are kept one by one."),
        integer(
            "events.shown_max", \.events.shownMax, in: 0...4096,
            "Impressions of a user that are kept one by one, for live features of rankers; 0: none."),
        integer(
            "events.seen_max", \.events.seenMax, in: 64...65_000,
            "Items of a user that are remembered as seen beyond the history; the oldest are forgotten."),
        duration(
            "events.seen_age", \.events.seenAge, to: SettingValue.ageMax,
            "Seen items may be shown again after as long; 0s: never."),
        size(
            "events.state_bytes_max", \.events.stateBytesMax, in: (1 << 20)...(1 << 46),
            "What is known of all users from events; users who were not active lately are forgotten beyond."),
        integer(
            "events.repeats_window", \.events.repeatsWindow, in: 1024...(1 << 28),
            "Events whose IDs are known, so that they do not count again."),
        integer(
            "events.items_max", \.events.itemsMax, in: 1000...50_000_000,
            "Items that events and models may have named; events for others are stored and count for nothing."),
        Setting(
            "slates.directory",
            "The folder of the slate log; default: `slates` in `events.directory`, and without that nothing is logged."
        ) {
            $0.slates.directory
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.slates.directory = try SettingValue.path(text)
        },
        Setting(
            "slates.sample",
            "Share of the requests whose slates are logged with features and some candidates, 0 to 1; a scenario may say otherwise (slates_sample)."
        ) {
            "\($0.slates.sample)"
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.slates.sample = try SettingValue.share(text)
        },
        integer(
            "slates.candidates_max", \.slates.candidatesMax, in: 0...2000,
            "Candidates that are logged with a slate beside the items that it shows."),
        size(
            "slates.segment_bytes", \.slates.segmentBytes, in: (64 << 10)...(1 << 30),
            "A segment of the slate log that has reached this size is followed by another."),
        duration(
            "slates.segment_age", \.slates.segmentAge, from: .seconds(1), "The same, of a segment that is this old."),
        duration(
            "slates.retention_age", \.slates.retentionAge, from: .seconds(1), to: SettingValue.ageMax,
            "Older segments of the slate log are removed."),
        size(
            "slates.retention_bytes", \.slates.retentionBytes, in: (1 << 20)...(1 << 50),
            "Segments of the slate log beyond this are removed, oldest first."),
        size(
            "slates.pending_bytes_max", \.slates.pendingBytesMax, in: (64 << 10)...(1 << 30),
            "Slates that wait for the disk; further ones are dropped and counted."),
        integer(
            "items.changes_max", \.items.changesMax, in: 0...10_000_000,
            "Items that may have changes which the model does not know of; changes of further ones are refused."),
        size(
            "items.bytes_max", \.items.bytesMax, in: (1 << 20)...(1 << 40),
            "What their descriptions may take; further descriptions are refused."),
        duration(
            "live_items.merge_interval", \.liveItems.mergeInterval, from: .milliseconds(10), to: .seconds(3600),
            "Between merges of what the shards have counted of items, after which all of it is served."),
        duration(
            "live_items.fast_half_life", \.liveItems.fastHalfLife, from: .seconds(1), to: .seconds(365 * 86_400),
            "After as long a click counts half in what happens now."),
        duration(
            "live_items.slow_half_life", \.liveItems.slowHalfLife, from: .seconds(1), to: .seconds(3650 * 86_400),
            "The same, in what is usual; events ten times as old count nothing."),
        duration(
            "live_items.age_max", \.liveItems.ageMax, from: .milliseconds(10), to: SettingValue.ageMax,
            "Counts of items that were merged longer ago are not served: the source `trending` falls silent."),
        size(
            "live_items.bytes_max", \.liveItems.bytesMax, in: (64 << 10)...(1 << 40),
            "What is counted of all items; the least active ones are forgotten beyond."),
        integer(
            "live_items.trending_max", \.liveItems.trendingMax, in: 1...10_000,
            "Items that a scenario's list of those that trend has at most."),
        integer(
            "live_items.prior_impressions", \.liveItems.priorImpressions, in: 0...1_000_000,
            "Impressions that a scenario's rate of clicks is worth in that of one of its items."),
        size("cache.bytes", \.cache.bytes, in: 0...(1 << 40), "Result cache of all shards together; 0 turns it off."),
        size(
            "cache.filter_bytes", \.cache.filterBytes, in: 0...(1 << 40),
            "Filters of all shards together, as sets of items, to be used again; 0 keeps none."),
        duration("cache.ttl", \.cache.ttl, "How long an answer may be served again, at most."),
        duration(
            "cache.ttl_min", \.cache.ttlMin, "The same, at least, where `cache.ttl_visits` makes it shorter."),
        integer(
            "cache.ttl_visits", \.cache.ttlVisits, in: 0...1_000_000,
            "Visits that one answer is to serve: who comes often gets new ones sooner; 0: all are kept for `cache.ttl`."
        ),
        duration(
            "cache.stale_for", \.cache.staleFor,
            "How long an answer that is too old may still be served, marked so, while a new one is made; 0s: not at all."
        ),
        Setting(
            "cache.background_share",
            "Share of an event loop's time for answers that nobody waits for: in place of stale ones, and after a swap; 0: none."
        ) {
            "\($0.cache.backgroundShare)"
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.cache.backgroundShare = try SettingValue.share(text)
        },
        integer(
            "cache.warm_keys", \.cache.warmKeys, in: 0...1_000_000,
            "Requests of the most active users that are made again after a swap or a start; 0: none."),
        Setting("cache.warm_file", "Where those are remembered over a restart; default: nowhere.") {
            $0.cache.warmFile
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.cache.warmFile = try SettingValue.path(text)
        },
        duration(
            "cache.warm_before_ready", \.cache.warmBeforeReady,
            "How long a start may wait for them before the node says that it is ready; 0s: not at all."),
        size(
            "cache.entry_bytes_max", \.cache.entryBytesMax, in: (1 << 10)...(16 << 20), "Larger answers are not kept."),
        Setting(
            "redis.url",
            "A Redis beside the node that keeps answers for all nodes: redis://[user@]HOST[:PORT][/DATABASE], rediss:// for TLS; of a cluster several, separated by commas."
        ) {
            $0.redis.url
        } assign: { (configuration, text) throws(SettingFault) in
            _ = try RedisSettings.addresses(text)
            configuration.redis.url = text
        },
        Setting("redis.mode", "single, or cluster.") {
            $0.redis.mode.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.redis.mode = try SettingValue.choice(text, of: RedisSettings.Mode.self)
        },
        Setting("redis.password_file", "Holds the password alone; without one, no AUTH is sent.") {
            $0.redis.passwordFile
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.redis.passwordFile = try SettingValue.path(text)
        },
        Setting("redis.trusted_file", "Certificates in PEM that TLS trusts; without one, those of the system.") {
            $0.redis.trustedFile
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.redis.trustedFile = try SettingValue.path(text)
        },
        Setting("redis.prefix", "First word of all keys.") {
            $0.redis.prefix
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.redis.prefix = try RedisSettings.prefix(text)
        },
        duration(
            "redis.timeout", \.redis.timeout, from: .microseconds(100), to: .seconds(60),
            "How long a request waits for Redis before its answer is computed."),
        integer(
            "redis.connections", \.redis.connections, in: 1...16, "Connections of each event loop to each server."),
        size(
            "limits.frame_bytes_max", \.limits.frameBytesMax, in: (4 << 10)...(64 << 20),
            "A larger frame closes its connection."),
        integer(
            "limits.connections_max", \.limits.connectionsMax, in: 1...1_000_000,
            "Further connections are closed at once."),
        integer(
            "limits.calls_in_flight_max", \.limits.callsInFlightMax, in: 1...65_536,
            "Calls in flight on a connection; further ones are answered RESOURCE_EXHAUSTED."),
        integer(
            "limits.queued_requests_max", \.limits.queuedRequestsMax, in: 1...1_000_000,
            "Calls that wait for a shard; further ones are answered RESOURCE_EXHAUSTED."),
        duration(
            "limits.queue_wait", \.limits.queueWait, to: .seconds(60),
            "Calls that would wait longer for their shard are answered RESOURCE_EXHAUSTED, sheddable ones at half of it; 0s: all wait."
        ),
        // The protocol's own limit stands above: a larger value would change nothing.
        integer(
            "limits.k_max", \.limits.kMax, in: 1...RequestLimits.kMax,
            "A call for more items is answered INVALID_ARGUMENT; at most \(RequestLimits.kMax)."),
        size(
            "limits.write_buffer_bytes_max", \.limits.writeBufferBytesMax, in: (64 << 10)...(1 << 30),
            "A client that leaves more than this unread is disconnected."),
        duration(
            "limits.handshake_timeout", \.limits.handshakeTimeout, from: .milliseconds(10),
            "A connection that has not said hello by then is closed."),
        duration(
            "limits.idle_timeout", \.limits.idleTimeout,
            "A connection without a frame for that long is closed; 0s: never."),
        duration(
            "brownout.latency", \.brownout.latency, to: .seconds(60),
            "Nine slates in ten are to be made in this time, waiting included; while they are not, candidates and ranking are left out step by step; 0s: never."
        ),
        integer(
            "brownout.level", \.brownout.level, in: 0...4,
            "What is left out in any case, for drills and measurements: 0 nothing, 1 and 2 a part of the ranking, 3 all of it, 4 most candidates too."
        ),
        duration(
            "default_deadline", \.defaultDeadline, "Time of a call that names none itself; 0s: as long as it takes."),
        duration("drain_timeout", \.drainTimeout, "How long calls in flight may take to finish when the node stops."),
        Setting("log.level", "trace, debug, info, notice, warning, error or critical.") {
            $0.log.level.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.log.level = try SettingValue.choice(text, of: Logger.Level.self)
        },
        Setting("log.format", "text, or json with one object a line.") {
            $0.log.format.rawValue
        } assign: { (configuration, text) throws(SettingFault) in
            configuration.log.format = try SettingValue.choice(text, of: LogConfiguration.Format.self)
        },
    ]

    package static let byKey: [String: Setting] = Dictionary(uniqueKeysWithValues: all.map { ($0.key, $0) })
    package static let byVariable: [String: Setting] = Dictionary(uniqueKeysWithValues: all.map { ($0.variable, $0) })
}
