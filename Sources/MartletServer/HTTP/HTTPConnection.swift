import NIOCore
import NIOHTTP1

/// The request that is being received; shared by the two handlers of one connection, on one loop.
final class HTTPRequestProgress {
    var bytes = 0
    var hasHead = false
}

/// Stands before the HTTP decoder and keeps a request from growing without end.
final class HTTPRequestLimiter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let progress: HTTPRequestProgress
    private let bytesMax: Int
    private var isOver = false

    init(progress: HTTPRequestProgress, bytesMax: Int) {
        self.progress = progress
        self.bytesMax = bytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isOver { return }
        progress.bytes += unwrapInboundIn(data).readableBytes
        // What came up to here is decoded first: many small requests in one read are many requests, not a large one.
        context.fireChannelRead(data)
        guard progress.bytes > bytesMax else { return }
        isOver = true
        // Below the encoder, because HTTP's own handlers write no answer to a request whose head they have not seen.
        let status = progress.hasHead ? "413 Content Too Large" : "431 Request Header Fields Too Large"
        let text = "the request is larger than \(bytesMax) bytes\n"
        let answer =
            "HTTP/1.1 \(status)\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: \(text.utf8.count)\r\n"
            + "connection: close\r\n\r\n\(text)"
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer))).whenComplete { _ in
            channel.close(promise: nil)
        }
    }
}

/// One connection of the HTTP port: receives a request, answers it, waits for the next.
///
/// ```
/// idle --first part--> receiving --end--> answering --written--> idle
///   each state has its time; when that is over the connection is closed
/// ```
final class HTTPConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case receiving(HTTPRequestHead)
        case answering
        case closing
    }

    private let endpoints: HTTPEndpoints
    private let limits: HTTPPortLimits
    private let progress: HTTPRequestProgress
    private var state = State.idle
    private var timer: Scheduled<Void>?

    init(endpoints: HTTPEndpoints, limits: HTTPPortLimits, progress: HTTPRequestProgress) {
        self.endpoints = endpoints
        self.limits = limits
        self.progress = progress
    }

    func channelActive(context: ChannelHandlerContext) {
        // A connection that never says anything has the time of a request, not that of a pause between two.
        start(limits.requestTimeout, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (state, unwrapInboundIn(data)) {
        case (.idle, .head(let head)):
            state = .receiving(head)
            progress.hasHead = true
            start(limits.requestTimeout, context)
        case (.receiving(let head), .end):
            progress.bytes = 0
            progress.hasHead = false
            answer(endpoints.answer(head), to: head, keepAlive: head.isKeepAlive, context)
        case (.receiving, .body), (.closing, _):
            // No request here has a use for a body; its size is watched by the limiter.
            break
        case (.idle, _), (.receiving, .head), (.answering, _):
            // The pipeline's order makes this impossible; a connection that gets here has no meaning left.
            close(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // NIO's handler for protocol errors has answered 400 already where an answer was due.
        close(context)
    }

    private func answer(
        _ answer: HTTPAnswer, to head: HTTPRequestHead, keepAlive: Bool, _ context: ChannelHandlerContext
    ) {
        state = keepAlive ? .answering : .closing
        var headers = HTTPHeaders([
            ("content-type", answer.contentType), ("content-length", String(answer.body.count)),
            ("cache-control", "no-store"), ("connection", keepAlive ? "keep-alive" : "close"),
        ])
        if let allow = answer.allow { headers.add(name: "allow", value: allow) }
        let response = HTTPResponseHead(version: head.version, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        start(limits.responseTimeout, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { result in
            let (connection, context) = bound.value
            guard case .success = result, keepAlive else { return connection.close(context) }
            if case .answering = connection.state {
                connection.state = .idle
                connection.start(connection.limits.idleTimeout, context)
            }
        }
    }

    private func start(_ time: Duration, _ context: ChannelHandlerContext) {
        timer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TimeAmount(time)) {
            let (connection, context) = bound.value
            connection.close(context)
        }
    }

    private func close(_ context: ChannelHandlerContext) {
        state = .closing
        timer?.cancel()
        timer = nil
        context.close(promise: nil)
    }
}
