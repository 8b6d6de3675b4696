/// Why a command to Redis has no reply that counts; in the order of `RedisFailure` of RemoteCache.
package enum RedisFailureReason: UInt8, CaseIterable, Sendable {
    case unavailable, breakerOpen, overloaded, timeout, closed, garbage, unexpectedReply, refused, readOnly, full,
        notReady,
        redirects, error

    package var label: String {
        switch self {
        case .unavailable: "unavailable"
        case .breakerOpen: "breaker_open"
        case .overloaded: "overloaded"
        case .timeout: "timeout"
        case .closed: "closed"
        case .garbage: "garbage"
        case .unexpectedReply: "unexpected_reply"
        case .refused: "refused"
        case .readOnly: "read_only"
        case .full: "full"
        case .notReady: "not_ready"
        case .redirects: "redirects"
        case .error: "error"
        }
    }
}

/// Why a value of the cache beside the node does not count; the first ones in the order of `RemoteValue.Miss` of RemoteCache.
package enum SharedCacheMiss: UInt8, CaseIterable, Sendable {
    case absent, tooLarge, notOurs, otherVersion, otherKind, truncated, badChecksum, otherKey, expired, otherStamp
    /// Of another request whose name is the same.
    case otherRequest
    /// One of its items is not available now.
    case unavailableItem
    /// The answer depends on what this node alone knows: changes of items, what trends, live features.
    case ownKnowledge
    /// Redis did not answer, or not in time.
    case noAnswer

    package var label: String {
        switch self {
        case .absent: "absent"
        case .tooLarge: "too_large"
        case .notOurs: "not_ours"
        case .otherVersion: "other_version"
        case .otherKind: "other_kind"
        case .truncated: "truncated"
        case .badChecksum: "bad_checksum"
        case .otherKey: "other_key"
        case .expired: "expired"
        case .otherStamp: "other_stamp"
        case .otherRequest: "other_request"
        case .unavailableItem: "unavailable_item"
        case .ownKnowledge: "own_knowledge"
        case .noAnswer: "no_answer"
        }
    }
}

/// What became of an answer that was to be put into the cache beside the node.
package enum SharedCacheStore: UInt8, CaseIterable, Sendable {
    case stored, failed
    /// Too many were on their way.
    case dropped

    package var label: String {
        switch self {
        case .stored: "stored"
        case .failed: "failed"
        case .dropped: "dropped"
        }
    }
}

/// What a shard's connections to Redis look like now, and what they have counted.
package struct RedisReading: Sendable {
    package var commands: UInt64 = 0
    /// By `RedisFailureReason`.
    package var failures: [UInt64] = []
    package var connections = 0
    package var connectionsReady = 0
    package var inFlight = 0
    /// 0 closed, 1 open, 2 half open.
    package var readBreaker = 0
    package var writeBreaker = 0

    package init() {}
}

extension ShardMetrics.Layout {
    // From `smallAt`, behind the batches.
    static var redis: Int { smallCells + batchCells }
    static var redisCommands: Int { redis }
    static var redisConnections: Int { redis + 1 }
    static var redisReady: Int { redis + 2 }
    static var redisInFlight: Int { redis + 3 }
    static var redisReadBreaker: Int { redis + 4 }
    static var redisWriteBreaker: Int { redis + 5 }
    static var sharedHits: Int { redis + 6 }
    static var sharedMisses: Int { redis + 7 }
    /// 4 cells.
    static var sharedStores: Int { redis + 8 }
    static var sharedDropped: Int { redis + 12 }
    static var sharedForgotten: Int { redis + 13 }
    static var sharedTracking: Int { redis + 14 }
    static var redisFailures: Int { redis + 16 }
    static var sharedMissReasons: Int { redis + 32 }
    static var redisDuration: Int { redis + 48 }
    static var redisCells: Int { 48 + histogram }
}

extension ShardMetrics {
    /// Publishes what the shard's client of Redis says of itself.
    package func setRedis(_ reading: RedisReading) {
        for (cell, value) in [
            (Layout.redisConnections, reading.connections), (Layout.redisReady, reading.connectionsReady),
            (Layout.redisInFlight, reading.inFlight), (Layout.redisReadBreaker, reading.readBreaker),
            (Layout.redisWriteBreaker, reading.writeBreaker),
        ] {
            cells.set(smallAt &+ cell, to: UInt64(clamping: value))
        }
        cells.set(smallAt &+ Layout.redisCommands, to: reading.commands)
        for (index, count) in reading.failures.prefix(16).enumerated() {
            cells.set(smallAt &+ Layout.redisFailures &+ index, to: count)
        }
    }

    package func recordRedisCommand(nanoseconds: UInt64) { observe(nanoseconds, at: smallAt &+ Layout.redisDuration) }

    package func countSharedHit() { cells.add(1, to: smallAt &+ Layout.sharedHits) }

    package func countShared(_ miss: SharedCacheMiss) {
        cells.add(1, to: smallAt &+ Layout.sharedMisses)
        cells.add(1, to: smallAt &+ Layout.sharedMissReasons &+ Int(miss.rawValue))
    }

    /// Counts copies of shared answers that were dropped because what they were copied from was changed.
    package func countSharedDropped(_ count: Int) {
        cells.add(UInt64(truncatingIfNeeded: count), to: smallAt &+ Layout.sharedDropped)
    }

    /// Counts that all copies were forgotten, as changes were not heard of for a while.
    package func countSharedForgotten() { cells.add(1, to: smallAt &+ Layout.sharedForgotten) }

    /// Whether changes of what was copied are heard of.
    package func setSharedTracking(_ isTracking: Bool) {
        cells.set(smallAt &+ Layout.sharedTracking, to: isTracking ? 1 : 0)
    }

    package func countShared(_ store: SharedCacheStore) {
        cells.add(1, to: smallAt &+ Layout.sharedStores &+ Int(store.rawValue))
    }

    /// As published last, for the status page.
    package var redisReading: RedisReading {
        func cell(_ place: Int) -> Int { Int(clamping: cells.read(smallAt &+ place)) }
        var reading = RedisReading()
        reading.commands = cells.read(smallAt &+ Layout.redisCommands)
        reading.connections = cell(Layout.redisConnections)
        reading.connectionsReady = cell(Layout.redisReady)
        reading.inFlight = cell(Layout.redisInFlight)
        reading.readBreaker = cell(Layout.redisReadBreaker)
        reading.writeBreaker = cell(Layout.redisWriteBreaker)
        reading.failures = RedisFailureReason.allCases.map {
            cells.read(smallAt &+ Layout.redisFailures &+ Int($0.rawValue))
        }
        return reading
    }

    package var sharedHits: UInt64 { cells.read(smallAt &+ Layout.sharedHits) }

    package func sharedMisses(_ miss: SharedCacheMiss) -> UInt64 {
        cells.read(smallAt &+ Layout.sharedMissReasons &+ Int(miss.rawValue))
    }

    package func sharedStores(_ store: SharedCacheStore) -> UInt64 {
        cells.read(smallAt &+ Layout.sharedStores &+ Int(store.rawValue))
    }
}
