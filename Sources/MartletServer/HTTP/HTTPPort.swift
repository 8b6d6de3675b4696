import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The node's port for machines that look after it: /metrics, /healthz, /readyz, /status.
///
/// It has one event loop of its own, so that a scrape never waits for a request and never delays one.
package final class HTTPPort: Sendable {
    /// Where it listens; the port is the real one when 0 was asked for.
    package let endpoint: SocketEndpoint

    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel
    private let accepted: Accepted

    /// The connections that are open, so that a stop can close them.
    private final class Accepted: Sendable {
        let channels = Mutex<[ObjectIdentifier: any Channel]>([:])
    }

    private init(
        endpoint: SocketEndpoint, group: MultiThreadedEventLoopGroup, channel: any Channel, accepted: Accepted
    ) {
        self.endpoint = endpoint
        self.group = group
        self.channel = channel
        self.accepted = accepted
    }

    /// Opens the port.
    ///
    /// - Throws: `ListenFailure`, with what to do about it.
    package static func open(
        at endpoint: SocketEndpoint, _ endpoints: HTTPEndpoints, limits: HTTPPortLimits = HTTPPortLimits(),
        logger: Logger
    ) async throws -> HTTPPort {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let accepted = Accepted()
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 128)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                let id = ObjectIdentifier(channel)
                let isWelcome = accepted.channels.withLock { channels in
                    guard channels.count < limits.connectionsMax else { return false }
                    channels[id] = channel
                    return true
                }
                guard isWelcome else {
                    logger.warning("The HTTP port is full", metadata: ["connections.max": "\(limits.connectionsMax)"])
                    return channel.close()
                }
                channel.closeFuture.whenComplete { _ in accepted.channels.withLock { $0[id] = nil } }
                return channel.eventLoop.makeCompletedFuture {
                    let progress = HTTPRequestProgress()
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTPRequestLimiter(progress: progress, bytesMax: limits.requestBytesMax))
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(HTTPConnection(endpoints: endpoints, limits: limits, progress: progress))
                }
            }
        do {
            let channel = try await bootstrap.bind(host: endpoint.host, port: endpoint.port).get()
            let port = channel.localAddress?.port ?? endpoint.port
            return HTTPPort(
                endpoint: SocketEndpoint(host: endpoint.host, port: port), group: group, channel: channel,
                accepted: accepted)
        } catch {
            try? await group.shutdownGracefully()
            throw ListenFailure(endpoint: endpoint, key: "http", underlying: error)
        }
    }

    /// Closes the port and every connection.
    package func close() async {
        try? await channel.close()
        for channel in accepted.channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
        // Nothing can be done about a loop that does not stop, and nothing depends on it.
        try? await group.shutdownGracefully()
    }

    /// Open connections.
    package var connectionCount: Int { accepted.channels.withLock { $0.count } }
}
