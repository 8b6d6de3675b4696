/// What a scrape of `/metrics` says of a node, as far as `top` shows it.
struct NodeReading: Sendable {
    /// Of the `/metrics` text: sums over the other labels.
    private(set) var calls = 0.0
    private(set) var errors = 0.0
    private(set) var degraded = 0.0
    private(set) var cacheHits = 0.0
    private(set) var cacheLookups = 0.0
    private(set) var inQueue = 0.0
    private(set) var connections = 0.0
    private(set) var residentBytes = 0.0
    private(set) var generation = 0.0
    private(set) var isReady = false
    private(set) var model = ""
    /// Slate requests by the upper bound of their time, cumulative; seconds.
    private(set) var durations: [Double: Double] = [:]
    /// When it was read; seconds of any clock that does not go back.
    let at: Double

    init(_ text: String, at: Double) {
        self.at = at
        for line in text.split(separator: "\n") where line.hasPrefix("martlet_") || line.hasPrefix("process_resident") {
            guard let end = line.lastIndex(of: " "), let value = Double(line[line.index(after: end)...]) else {
                continue
            }
            let name = line.prefix { $0 != "{" && $0 != " " }
            func label(_ key: String) -> String? {
                guard let start = line.range(of: "\(key)=\"") else { return nil }
                return String(line[start.upperBound...].prefix { $0 != "\"" })
            }
            switch name {
            case "martlet_requests_total":
                calls += value
                // What a caller asked wrongly is not the node's error.
                let faults = [
                    "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                ]
                if let code = label("code"), faults.contains(code.uppercased()) { errors += value }
            case "martlet_degraded_total": degraded += value
            case "martlet_cache_requests_total":
                cacheLookups += value
                if let result = label("result"), result == "hit" || result == "stale" { cacheHits += value }
            case "martlet_shard_queue_depth": inQueue += value
            case "martlet_connections": connections = value
            case "process_resident_memory_bytes": residentBytes = value
            case "martlet_generation": generation = value
            case "martlet_ready": isReady = value > 0
            case "martlet_model_info": model = label("model") ?? ""
            case "martlet_request_duration_seconds_bucket":
                if let bound = label("le") {
                    durations[bound == "+Inf" ? .infinity : Double(bound) ?? .infinity, default: 0] += value
                }
            default: break
            }
        }
    }

    /// What happened between an earlier reading, or the start of the node, and this one.
    struct Change: Sendable {
        var callsPerSecond: Double?
        var errors: Double
        var degraded: Double
        var cacheHitRatio: Double?
        /// Seconds; nil without slate requests.
        var p50: Double?
        var p99: Double?
    }

    /// - Parameter earlier: Of the same process; nil: since its start, without a rate.
    func change(since earlier: NodeReading?) -> Change {
        // A node that was started anew counts from nothing.
        let earlier = earlier.flatMap { $0.calls <= calls ? $0 : nil }
        let lookups = cacheLookups - (earlier?.cacheLookups ?? 0)
        let between = durations.map { ($0.key, $0.value - (earlier?.durations[$0.key] ?? 0)) }.sorted { $0.0 < $1.0 }
        return Change(
            callsPerSecond: earlier.map { (calls - $0.calls) / max(at - $0.at, 1e-9) },
            errors: errors - (earlier?.errors ?? 0), degraded: degraded - (earlier?.degraded ?? 0),
            cacheHitRatio: lookups > 0 ? (cacheHits - (earlier?.cacheHits ?? 0)) / lookups : nil,
            p50: Self.quantile(0.5, between), p99: Self.quantile(0.99, between))
    }

    /// The upper bound of the bucket in which the quantile lies.
    private static func quantile(_ share: Double, _ buckets: [(bound: Double, count: Double)]) -> Double? {
        guard let all = buckets.last?.count, all > 0 else { return nil }
        return buckets.first { $0.count >= share * all }?.bound
    }
}
