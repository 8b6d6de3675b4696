import Glibc
import LiveState
import NIOCore
import RemoteCache
import SharedUsers
import Vocabulary

/// The sharing of users of a whole node: one part for each loop, and the heart that beats for all.
final class SharedUsersOfNode {
    private let sharings: [UserSharing]
    private let heart: NodeHeart
    let node: String

    /// Gives each worker its part; nil where users are not shared.
    ///
    /// - Throws: `RedisSetupFailure`, for a person.
    init?(
        _ configuration: ServerConfiguration, _ redis: RedisConfiguration?, _ workers: [LoopWorker], types: EventTypes
    ) throws {
        guard configuration.redis.shareUsers else { return nil }
        guard var redis, let first = workers.first else {
            throw RedisSetupFailure(description: "redis.share_users is true, and no redis.url is set")
        }
        // Whoever comes back is to be used within two seconds.
        redis.reconnectMaximum = .seconds(1)
        var breaker = RedisClient.breakerDefaults
        breaker.openMaximum = .milliseconds(500)
        breaker.probeTimeout = .seconds(1)
        let name = configuration.redis.node ?? Self.defaultName(configuration.listen.port)
        node = "\(name)|\(String(UInt64.random(in: 0...(.max)), radix: 16))"
        var settings = SharingSettings(name: name, node: node)
        settings.wait = configuration.redis.userWait
        settings.bounds.bytesMax = configuration.redis.userBytes
        settings.bounds.historyMax = configuration.events.historyMax
        settings.bounds.shownMax = configuration.events.shownMax
        settings.hasLog = configuration.events.directory != nil
        settings.unwrittenMax = max(1, settings.unwrittenMax / workers.count)
        let seenAge = UInt64(clamping: configuration.events.seenAge.components.seconds)
        settings.life = seenAge == 0 ? 0 : (min(seenAge, 100 * 365 * 86_400) + 86_400) * 1000
        let keys = SharingKeys(prefix: configuration.redis.prefix)
        sharings = workers.map { worker in
            UserSharing(
                settings, client: RedisClient(redis, breaker: breaker, loop: worker.eventLoop), keys: keys,
                worker: worker, isOnlyShown: { name in types.code(named: name).map { types.isOnlyShown($0) } ?? false })
        }
        heart = NodeHeart(sharings[0].client, keys: keys, node: node, loop: first.eventLoop)
        for (worker, sharing) in zip(workers, sharings) { worker.userSharing = sharing }
    }

    private static func defaultName(_ port: Int) -> String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "martlet:\(port)" }
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "\(name):\(port)"
    }

    /// Begins to beat, and waits for the first word of the others, at most a second.
    func start() async {
        sharings[0].loop.execute { [self] in heart.start(sharings) }
        for _ in 0..<100 {
            var isHeard = true
            for sharing in sharings where isHeard {
                isHeard = (try? await sharing.loop.submit { sharing.heardAt != 0 }.get()) ?? true
            }
            if isHeard { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Writes what is left to be written, at most so long, and says goodbye.
    func leave(atMost patience: Duration) async {
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end, sharings.contains(where: { $0.unwrittenCount.load(ordering: .relaxed) > 0 }) {
            try? await Task.sleep(for: .milliseconds(20))
        }
        _ = try? await sharings[0].loop.flatSubmit { [heart] in heart.leave() }.get()
    }

    func stop() async {
        _ = try? await sharings[0].loop.submit { [heart] in heart.stop() }.get()
    }
}

/// Each part is touched on its loop alone.
extension SharedUsersOfNode: @unchecked Sendable {}
