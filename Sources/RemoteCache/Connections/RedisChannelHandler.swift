import NIOCore

/// Commands out, replies in, on one channel.
///
/// Everything that is sent in one turn of the event loop goes out in one write. Belongs to its event loop.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private(set) var pipeline: Pipeline
    private let reader: ReplyReader
    private var context: ChannelHandlerContext?
    private var out = ByteBuffer()
    private var flushIsDue = false
    private var isReading = false
    private(set) var failure: RedisFailure?
    /// When the last reply came, or the first command after an idle time was sent.
    private(set) var lastSign: UInt64 = 0
    /// Where messages without a command of their own go (of a subscription).
    var pushed: ((RedisReply) -> Bool)?
    /// Told once, when the channel is gone.
    var lost: ((RedisFailure) -> Void)?

    init(_ configuration: RedisConfiguration) {
        pipeline = Pipeline(countMax: configuration.pipelineMax, bytesMax: configuration.pipelineBytesMax)
        reader = ReplyReader(limits: configuration.replyLimits)
    }

    var isActive: Bool { context != nil && failure == nil }

    /// Sends a command. The completion is called once, on the event loop, never before this returns, unless the command is not sent.
    func send(
        _ command: [UInt8], deadline: UInt64, now: UInt64, completion: Pipeline.Completion?
    ) {
        guard let context, failure == nil else {
            completion?(.failure(failure ?? .closed))
            return
        }
        guard pipeline.hasRoom(for: command.count) else {
            completion?(.failure(.overloaded))
            return
        }
        if pipeline.isEmpty { lastSign = now }
        pipeline.add(bytes: command.count, deadline: deadline, completion: completion)
        out.writeBytes(command)
        if !flushIsDue && !isReading {
            flushIsDue = true
            context.eventLoop.assumeIsolated().execute { self.flush() }
        }
    }

    /// Tells callers whose time is over.
    func expire(at now: UInt64) {
        for completion in pipeline.expire(at: now) { completion(.failure(.timeout)) }
    }

    func close(_ failure: RedisFailure) {
        guard self.failure == nil else { return }
        self.failure = failure
        for completion in pipeline.removeAll() { completion(.failure(failure)) }
        context?.close(promise: nil)
    }

    private func flush() {
        flushIsDue = false
        guard let context, out.readableBytes > 0, failure == nil else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        // A large batch does not keep its memory.
        if out.capacity > 1 << 20 { out = ByteBuffer() } else { out.clear() }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        guard failure == nil else { return }
        isReading = true
        lastSign = NIODeadline.now().uptimeNanoseconds
        let fault = reader.read(&buffer) { reply in
            if let pushed, pushed(reply) { return failure == nil }
            guard let entry = pipeline.takeFirst() else {
                close(.garbage(.malformed("a reply without a command")))
                return false
            }
            entry.completion?(.success(reply))
            return failure == nil
        }
        isReading = false
        if let fault { close(.garbage(fault)) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        close(.closed)
        let lost = self.lost
        self.lost = nil
        pushed = nil
        lost?(failure ?? .closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(.closed)
        context.close(promise: nil)
    }
}
