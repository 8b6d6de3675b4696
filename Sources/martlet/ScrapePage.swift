import Foundation
import NIOCore
import NIOPosix

/// One page of a node's HTTP port, read whole.
enum ScrapePage {
    static let bytesMax = 4 << 20

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Asks with HTTP/1.0, so that the answer ends with the connection.
    static func get(_ path: String, host: String, port: Int, timeout: TimeAmount) async throws -> String {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = eventLoop.makePromise(of: ByteBuffer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: eventLoop)
                .connectTimeout(timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Reader(promise))
                    }
                }
                .connect(host: host, port: port).get()
        } catch {
            promise.fail(error)
            throw Failure(description: "cannot connect")
        }
        let end = eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
        defer { end.cancel() }
        channel.writeAndFlush(
            ByteBuffer(string: "GET \(path) HTTP/1.0\r\nHost: \(host)\r\nAccept: text/plain\r\n\r\n"), promise: nil)
        let bytes = try await promise.futureResult.get()
        let text = String(buffer: bytes)
        guard let head = text.range(of: "\r\n\r\n") else { throw Failure(description: "no answer") }
        let status = text.prefix { $0 != "\r\n" && $0 != "\r" && $0 != "\n" }
        guard status.split(separator: " ").dropFirst().first == "200" else {
            throw Failure(description: String(status))
        }
        return String(text[head.upperBound...])
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var bytes = ByteBuffer()
        private var promise: EventLoopPromise<ByteBuffer>?

        init(_ promise: EventLoopPromise<ByteBuffer>) { self.promise = promise }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = unwrapInboundIn(data)
            bytes.writeBuffer(&part)
            if bytes.readableBytes > ScrapePage.bytesMax { context.close(promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { finish() }
        func handlerRemoved(context: ChannelHandlerContext) { finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func finish() {
            promise?.succeed(bytes)
            promise = nil
        }
    }
}
