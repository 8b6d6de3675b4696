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
        keys = RemoteKeys(namespace: prefix, kind: "slate", version: 2)
        self.configuration = configuration
        self.timeout = timeout
        self.valueBytesMax = valueBytesMax
        self.metrics = metrics
        self.wallClock = wallClock
        client.observe = { metrics.recordRedisCommand(nanoseconds: $0) }
    }

    func start() { client.start() }
    func close() { client.close() }

    /// An answer that counts, and for how long.
    struct Found {
        var answer: ArraySlice<UInt8>
        var seconds: ClosedRange<Int64>
        var nanosecondsLeft: UInt64
    }

    /// Looks for the answer to a request; the completion is called once, on the loop, perhaps before this returns.
    func lookUp(_ request: [UInt8], _ origin: AnswerOrigin, completion: @escaping (Found?) -> Void) {
        let key = key(request, origin)
        client.get(key, timeout: timeout) { [self] result in
            guard case .success(let bytes) = result else {
                metrics.countShared(.noAnswer)
                return completion(nil)
            }
            switch open(bytes, key, request, origin) {
            case .success(let found):
                metrics.countSharedHit()
                completion(found)
            case .failure(let miss):
                metrics.countShared(miss.reason)
                completion(nil)
            }
        }
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

    /// The name of an answer: not who the user is, so that two of its answers do not stand side by side.
    private func key(_ request: [UInt8], _ origin: AnswerOrigin) -> [UInt8] {
        let seed = [origin.bundle, origin.generation, configuration].reduce(0) { ($0 ^ $1) &* 0x9E37_79B9_7F4A_7C15 }
        let halves = request.withUnsafeBytes { (XXH64.hash($0, seed: seed), XXH64.hash($0, seed: ~seed)) }
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
