import NIOCore
import NIOPosix
import Wire

/// Who a connection belongs to; told of everything on the connection's event loop.
protocol ChannelOwner: AnyObject {
    /// The node has answered the hello.
    func channelWelcomed(_ handler: NodeChannelHandler, _ welcome: Welcome)
    /// The node takes no more calls on this connection; those in flight still end.
    func channelDrains(_ handler: NodeChannelHandler, _ reason: MartletClientError)
    /// - Parameter lost: Attempts without a reply. Calls that were sent without a number have been failed already.
    func channelEnded(_ handler: NodeChannelHandler, _ reason: MartletClientError, lost: [UInt64])
    /// Of an attempt.
    func channelReplied(_ attempt: UInt64, _ header: FrameHeader, _ body: ByteBuffer, at now: NIODeadline)
    /// There is room again, or an answer made some.
    func channelHasRoom(_ handler: NodeChannelHandler)
}

/// Makes connections.
enum NodeChannel {
    /// Connects; the handshake is begun by the owner.
    static func connect(
        _ configuration: MartletClientConfiguration, eventLoop: any EventLoop,
        _ ended: @escaping (Result<(any Channel, NodeChannelHandler), any Error>) -> Void
    ) {
        ClientBootstrap(group: eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelInitializer { [configuration] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NodeChannelHandler(configuration))
                }
            }
            .connect(host: configuration.host, port: configuration.port)
            .assumeIsolated()
            .flatMapThrowing { ($0, try $0.pipeline.syncOperations.handler(type: NodeChannelHandler.self)) }
            .whenComplete(ended)
    }

    /// Why there is no connection.
    static func failure(_ error: any Error, _ configuration: MartletClientConfiguration) -> MartletClientError {
        MartletClientError(
            .unavailable, "cannot connect to \(configuration.nodeName): \(ConnectFailure.text(error))",
            retryIsSafe: true)
    }
}
