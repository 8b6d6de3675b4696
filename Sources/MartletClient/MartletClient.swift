import NIOCore
import NIOPosix
import Synchronization
import Vocabulary
import Wire

/// A client of one Martlet node: many calls at once on few connections, from any task.
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
/// Calls are not sent twice: `MartletClientError.retryIsSafe` says when the caller may.
public final class MartletClient: Sendable {
    public let configuration: MartletClientConfiguration
    private let node: NodeConnections
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
        node = NodeConnections(configuration, group: group)
    }

    deinit {
        guard !isShutDown.load(ordering: .relaxed) else { return }
        // Nobody can wait for a call any more, since a waiting call keeps the client alive.
        _ = node.stop(isAbrupt: true)
        ownGroup?.shutdownGracefully(queue: .global()) { _ in }
    }

    /// Begins to connect, so that the first call need not wait for it.
    public func connect() { node.prepare() }

    /// Connections that are ready now.
    public var readyConnections: Int { node.readyCount }

    /// Calls that wait to be sent: for a connection, or for others in flight to end.
    public var queuedCalls: Int { node.queuedCount }

    /// Ends the client. New calls fail; calls in flight may end within `grace`, then they fail with UNAVAILABLE.
    ///
    /// Returns when all connections are closed; called again, it returns at once.
    public func shutdown(grace: Duration = .zero) async {
        guard !isShutDown.exchange(true, ordering: .relaxed) else { return }
        if grace > .zero {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for end in self.node.stop(isAbrupt: false) { try? await end.get() }
                }
                group.addTask { try? await Task.sleep(for: grace) }
                await group.next()
                // What still runs is ended below, which also ends the waiting above.
                for end in node.stop(isAbrupt: true) { try? await end.get() }
                group.cancelAll()
            }
        } else {
            for end in node.stop(isAbrupt: true) { try? await end.get() }
        }
        try? await ownGroup?.shutdownGracefully()
    }

    /// Sends a call and waits for its outcome.
    func perform<Request: MessageBody, Reply: MessageBody>(
        _ method: Wire.Method, _ request: Request, user: String? = nil, options: CallOptions, _: Reply.Type = Reply.self
    ) async throws(MartletClientError) -> (reply: Reply, info: ReplyInfo) {
        guard let (connection, slot) = node.connection(for: user.map { Slot(user: $0) }) else {
            throw .shutDown
        }
        let deadline = (options.timeout ?? configuration.timeout).map { NIODeadline.now() + TimeAmount($0) }
        let call = Call<Request, Reply>(method, request, slot: slot, deadline: deadline, options: options)
        let outcome = await withTaskCancellationHandler {
            await call.outcome { connection.submit(call) }
        } onCancel: {
            if call.fail(.cancelled) { connection.cancel(call) }
        }
        return try outcome.get()
    }
}
