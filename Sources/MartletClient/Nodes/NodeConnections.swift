import NIOCore
import Synchronization
import Vocabulary
import Wire

/// The connections to one node: one for each shard once the node has said how many it has.
///
/// The choice between several nodes is `Cluster/`.
final class NodeConnections: Sendable {
    private struct Entry {
        let connection: NodeConnection
        var isReady = false
    }

    private struct State {
        /// By shard; the first is there from the start.
        var entries: [Entry] = []
        /// Connections of shards that the node has no more; they end by themselves.
        var retired: [NodeConnection] = []
        /// Known after the first welcome, when the node routes as this client does.
        var partitions: PartitionMap?
        var next = 0
        var isStopped = false
    }

    private let configuration: MartletClientConfiguration
    private let group: any EventLoopGroup
    private let state = Mutex(State())

    init(_ configuration: MartletClientConfiguration, group: any EventLoopGroup) {
        self.configuration = configuration
        self.group = group
        let first = makeConnection(shard: 0)
        state.withLock { $0.entries = [Entry(connection: first)] }
    }

    func submit(_ call: any AnyCall) {
        for item in 0..<call.count {
            let item = CallItem(call: call, item: item)
            guard let (connection, slot) = connection(for: call.slot(item.item)) else {
                item.fail(.shutDown)
                continue
            }
            connection.submit(item, isRouted: slot != nil)
        }
    }

    /// Nobody waits for the call any more: every connection that may have it is told.
    func cancel(_ call: any AnyCall) {
        let connections = state.withLock { state in state.entries.map(\.connection) + state.retired }
        for item in 0..<call.count {
            for connection in connections { connection.cancel(CallItem(call: call, item: item)) }
        }
    }

    /// The connection for a call about a user of `slot`, or for any other call.
    ///
    /// The shard's own if it is ready, else any that is ready, else the first, where the call waits or learns why
    /// the node cannot be reached. `nil` after `stop`.
    func connection(for slot: Slot?) -> (connection: NodeConnection, slot: Slot?)? {
        state.withLock { state in
            guard !state.isStopped else { return nil }
            let routed = state.partitions == nil ? nil : slot
            if let slot = routed, let partitions = state.partitions {
                let entry = state.entries[partitions.shard(of: slot) % state.entries.count]
                if entry.isReady { return (entry.connection, slot) }
            }
            for _ in state.entries.indices {
                state.next = (state.next + 1) % state.entries.count
                let entry = state.entries[state.next]
                if entry.isReady { return (entry.connection, routed) }
            }
            return (state.entries[0].connection, routed)
        }
    }

    /// Connects before the first call asks for it.
    func prepare() {
        state.withLock { $0.entries.first?.connection }?.prepare()
    }

    /// Connections that are ready for calls.
    var readyCount: Int { state.withLock { $0.entries.count { $0.isReady } } }

    /// Calls that wait to be sent.
    var queuedCount: Int { state.withLock { $0.entries.reduce(0) { $0 + $1.connection.queuedCount } } }

    /// Ends all connections; later calls get none.
    func stop(isAbrupt: Bool) -> [EventLoopFuture<Void>] {
        let connections = state.withLock { state in
            state.isStopped = true
            return state.entries.map(\.connection) + state.retired
        }
        return connections.map { $0.stop(.shutDown, isAbrupt: isAbrupt) }
    }

    private func makeConnection(shard: Int) -> NodeConnection {
        NodeConnection(configuration, shard: shard, eventLoop: group.next()) { [weak self] connection, event in
            self?.take(event, of: connection)
        }
    }

    private func take(_ event: NodeConnection.Event, of connection: NodeConnection) {
        switch event {
        case .lost: setReady(connection, false)
        case .ready(let welcome):
            setReady(connection, true)
            adapt(to: welcome)
        }
    }

    private func setReady(_ connection: NodeConnection, _ isReady: Bool) {
        state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.connection === connection }) else { return }
            state.entries[index].isReady = isReady
        }
    }

    /// Opens or retires connections until there is one for each shard of the node.
    private func adapt(to welcome: Welcome) {
        guard configuration.routesByShard, welcome.partitionMapVersion == PartitionMap.version else { return }
        let wanted = min(welcome.shardCount, configuration.connectionsMax)
        var added: [NodeConnection] = []
        var retired: [NodeConnection] = []
        state.withLock { state in
            guard !state.isStopped else { return }
            state.partitions = PartitionMap(shardCount: welcome.shardCount)
            while state.entries.count > wanted { retired.append(state.entries.removeLast().connection) }
            state.retired += retired
            while state.entries.count < wanted {
                let connection = makeConnection(shard: state.entries.count)
                state.entries.append(Entry(connection: connection))
                added.append(connection)
            }
        }
        for connection in added { connection.prepare() }
        for connection in retired {
            connection.stop(
                MartletClientError(.unavailable, "\(configuration.nodeName) has fewer shards now", retryIsSafe: true),
                isAbrupt: false
            ).whenComplete { [weak self] _ in
                self?.state.withLock { $0.retired.removeAll { $0 === connection } }
            }
        }
    }
}
