import LoadBalancing
import NIOCore
import Resilience
import Vocabulary
import Wire

/// The connections of one event loop to one node: one for each shard, once the node has said how many it has.
///
/// The first connection is made when the policy says so, and again when the last one is lost; the others follow as long as one
/// stands, each with delays of its own. The node is ready as long as one is. Belongs to its event loop.
final class NodeLink: ChannelOwner {
    private struct Shard {
        var handler: NodeChannelHandler?
        /// The node has answered the hello.
        var isReady = false
        /// From the attempt to connect until the welcome.
        var isAttempting = false
        var backoff: Backoff
        var retry: Scheduled<Void>?
    }

    let number: Int
    let node: ClusterNode
    private unowned let cluster: LoopCluster
    private let configuration: MartletClientConfiguration
    private let eventLoop: any EventLoop
    private let arena: DecodeArena
    private var shards: [Shard]
    /// Connections that take no new calls and end with their last answer.
    private var draining: [NodeChannelHandler] = []
    private var partitions: PartitionMap?
    private var next = 0
    private var isLeaving = false
    private(set) var readyCount = 0
    private(set) var lastFailure: MartletClientError?
    var counts = NodeCounts()

    init(
        _ node: ClusterNode, number: Int, _ configuration: MartletClientConfiguration, cluster: LoopCluster,
        eventLoop: any EventLoop, arena: DecodeArena
    ) {
        self.node = node
        self.number = number
        self.cluster = cluster
        self.eventLoop = eventLoop
        self.arena = arena
        var configuration = configuration
        configuration.host = node.host
        configuration.port = node.port
        self.configuration = configuration
        shards = [
            Shard(backoff: Backoff(first: configuration.reconnectDelay, maximum: configuration.reconnectDelayMax))
        ]
    }

    /// The connection for a call about a user of `slot`, or for any other call: the shard's own if it stands.
    func handler(for slot: Slot?) -> NodeChannelHandler? {
        if let slot, let partitions {
            let shard = shards[partitions.shard(of: slot) % shards.count]
            if shard.isReady { return shard.handler }
        }
        for _ in shards.indices {
            next = next + 1 < shards.count ? next + 1 : 0
            if shards[next].isReady { return shards[next].handler }
        }
        return nil
    }

    // MARK: Connecting

    /// Connects, as the policy wants it.
    func connect() {
        guard !isLeaving, readyCount == 0, !shards.contains(where: \.isAttempting) else { return }
        attempt(0)
    }

    private func attempt(_ shard: Int) {
        shards[shard].isAttempting = true
        shards[shard].retry?.cancel()
        shards[shard].retry = nil
        counts.connects += 1
        NodeChannel.connect(configuration, eventLoop: eventLoop) { [weak self] result in
            guard let self else {
                if case .success((let channel, _)) = result { channel.close(promise: nil) }
                return
            }
            switch result {
            case .failure(let error):
                self.attemptFailed(shard, NodeChannel.failure(error, self.configuration))
            case .success((let channel, let handler)):
                guard !self.isLeaving, shard < self.shards.count else {
                    if shard < self.shards.count { self.shards[shard].isAttempting = false }
                    channel.close(promise: nil)
                    return self.endIfEmpty()
                }
                self.shards[shard].handler = handler
                let isRouted = self.configuration.routesByShard
                handler.begin(
                    Hello(
                        partitionMapVersion: isRouted ? PartitionMap.version : 0, shard: isRouted ? shard : nil,
                        clientName: self.configuration.clientName), owner: self, arena: self.arena)
            }
        }
    }

    private func attemptFailed(_ shard: Int, _ reason: MartletClientError) {
        lastFailure = reason
        counts.connectFailures += 1
        guard shard < shards.count else { return endIfEmpty() }
        shards[shard].isAttempting = false
        shards[shard].handler = nil
        if isLeaving { return endIfEmpty() }
        if readyCount > 0 {
            attemptLater(shard)
        } else if !shards.contains(where: \.isAttempting) {
            cluster.connectionFailed(self)
        }
    }

