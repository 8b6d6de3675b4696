import Logging
import NIOCore
import RemoteCache
import Serving
import Telemetry
import Vocabulary

/// The answers of all nodes, in a Redis beside them: asked where a shard's own cache has none, before anything is computed.
///
/// ```
///  miss in L1 ──> look up, at most `timeout` ──found──> kept in L1, sent
///                        │ anything else                        ^
///                        └──> computed ──> sent, kept in L1 ────┘──> stored, nobody waits for it
/// ```
/// Nothing that Redis does fails a request or holds one up for longer than `timeout`: while its breaker is open, it is not asked.
/// An answer counts only where this shard would have made the same one: the bundle, the configuration, what is known of the user
/// and the bytes of the request are compared, not just their hash. One for each loop; belongs to it.
final class SharedCache {
    static let kind: UInt8 = 1
    /// Answers on their way into Redis; further ones are dropped.
    static let storesMax = 512

    private let client: RedisClient
    private let keys: RemoteKeys
    private let configuration: UInt64
    private let timeout: Duration
    private let valueBytesMax: Int
    private let metrics: ShardMetrics
    private let wallClock: @Sendable () -> Int64
    private var storing = 0
    /// By the hash of a request that Redis is asked for: whether its key was changed since.
    private var asked: [UInt64: Bool] = [:]
    /// Whether answers found may be copied: changes of their keys are heard of, or nobody can tell of them.
    private var mayCopy = false
    private let logger: Logger?
    private var isTroubled = false

    /// - Parameters:
    ///   - configuration: Fingerprint of all settings that answers depend on.
    ///   - valueBytesMax: Larger answers are neither stored nor believed.
    ///   - logger: Is told when Redis cannot be used, and when it can be again; nil: nobody is.
    init(
        _ client: RedisClient, prefix: String, configuration: UInt64, timeout: Duration, valueBytesMax: Int,
        metrics: ShardMetrics, wallClock: @escaping @Sendable () -> Int64, logger: Logger? = nil
    ) {
        self.logger = logger
        self.client = client
        keys = Self.keys(prefix)
        self.configuration = configuration
        self.timeout = timeout
        self.valueBytesMax = valueBytesMax
        self.metrics = metrics
        self.wallClock = wallClock
        client.observe = { metrics.recordRedisCommand(nanoseconds: $0) }
    }

    /// Names of answers; the version is that of what stands under them.
    private static func keys(_ prefix: String) -> RemoteKeys {
        RemoteKeys(namespace: prefix, kind: "slate", version: 2)
    }

    func start() { client.start() }
    func close() { client.close() }

    /// An answer that counts, and for how long.
    struct Found {
        var answer: ArraySlice<UInt8>
        var seconds: ClosedRange<Int64>
        var nanosecondsLeft: UInt64
        /// Whether it may be kept by whoever asked.
        var mayBeCopied = true
    }

    // MARK: Changes of keys

    /// What a loop is told of keys in Redis.
    struct Changes: Sendable {
        /// Requests, by the hash that their keys begin with.
        var hashes: [UInt64] = []
        /// All that was copied may have been changed.
        var forgets = false
        /// Nil: as before.
        var mayCopy: Bool?
        /// More are as good as all.
        static let hashesMax = 4096

        var isEmpty: Bool { hashes.isEmpty && !forgets && mayCopy == nil }

        mutating func add(_ other: Changes) {
            forgets = forgets || other.forgets
            mayCopy = other.mayCopy ?? mayCopy
            hashes += other.hashes
            if hashes.count > Self.hashesMax { forgets = true }
            if forgets { hashes.removeAll() }
        }
    }

    /// Notes changes; look-ups that are under way may have been answered before.
    func note(_ changes: Changes) {
        if let mayCopy = changes.mayCopy { self.mayCopy = mayCopy }
        if changes.forgets {
            for hash in asked.keys { asked[hash] = true }
        } else {
            for hash in changes.hashes where asked[hash] != nil { asked[hash] = true }
        }
    }

