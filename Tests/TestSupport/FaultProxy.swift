import NIOCore
import NIOPosix
import Synchronization

/// A TCP proxy on loopback that can be told to spoil what passes: what a network, a machine or a kernel does to connections.
///
/// Faults hold for what passes from then on, on connections that stand and on new ones, in both directions unless said.
package final class FaultProxy: Sendable {
    package struct Faults: Sendable, Equatable {
        /// Everything comes so much later, in its order.
        package var delay: Duration = .zero
        /// Bytes vanish; connections stay.
        package var isBlackHole = false
        /// Bytes a second in each direction of a connection; 0: no limit.
        package var bytesPerSecond = 0
        /// Connections end after so many bytes towards the client; nil: never.
        package var cutAfterBytes: Int?
        /// New connections are closed at once.
        package var refuses = false

        package init() {}
    }

    package let port: Int
    private let channel: any Channel
    private let shared: Shared

    fileprivate final class Shared: Sendable {
        let faults = Mutex(Faults())
        let peers = Mutex<[ObjectIdentifier: any Channel]>([:])
        let target: Int
        init(target: Int) { self.target = target }
    }

    private init(channel: any Channel, shared: Shared) {
        self.channel = channel
        self.shared = shared
        port = channel.localAddress?.port ?? 0
    }

    /// - Parameter target: A port of 127.0.0.1.
    package static func start(to target: Int) async throws -> FaultProxy {
        let shared = Shared(target: target)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                shared.peers.withLock { $0[ObjectIdentifier(client)] = client }
                client.closeFuture.whenComplete { _ in
                    _ = shared.peers.withLock { $0.removeValue(forKey: ObjectIdentifier(client)) }
                }
                if shared.faults.withLock({ $0.refuses }) { return client.close() }
                return ClientBootstrap(group: client.eventLoop)
                    .connect(host: "127.0.0.1", port: shared.target)
                    .flatMap { node in
                        client.closeFuture.whenComplete { _ in node.close(promise: nil) }
                        node.closeFuture.whenComplete { _ in client.close(promise: nil) }
                        return node.pipeline.addHandler(Pipe(to: client, shared, isToClient: true)).flatMap {
                            client.pipeline.addHandler(Pipe(to: node, shared, isToClient: false))
                        }
                    }
                    .flatMap { client.setOption(.autoRead, value: true) }
                    .flatMapError { _ in client.close() }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FaultProxy(channel: channel, shared: shared)
    }

    package func change(_ body: (inout Faults) -> Void) { shared.faults.withLock { body(&$0) } }

    /// Heals everything.
    package func heal() { change { $0 = Faults() } }

    package var connections: Int { shared.peers.withLock { $0.count } }

    /// Ends all connections with a reset.
    package func resetConnections() async {
        for peer in shared.peers.withLock({ Array($0.values) }) {
            try? await (peer as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
            try? await peer.close()
        }
    }

    package func stop() async {
        try? await channel.close()
        for peer in shared.peers.withLock({ Array($0.values) }) { try? await peer.close() }
    }
}

/// One direction of a connection.
private final class Pipe: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let shared: FaultProxy.Shared
    private let isToClient: Bool
    private struct Progress {
        /// When the last byte goes that was taken so far.
        var free = NIODeadline.uptimeNanoseconds(0)
        var bytes = 0
    }
    private let progress = Mutex(Progress())

    init(to other: any Channel, _ shared: FaultProxy.Shared, isToClient: Bool) {
        self.other = other
        self.shared = shared
        self.isToClient = isToClient
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        let faults = shared.faults.withLock { $0 }
        if faults.isBlackHole { return }
        let now = NIODeadline.now()
        let (at, bytes) = progress.withLock { progress -> (NIODeadline, Int) in
            progress.bytes += buffer.readableBytes
            var at = max(progress.free, now + TimeAmount(faults.delay))
            if faults.bytesPerSecond > 0 {
                at = at + .nanoseconds(Int64(buffer.readableBytes) * 1_000_000_000 / Int64(faults.bytesPerSecond))
            }
            // What was held back by earlier faults still goes first.
            progress.free = at
            return (at, progress.bytes)
        }
        let other = other
        let isCut = isToClient && faults.cutAfterBytes.map { bytes > $0 } == true
        guard at > now else {
            other.writeAndFlush(buffer, promise: nil)
            if isCut { other.close(promise: nil) }
            return
        }
        _ = context.eventLoop.scheduleTask(deadline: at) {
            // A hole swallows what is on its way, too.
            if self.shared.faults.withLock({ $0.isBlackHole }) { return }
            other.writeAndFlush(buffer, promise: nil)
            if isCut { other.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
