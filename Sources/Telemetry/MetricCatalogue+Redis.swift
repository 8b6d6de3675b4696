extension MetricCatalogue {
    // Redis beside the node.
    static let redisCommands = Metric(
        "martlet_redis_commands_total", .counter,
        help: "Commands for Redis, those included that were not sent because of its breaker.")
    static let redisFailures = Metric(
        "martlet_redis_failures_total", .counter, labels: ["reason"],
        help: "Commands for Redis without a reply that counts.")
    static let redisDuration = Metric(
        "martlet_redis_command_duration_seconds", .histogram, unit: .seconds,
        help: "Time from a command for Redis to its reply.")
    static let redisConnections = Metric(
        "martlet_redis_connections", .gauge, labels: ["state"],
        help: "Connections to Redis that are ready, and those that are not.")
    static let redisInFlight = Metric(
        "martlet_redis_commands_in_flight", .gauge, help: "Commands that wait for Redis.")
    static let breakerState = Metric(
        "martlet_breaker_state", .gauge, labels: ["dependency"],
        help: "0 while a dependency is asked, 1 while it is not, 2 while it is probed; the worst of all shards.")
    static let sharedMisses = Metric(
        "martlet_shared_cache_misses_total", .counter, labels: ["reason"],
        help: "Look-ups in the cache beside the node that found nothing of use.")
    static let sharedStores = Metric(
        "martlet_shared_cache_stores_total", .counter, labels: ["result"],
        help: "Answers that were to be put into the cache beside the node.")
    static let sharedDropped = Metric(
        "martlet_shared_cache_dropped_total", .counter,
        help: "Copies of shared answers that were dropped because their keys were changed in Redis.")
    static let sharedForgotten = Metric(
        "martlet_shared_cache_forgotten_total", .counter,
        help: "Times that all copies of shared answers were forgotten, as changes of keys may have been missed.")
    static let sharedTracking = Metric(
        "martlet_shared_cache_tracking", .gauge,
        help: "1 while Redis tells of changes of the keys that answers were copied from.")
}
