import Glibc
import Logging
import NIOCore
import NIOPosix
import Serving
import Telemetry
import Vocabulary
import Wire

/// Takes new connections, reads their hello, and gives each to the loop it asked for.
///
/// A socket cannot change loops once it is registered, so the acceptor reads the hello on its own small loop,
/// duplicates the descriptor, and registers the duplicate on the loop of the shard.
final class Acceptor {
    private let node: NodeContext
    private let logger: Logger
    private let group: any EventLoopGroup
    private var listener: (any Channel)?
    private var nextWorker = 0

    init(node: NodeContext, group: any EventLoopGroup, logger: Logger) {
        self.node = node
        self.group = group
        self.logger = logger
    }

    /// Listens; the address may have port 0.
    ///
    /// - Throws: `IOError` when the address cannot be bound.
    func start(_ endpoint: SocketEndpoint) async throws -> SocketAddress? {
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1024))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(HelloHandler(self))
                }
            }
            .bind(host: endpoint.host, port: endpoint.port).get()
        self.listener = listener
        return listener.localAddress
    }

    /// Takes no further connections.
    func stop() async {
        try? await listener?.close()
    }

    /// On the acceptor's loop: which loop a hello gets.
    fileprivate func choose(_ hello: Hello) -> LoopWorker {
        if let shard = hello.shard, shard < node.shardCount { return node.workers[shard] }
        nextWorker = (nextWorker + 1) % node.shardCount
        return node.workers[nextWorker]
    }

    /// On the acceptor's loop: registers a duplicate of the socket on the worker's loop.
    fileprivate func hand(_ descriptor: CInt, to worker: LoopWorker, early: ByteBuffer) {
        let node = node
        let logger = logger
        let unwritten = node.limits.unwrittenBytesMax
        ClientBootstrap(group: worker.eventLoop)
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 512, maximum: 65536)
            )
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(
                .writeBufferWaterMark, value: .init(low: max(1, min(32 << 10, unwritten / 2)), high: max(2, unwritten))
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(worker: worker, early: early))
                }
            }
            .withConnectedSocket(descriptor)
            .whenComplete { result in
                switch result {
                case .success(let channel): channel.closeFuture.whenComplete { _ in node.state.connectionClosed() }
                case .failure(let error):
                    node.state.connectionClosed()
                    logger.debug("connection lost at its start", metadata: ["error": "\(error)"])
                }
            }
    }

    /// A connection before its hello.
    private final class HelloHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private static let helloBytesMax = 4 << 10
        private let acceptor: Acceptor
        private var received = ByteBuffer()
        private var timeout: Scheduled<Void>?
        private var isCounted = false
        private var isDone = false

        init(_ acceptor: Acceptor) { self.acceptor = acceptor }

        private var node: NodeContext { acceptor.node }
        private var metrics: NodeMetrics { node.metrics }

        func channelActive(context: ChannelHandlerContext) {
            guard node.state.memoryLevel < .full else {
                metrics.countConnectionRefusedAtAccept(.memory)
                isDone = true
                refuse(context, "the node is short of memory")
                return
            }
            guard node.state.connectionOpened(max: node.limits.connectionsMax) else {
                metrics.countConnectionRefusedAtAccept(.connectionLimit)
                isDone = true
                refuse(context, "the node has \(node.limits.connectionsMax) connections, its maximum")
                return
            }
            isCounted = true
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            timeout = context.eventLoop.scheduleTask(in: TimeAmount(node.limits.handshakeTimeout)) {
                let (handler, context) = bound.value
                guard !handler.isDone else { return }
                handler.isDone = true
                handler.metrics.countConnectionRefusedAtAccept(.handshakeTimeout)
                handler.refuse(context, "no hello came in time")
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !isDone else { return }
            var bytes = unwrapInboundIn(data)
            received.writeBuffer(&bytes)
            do {
                guard let (hello, consumed) = try readHello() else { return }
                isDone = true
                timeout?.cancel()
                if let fault = fault(of: hello) {
                    metrics.countConnectionRefusedAtAccept(.protocolError)
                    refuse(context, fault)
                    return
                }
                received.moveReaderIndex(forwardBy: consumed)
                handOver(context, hello)
            } catch {
                isDone = true
                timeout?.cancel()
                let early = (error as? HelloFault) == .notHello
                metrics.countBadFrameAtAccept(
                    early ? .beforeHello : (error as? FrameError)?.counted ?? .malformedHeader)
                refuse(context, "\(error)")
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            timeout?.cancel()
            if isCounted { node.state.connectionClosed() }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private enum HelloFault: Error, CustomStringConvertible {
            case notHello
            case undecodable

            var description: String {
                switch self {
                case .notHello: "the first frame of a connection must be a hello"
                case .undecodable: "the hello's body is not a Hello message"
                }
            }
        }

        private func readHello() throws -> (Hello, consumed: Int)? {
            try received.withUnsafeReadableBytes { bytes in
                var scanner = FrameScanner(bytes, frameBytesMax: Self.helloBytesMax)
                if bytes.count > 5, FrameKind(rawValue: bytes[5]) != .hello { throw HelloFault.notHello }
                guard let frame = try scanner.next() else { return nil }
                do throws(MessageFault) {
                    return (try Hello(decoding: frame.body, arena: DecodeArena()), scanner.consumed)
                } catch {
                    throw HelloFault.undecodable
                }
            }
        }

        private func fault(of hello: Hello) -> String? {
            if hello.protocolVersion != WireProtocol.version {
                return "protocol version \(hello.protocolVersion) is not spoken here; use \(WireProtocol.version)"
            }
            if hello.partitionMapVersion != 0, hello.partitionMapVersion != PartitionMap.version {
                return
                    "partition map version \(hello.partitionMapVersion) is not used here; use \(PartitionMap.version)"
            }
            return nil
        }

        private func handOver(_ context: ChannelHandlerContext, _ hello: Hello) {
            let original = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { $0 }
            // A process out of descriptors gets -1 here.
            let duplicate = original.flatMap { $0 }.map { fcntl($0, F_DUPFD_CLOEXEC, 0) } ?? -1
            guard duplicate >= 0 else {
                metrics.countConnectionRefusedAtAccept(.connectionLimit)
                context.close(promise: nil)
                return
            }
            isCounted = false
            context.close(promise: nil)
            acceptor.hand(duplicate, to: acceptor.choose(hello), early: received)
        }

        private func refuse(_ context: ChannelHandlerContext, _ reason: String) {
            var buffer = context.channel.allocator.buffer(capacity: 128)
            Goaway(reason: reason).writeFrame(FrameHeader(kind: .goaway, bodyBytes: 0), to: &buffer)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            context.close(promise: nil)
        }
    }
}

/// Mutable state is touched on the acceptor's loop alone.
extension Acceptor: @unchecked Sendable {}
