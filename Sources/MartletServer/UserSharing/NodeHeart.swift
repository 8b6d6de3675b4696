import NIOCore
import RemoteCache
import SharedUsers
import Synchronization

/// Says several times a second that the node is there and what it has not written yet, and hears the same of others.
///
/// Belongs to the first loop, whose client it uses; what it hears goes to all loops.
final class NodeHeart {
    private let client: RedisClient
    private let keys: SharingKeys
    private let node: String
    private let loop: any EventLoop
    private var sharings: [UserSharing] = []
    private var task: RepeatedTask?
    private var isBeating = false
    private var hasBeaten = false
    private var isLeaving = false

    init(_ client: RedisClient, keys: SharingKeys, node: String, loop: any EventLoop) {
        self.client = client
        self.keys = keys
        self.node = node
        self.loop = loop
    }

    /// On the loop; `sharings` of all loops, this one's first.
    func start(_ sharings: [UserSharing]) {
        self.sharings = sharings
        task = loop.scheduleRepeatedTask(
            initialDelay: .zero, delay: .milliseconds(Int64(SharingSettings.beatMilliseconds))
        ) { [weak self] _ in self?.beat() }
    }

    func stop() {
        task?.cancel()
        task = nil
        sharings = []
    }

    private func beat(completion: ((Bool) -> Void)? = nil) {
        guard completion != nil || (!isBeating && !isLeaving) else { return }
        isBeating = true
        let unwritten = sharings.reduce(0) { $0 + $1.unwrittenCount.load(ordering: .relaxed) }
        let words = [node, "\(unwritten)", isLeaving ? "leaving" : "up"]
        client.run(
            SharingScripts.beat, keys: [keys.nodes], words.map { Array($0.utf8) }, isWrite: true,
            timeout: .milliseconds(500)
        ) { [weak self] result in
            guard let self else { return }
            isBeating = false
            guard case .success(let reply) = result, let parts = reply.array, parts.count == 3,
                let now = parts[0].integer, let wasKnown = parts[1].integer, let nodes = parts[2].array
            else {
                completion?(false)
                return
            }
            var beats: [String: NodeBeat] = [:]
            for place in stride(from: 0, to: nodes.count - 1, by: 2) {
                if let name = nodes[place].text, let text = nodes[place + 1].text { beats[name] = NodeBeat(text) }
            }
            let heard = HeardBeats(beats: beats, redisTime: UInt64(clamping: now), uptime: LoopWorker.now)
            // Redis has lost what it had: a node that was there is not.
            let isEmptied = hasBeaten && wasKnown == 0
            hasBeaten = true
            for sharing in sharings { sharing.loop.execute { sharing.hear(heard, isEmptied: isEmptied) } }
            completion?(true)
        }
    }

    /// Says goodbye; the last beat.
    func leave() -> EventLoopFuture<Bool> {
        isLeaving = true
        let promise = loop.makePromise(of: Bool.self)
        beat { promise.succeed($0) }
        return promise.futureResult
    }
}

/// Touched on its loop alone.
extension NodeHeart: @unchecked Sendable {}

/// The beats of all nodes, and when they were heard.
struct HeardBeats: Sendable {
    var beats: [String: NodeBeat] = [:]
    /// Milliseconds since 1970.
    var redisTime: UInt64 = 0
    var uptime: UInt64 = 0

    /// By the clock of Redis.
    func now(_ uptime: UInt64) -> UInt64 { redisTime &+ (uptime &- self.uptime) / 1_000_000 }
}
