import NIOCore
import NIOPosix
import Synchronization
import Vocabulary
import Wire

/// A client of one Martlet node or of several: many calls at once on few connections, from any task.
///
/// ```swift
/// let client = try MartletClient(MartletClientConfiguration(host: "10.0.0.7"))
/// let slate = try await client.recommend(RecommendRequest(user: "196", k: 20))
/// await client.shutdown()
/// ```
///
/// Connects at the first call, opens one connection for each shard of the node and sends a call about a user where the
/// user lives. A lost connection is made again with growing, randomised delays; meanwhile calls fail at once with
/// UNAVAILABLE unless the configuration says that they wait. Calls end within their timeout in any case, and at once
/// when their task is cancelled; the node is told.
///
/// To one node a call is sent once: `MartletClientError.retryIsSafe` says when the caller may send it again.
///
/// ```swift
/// var configuration = MartletClientConfiguration(nodes: .list(try ClusterNode.list(parsing: "10.0.0.7:7400,10.0.0.8:7400")))
/// ```
/// Of several nodes, a call goes to the owner of its user; reads that are late or fail go to another node as well, and nodes
/// that fail or are slow are left alone for a while: docs/cluster-client.md.
public final class MartletClient: Sendable {
    /// Where calls go.
    enum Route {
        case node(NodeConnections)
        case cluster(ClusterRouter)
    }

    public let configuration: MartletClientConfiguration
    let route: Route
    private let ownGroup: MultiThreadedEventLoopGroup?
    private let isShutDown = Atomic<Bool>(false)

    /// - Parameter eventLoopGroup: Runs the connections; `nil`: a thread of the client's own, which ends at `shutdown`.
    /// - Throws: `MartletClientError` with INVALID_ARGUMENT when the configuration is not sound.
    public init(
        _ configuration: MartletClientConfiguration, eventLoopGroup: (any EventLoopGroup)? = nil
    ) throws(MartletClientError) {
        try configuration.validate()
        self.configuration = configuration
        ownGroup = eventLoopGroup == nil ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
        let group: any EventLoopGroup = eventLoopGroup ?? ownGroup ?? MultiThreadedEventLoopGroup.singleton
        if let nodes = configuration.nodes {
            route = .cluster(ClusterRouter(configuration, nodes, group: group))
        } else {
            route = .node(NodeConnections(configuration, group: group))
        }
    }

    deinit {
        guard !isShutDown.load(ordering: .relaxed) else { return }
        // Nobody can wait for a call any more, since a waiting call keeps the client alive.
        _ = stop(isAbrupt: true)
        ownGroup?.shutdownGracefully(queue: .global()) { _ in }
    }

    /// Begins to connect, so that the first call need not wait for it.
    public func connect() {
        switch route {
        case .node(let node): node.prepare()
        case .cluster(let cluster): cluster.start()
        }
    }

    /// Connections that are ready now. Of several nodes `snapshot` knows them.
    public var readyConnections: Int {
        switch route {
        case .node(let node): node.readyCount
        case .cluster: 0
        }
    }

    /// Calls that wait to be sent: for a connection, or for others in flight to end.
    public var queuedCalls: Int {
        switch route {
        case .node(let node): node.queuedCount
        case .cluster(let cluster): cluster.loops.reduce(0) { $0 + $1.queuedCount }
        }
    }

    /// Says which nodes there are, in place of the configured source. Nodes that stay keep their connections and their calls;
    /// calls at those that go end as they would have. Has no effect on a client of one node.
    public func setNodes(_ nodes: [ClusterNode]) {
        if case .cluster(let cluster) = route { cluster.takeOver(nodes) }
    }

    private func stop(isAbrupt: Bool) -> [EventLoopFuture<Void>] {
        switch route {
        case .node(let node): node.stop(isAbrupt: isAbrupt)
        case .cluster(let cluster): cluster.stop(isAbrupt: isAbrupt)
        }
    }

    /// Ends the client. New calls fail; calls in flight may end within `grace`, then they fail with UNAVAILABLE.
    ///
    /// Returns when all connections are closed; called again, it returns at once.
    public func shutdown(grace: Duration = .zero) async {
        guard !isShutDown.exchange(true, ordering: .relaxed) else { return }
        if grace > .zero {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for end in self.stop(isAbrupt: false) { try? await end.get() }
                }
                group.addTask { try? await Task.sleep(for: grace) }
                await group.next()
                // What still runs is ended below, which also ends the waiting above.
                for end in stop(isAbrupt: true) { try? await end.get() }
                group.cancelAll()
            }
        } else {
            for end in stop(isAbrupt: true) { try? await end.get() }
        }
        if case .cluster(let cluster) = route { cluster.close() }
        try? await ownGroup?.shutdownGracefully()
    }

    /// Sends a call and waits for its outcome.
    func perform<Request: MessageBody, Reply: MessageBody>(
        _ method: Wire.Method, _ request: Request, user: String? = nil, options: CallOptions, _: Reply.Type = Reply.self
    ) async throws(MartletClientError) -> (reply: Reply, info: ReplyInfo) {
        let slot = user.map { Slot(user: $0) }
        let call = Call<Request, Reply>(method, request, slot: slot, deadline: deadline(options), options: options)
        let outcome: Call<Request, Reply>.Outcome
        switch route {
        case .node(let node):
            outcome = await withTaskCancellationHandler {
                await call.outcome { node.submit(call) }
            } onCancel: {
                if call.fail(0, .cancelled) { node.cancel(call) }
            }
        case .cluster(let cluster):
            let loop = cluster.loop()
            outcome = await withTaskCancellationHandler {
                await call.outcome { loop.submit(call) }
            } onCancel: {
                if call.fail(0, .cancelled) { loop.cancel(call) }
            }
        }
        return try outcome.get()
    }

    /// Sends calls and waits for the outcomes of all of them, once.
    func performEach<Request: MessageBody, Reply: MessageBody>(
        _ method: Wire.Method, _ requests: [Request], slots: [Slot?], options: CallOptions, _: Reply.Type = Reply.self
    ) async -> [Result<Reply, MartletClientError>] {
        guard !requests.isEmpty else { return [] }
        let batch = CallBatch<Request, Reply>(
            method, requests, slots: slots, deadline: deadline(options), options: options)
        switch route {
        case .node(let node):
            return await withTaskCancellationHandler {
                await batch.outcomes { node.submit(batch) }
            } onCancel: {
                batch.failAll(.cancelled)
                node.cancel(batch)
            }
        case .cluster(let cluster):
            let loop = cluster.loop()
            return await withTaskCancellationHandler {
                await batch.outcomes { loop.submit(batch) }
            } onCancel: {
                batch.failAll(.cancelled)
                loop.cancel(batch)
            }
        }
    }

    private func deadline(_ options: CallOptions) -> NIODeadline? {
        (options.timeout ?? configuration.timeout).map { NIODeadline.now() + TimeAmount($0) }
    }
}