    /// A connection beside others that stand.
    private func attemptLater(_ shard: Int) {
        var generator = SystemRandomNumberGenerator()
        let delay = shards[shard].backoff.next(using: &generator)
        shards[shard].retry = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(clamping: delay))) {
            [weak self] in
            guard let self, shard < self.shards.count else { return }
            // Fired: where no connection stands now, the next welcome finds that this one is missing.
            self.shards[shard].retry = nil
            guard !self.isLeaving, self.readyCount > 0, self.shards[shard].handler == nil,
                !self.shards[shard].isAttempting
            else { return }
            self.attempt(shard)
        }
    }

    func channelWelcomed(_ handler: NodeChannelHandler, _ welcome: Welcome) {
        guard let shard = shards.firstIndex(where: { $0.handler === handler }) else { return handler.drain() }
        shards[shard].isAttempting = false
        shards[shard].isReady = true
        shards[shard].backoff.reset()
        readyCount += 1
        adapt(to: welcome)
        if readyCount == 1 {
            lastFailure = nil
            cluster.connected(self)
        }
    }

    /// Opens or retires connections until there is one for each shard of the node.
    private func adapt(to welcome: Welcome) {
        guard configuration.routesByShard, welcome.partitionMapVersion == PartitionMap.version else { return }
        partitions = PartitionMap(shardCount: welcome.shardCount)
        let wanted = min(welcome.shardCount, configuration.connectionsMax)
        while shards.count > wanted {
            let shard = shards.removeLast()
            shard.retry?.cancel()
            if shard.isReady { readyCount -= 1 }
            if let handler = shard.handler {
                draining.append(handler)
                handler.drain()
            }
        }
        let backoff = Backoff(first: configuration.reconnectDelay, maximum: configuration.reconnectDelayMax)
        while shards.count < wanted { shards.append(Shard(backoff: backoff)) }
        for shard in shards.indices
        where shards[shard].handler == nil && !shards[shard].isAttempting && shards[shard].retry == nil {
            attempt(shard)
        }
    }

    // MARK: The end of a connection

    func channelDrains(_ handler: NodeChannelHandler, _ reason: MartletClientError) {
        guard let shard = shards.firstIndex(where: { $0.handler === handler }) else { return }
        draining.append(handler)
        counts.goaways += 1
        detach(shard, reason, isDrained: true)
        returnBacklog(of: handler)
        cluster.settle()
    }

    func channelEnded(_ handler: NodeChannelHandler, _ reason: MartletClientError, lost: [UInt64]) {
        draining.removeAll { $0 === handler }
        if let shard = shards.firstIndex(where: { $0.handler === handler }) {
            if shards[shard].isReady {
                detach(shard, reason, isDrained: false)
            } else {
                attemptFailed(shard, reason)
            }
        }
        returnBacklog(of: handler)
        for attempt in lost { cluster.attemptLost(attempt, reason) }
        cluster.settle()
        endIfEmpty()
    }

    /// A connection that stood takes calls no more.
    private func detach(_ shard: Int, _ reason: MartletClientError, isDrained: Bool) {
        shards[shard].handler = nil
        shards[shard].isReady = false
        readyCount -= 1
        lastFailure = reason
        guard !isLeaving else { return }
        if readyCount == 0 {
            counts.disconnects += 1
            cluster.disconnected(self, isDrained: isDrained)
        } else {
            attemptLater(shard)
        }
    }

    /// What waited for room goes elsewhere.
    private func returnBacklog(of handler: NodeChannelHandler) {
        let waiting = handler.backlog
        handler.backlog = CircularBuffer()
        for attempt in waiting { cluster.attemptNotSent(attempt) }
    }

    func channelReplied(_ attempt: UInt64, _ header: FrameHeader, _ body: ByteBuffer, at now: NIODeadline) {
        cluster.replied(attempt, header, body, at: now)
    }

    func channelHasRoom(_ handler: NodeChannelHandler) { cluster.hasRoom(handler) }

    /// Takes no more calls; those in flight end, or fail with `reason` if there is one.
    func leave(_ reason: MartletClientError? = nil) {
        isLeaving = true
        for shard in shards { shard.retry?.cancel() }
        for handler in shards.compactMap(\.handler) + draining {
            if let reason { handler.close(reason) } else { handler.drain() }
        }
        endIfEmpty()
    }

    private func endIfEmpty() {
        guard isLeaving, draining.isEmpty, !shards.contains(where: { $0.handler != nil || $0.isAttempting }) else {
            return
        }
        cluster.linkEnded(self)
    }
}