    /// The hash of the request that a key belongs to; nil for keys that are none of ours.
    static func hash(ofKey key: some Collection<UInt8>) -> UInt64? {
        guard key.count >= 32 else { return nil }
        var hash: UInt64 = 0
        for byte in key.suffix(32).prefix(16) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): hash = hash << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): hash = hash << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return hash
    }

    /// What all keys begin with.
    static func keyPrefix(_ prefix: String) -> [UInt8] {
        keys(prefix).prefix
    }

    /// Looks for the answer to a request; the completion is called once, on the loop, perhaps before this returns.
    ///
    /// - Parameter patience: At most; nil: as configured.
    func lookUp(
        _ request: [UInt8], _ origin: AnswerOrigin, within patience: Duration? = nil,
        completion: @escaping (Found?) -> Void
    ) {
        let timeout = min(patience ?? timeout, timeout)
        guard timeout > .microseconds(50) else {
            metrics.countShared(.noAnswer)
            return completion(nil)
        }
        let key = key(request, origin)
        let hash = Self.hash(ofKey: key) ?? 0
        // Two for one hash at a time: neither is copied once one of them has ended.
        if asked[hash] == nil { asked[hash] = false }
        client.get(key, timeout: timeout) { [self] result in
            let wasChanged = asked.removeValue(forKey: hash) ?? true
            let bytes: [UInt8]?
            switch result {
            case .success(let found): bytes = found
            case .failure(let failure):
                metrics.countShared(Self.miss(failure))
                return completion(nil)
            }
            switch open(bytes, key, request, origin) {
            case .success(var found):
                metrics.countSharedHit()
                found.mayBeCopied = mayCopy && !wasChanged
                completion(found)
            case .failure(let miss):
                metrics.countShared(miss.reason)
                completion(nil)
            }
        }
    }

    /// A key of another type is another program's.
    private static func miss(_ failure: RedisFailure) -> SharedCacheMiss {
        if case .error(let text) = failure, text.hasPrefix("WRONGTYPE") { return .notOurs }
        return .noAnswer
    }

    private struct Miss: Error {
        let reason: SharedCacheMiss
    }

    private func open(
        _ bytes: [UInt8]?, _ key: [UInt8], _ request: [UInt8], _ origin: AnswerOrigin
    ) -> Result<Found, Miss> {
        let now = wallClock()
        let milliseconds = now.multipliedReportingOverflow(by: 1000).partialValue
        let value: RemoteValue
        switch RemoteValue.open(
            bytes, key: key, kind: Self.kind, stamp: origin.user, now: milliseconds, bytesMax: valueBytesMax)
        {
        case .success(let sound): value = sound
        case .failure(let miss):
            return .failure(Miss(reason: SharedCacheMiss(rawValue: UInt8(miss.rawValue)) ?? .notOurs))
        }
        guard let shared = SharedAnswer(value.payload) else { return .failure(Miss(reason: .truncated)) }
        guard shared.bundle == origin.bundle, shared.generation == origin.generation,
            shared.configuration == configuration, shared.request == request[...]
        else { return .failure(Miss(reason: .otherRequest)) }
        guard shared.seconds.contains(now) else { return .failure(Miss(reason: .unavailableItem)) }
        let left = UInt64(clamping: value.goodUntil - milliseconds)
        let (nanoseconds, isTooLong) = left.multipliedReportingOverflow(by: 1_000_000)
        return .success(
            Found(
                answer: shared.answer, seconds: shared.seconds, nanosecondsLeft: isTooLong ? .max : nanoseconds))
    }

    /// Puts an answer there, behind the back of whoever asked for it.
    func store(
        _ answer: UnsafeRawBufferPointer, to request: [UInt8], _ origin: AnswerOrigin, seconds: ClosedRange<Int64>,
        life: Duration
    ) {
        let milliseconds = Int64(clamping: life.nanoseconds / 1_000_000)
        guard milliseconds > 0 else { return }
        guard storing < Self.storesMax,
            answer.count + request.count + SharedAnswer.headBytes + RemoteValue.headerBytes <= valueBytesMax
        else { return metrics.countShared(.dropped) }
        let key = key(request, origin)
        let shared = SharedAnswer(
            bundle: origin.bundle, generation: origin.generation, configuration: configuration, seconds: seconds,
            request: request[...], answer: Array(answer)[...])
        let now = wallClock().multipliedReportingOverflow(by: 1000).partialValue
        let value = RemoteValue(
            kind: Self.kind, stamp: origin.user, madeAt: now, goodUntil: now &+ milliseconds,
            payload: shared.encoded[...])
        storing += 1
        client.set(key, value.encoded(for: key), timeToLive: life) { [self] failure in
            storing -= 1
            metrics.countShared(failure == nil ? .stored : .failed)
        }
    }

    /// The name of an answer: not who the user is, so that two of its answers do not stand side by side. The first half is the hash
    /// that shards keep answers under: whoever hears of the key knows which copy it is about.
    private func key(_ request: [UInt8], _ origin: AnswerOrigin) -> [UInt8] {
        let seed = [origin.bundle, origin.generation, configuration].reduce(0) { ($0 ^ $1) &* 0x9E37_79B9_7F4A_7C15 }
        let halves = request.withUnsafeBytes { (ResultCache.hash($0), XXH64.hash($0, seed: seed)) }
        return keys.key(Self.hexadecimal(halves.0) + Self.hexadecimal(halves.1))
    }

    private static func hexadecimal(_ word: UInt64) -> [UInt8] {
        (0..<16).map { place in
            let digit = UInt8(word >> UInt64(60 - 4 * place) & 15)
            return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        }
    }

    /// Says once when Redis cannot be used, and why, and once when it can be again.
    func tell() {
        guard let logger else { return }
        let pool = client.pool
        let (reads, writes) = (client.breakerState(writes: false), client.breakerState(writes: true))
        let isLost = pool.ready == 0 && pool.lastFailure != nil
        let isNowTroubled = isLost || reads != .closed || writes != .closed
        guard isNowTroubled != isTroubled else { return }
        isTroubled = isNowTroubled
        if isNowTroubled {
            logger.warning(
                "Redis cannot be used; answers are computed, and the node goes on trying",
                metadata: [
                    "redis.connections_ready": "\(pool.ready) of \(pool.connections)",
                    "redis.failure": "\(pool.lastFailure.map { "\($0)" } ?? "commands fail or take too long")",
                    "redis.reads": "\(reads)", "redis.writes": "\(writes)",
                ])
        } else {
            logger.notice("Redis can be used again")
        }
    }

    /// What metrics and the status page show.
    var reading: RedisReading {
        let (pool, statistics) = (client.pool, client.statistics)
        var reading = RedisReading()
        reading.commands = statistics.commands
        reading.failures = statistics.failures
        reading.connections = pool.connections
        reading.connectionsReady = pool.ready
        reading.inFlight = pool.inFlight
        reading.readBreaker = client.breakerState(writes: false).rawValue
        reading.writeBreaker = client.breakerState(writes: true).rawValue
        return reading
    }
}
