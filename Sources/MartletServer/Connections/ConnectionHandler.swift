import NIOCore
import Serving
import Telemetry
import Vocabulary
import Wire

/// One connection after its hello: frames in, replies out, on one event loop.
///
/// ```
///  open      -> draining (the node goes away; calls in flight end) -> closed
///  open      -> closed   (the peer left, broke the protocol, or kept us waiting)
/// ```
/// A result-cache hit is answered inside `channelRead`; everything else becomes a `CallTicket` and waits for a shard.
/// Replies collect in one buffer and are written once for each read. While the peer does not take its replies, nothing
/// more is read from it.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Calls that were on the wire when the goaway went out are served; this long after it, none is.
    private static let drainGraceNanoseconds: UInt64 = 1_000_000_000

    let worker: LoopWorker
    private var node: NodeContext { worker.node }
    private var context: ChannelHandlerContext?
    /// The start of a frame whose rest has not arrived.
    private var partial = ByteBuffer()
    private var partialSince: UInt64 = 0
    private var unwritableSince: UInt64 = 0
    private var lastRead: UInt64 = 0
    private var outgoing: ByteBuffer?
    private var inFlight: [UInt32: CallTicket] = [:]
    private var isClosing = false
    /// When the peer was told to send no more calls; 0: it was not.
    private var drainingSince: UInt64 = 0
    private var isDraining: Bool { drainingSince != 0 }
    /// Between a read and its completion replies need no mark: the completion writes them.
    private var isReading = false
    private var hasDirtyMark = false
    /// Bytes that came behind the hello.
    private var early: ByteBuffer

    init(worker: LoopWorker, early: ByteBuffer) {
        self.worker = worker
        self.early = early
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelActive(context: ChannelHandlerContext) {
        worker.add(self)
        lastRead = LoopWorker.now
        append(node.welcome(shard: worker.index), header: FrameHeader(kind: .welcome, bodyBytes: 0))
        if node.state.isDraining { drain() }
        if early.readableBytes > 0 {
            let bytes = early
            early = ByteBuffer()
            take(bytes)
        }
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        for ticket in inFlight.values { ticket.cancel() }
        if !inFlight.isEmpty { node.state.callsEnded(inFlight.count) }
        inFlight.removeAll()
        _ = worker.holdPartial(-partial.readableBytes)
        partial = ByteBuffer()
        worker.remove(self)
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Resets and timeouts of the peer; the connection is of no more use.
        context.close(promise: nil)
    }

    /// Tells the peer to send no more calls; those in flight end.
    func drain() {
        guard !isDraining, !isClosing else { return }
        drainingSince = LoopWorker.now
        append(Goaway(reason: "the node is shutting down"), header: FrameHeader(kind: .goaway, bodyBytes: 0))
        flush()
    }

    /// Closes once what was written is out.
    func close() {
        guard !isClosing, let context else { return }
        isClosing = true
        flush()
        context.close(promise: nil)
    }

    /// Closes a connection that sent half a frame, or does not take its replies, for too long.
    func closeIfStuck(_ now: UInt64) {
        if partialSince != 0, now &- partialSince > node.limits.partialFrameNanosecondsMax {
            worker.metrics.countConnectionRefused(.idleTimeout)
            fail("a frame was begun and not finished in time")
        } else if unwritableSince != 0, now &- unwritableSince > node.limits.unwritableNanosecondsMax {
            worker.metrics.countConnectionRefused(.slowReader)
            isClosing = true
            context?.close(promise: nil)
        } else if node.limits.idleNanosecondsMax > 0, inFlight.isEmpty,
            now &- lastRead > node.limits.idleNanosecondsMax
        {
            worker.metrics.countConnectionRefused(.idleTimeout)
            fail("no frame came for too long")
        }
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        take(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
    }

    /// Stops asking for more while the peer does not read what it has asked for.
    func read(context: ChannelHandlerContext) {
        if unwritableSince == 0 { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            if unwritableSince != 0 {
                unwritableSince = 0
                context.read()
            }
        } else if unwritableSince == 0 {
            unwritableSince = LoopWorker.now
        }
    }

    private func take(_ incoming: ByteBuffer) {
        guard !isClosing else { return }
        if partial.readableBytes == 0 {
            let consumed = incoming.withUnsafeReadableBytes { scan($0) }
            keepRest(of: incoming, from: consumed)
        } else {
            // Taken out of the handler while its frames are served: one of them may end the connection, and then the
            // handler lets go of what it holds before this returns.
            var held = partial
            partial = ByteBuffer()
            _ = worker.holdPartial(-held.readableBytes)
            held.writeImmutableBuffer(incoming)
            let consumed = held.withUnsafeReadableBytes { scan($0) }
            held.moveReaderIndex(forwardBy: consumed)
            if isClosing || held.readableBytes == 0 {
                partialSince = 0
            } else {
                if consumed > 0 {
                    held.discardReadBytes()
                    partialSince = LoopWorker.now
                }
                partial = held
            }
        }
        if !worker.holdPartial(partial.readableBytes) {
            fail("the node holds too many unfinished frames; try again later")
        }
    }

    private func keepRest(of incoming: ByteBuffer, from consumed: Int) {
        let rest = incoming.readableBytes - consumed
        if rest > 0, !isClosing {
            // A copy of its own, so that the receive buffer stays free for the next read.
            partial = node.allocator.buffer(capacity: rest)
            partial.writeImmutableBuffer(
                incoming.getSlice(at: incoming.readerIndex + consumed, length: rest) ?? ByteBuffer())
            partialSince = LoopWorker.now
        } else {
            partialSince = 0
        }
    }

    /// Serves the whole frames in `bytes`.
    ///
    /// - Returns: Bytes of whole frames.
    private func scan(_ bytes: UnsafeRawBufferPointer) -> Int {
        let now = LoopWorker.now
        lastRead = now
        worker.helping.countWork(now)
        // All of these live on this loop, as the shard does: nothing is shared by entering it.
        nonisolated(unsafe) let connection = self
        nonisolated(unsafe) var scanner = FrameScanner(bytes, frameBytesMax: node.limits.frameBytesMax)
        nonisolated(unsafe) var hits = HitBatch(started: now)
        do {
            // The shard is entered once for all frames of a read.
            try worker.shard.assumeIsolated { shard in
                while !connection.isClosing, let frame = try scanner.next() {
                    connection.serve(frame, now, shard, &hits)
                }
            }
        } catch {
            let fault = error as? FrameError
            worker.metrics.countBadFrame(fault?.counted ?? .malformedHeader)
            fail("\(error)")
        }
        hits.record(worker)
        return scanner.consumed
    }

    private func serve(_ frame: FrameView, _ now: UInt64, _ shard: isolated Shard, _ hits: inout HitBatch) {
        switch frame.header.kind {
        case .call:
            if frame.header.code == Wire.Method.recommend.rawValue {
                recommend(frame, now, shard, &hits)
            } else {
                CallRouter.serve(frame, now, self)
            }
        case .cancel:
            inFlight[frame.header.callID]?.cancel()
        case .ping:
            appendBare(.pong, id: frame.header.callID)
        case .pong, .goaway:
            // A client's goaway says that it will send no more calls; there is nothing to do.
            break
        case .hello, .welcome, .reply:
            worker.metrics.countBadFrame(.kind)
            fail("a frame of kind \(frame.header.rawKind) is not for a node to receive here")
        case nil:
            worker.metrics.countBadFrame(.kind)
            reject(
                frame.header.callID,
                Rejection(.unimplemented, "frames of kind \(frame.header.rawKind) are not known to this node"))
        }
    }

    /// The hot path: a hit costs a hash, a comparison and a copy.
    private func recommend(_ frame: FrameView, _ now: UInt64, _ shard: isolated Shard, _ hits: inout HitBatch) {
        let header = frame.header
        let isBypassed = header.callFlags.contains(.bypassCache)
        if !isBypassed, header.slotOrLoad == FrameHeader.noSlot || node.shard(ofRaw: header.slotOrLoad) == worker.index,
            let answer = shard.answer(to: frame.body, now: now)
        {
            hits.add(scenario: Int(answer.tag), isStale: answer.isStale, worker)
            let suffix = worker.suffix(
                of: answer.body, by: answer.generation, scenario: Int(answer.tag), request: frame.body,
                own: RequestIDExtension.read(frame))
            appendReply(
                id: header.callID, status: .ok, flags: answer.flags, microseconds: 0,
                load: worker.loadHint(shard.depth), body: answer.body, suffix: suffix)
            if answer.wantsRefresh { worker.refilling.add(stale: Array(frame.body)) }
            return
        }
        RecommendCalls.serveMiss(frame, now, isBypassed: isBypassed, self)
    }

    // MARK: Calls in flight

    /// Registers a call that cannot be answered at once, unless there are too many or its ID is taken.
    ///
    /// - Parameter evenWhenDraining: For calls that ask how the node is.
    func open(_ ticket: CallTicket, evenWhenDraining: Bool = false) -> Bool {
        if isDraining, !evenWhenDraining, ticket.arrived > drainingSince &+ Self.drainGraceNanoseconds {
            reject(
                ticket.callID, method: ticket.method,
                Rejection(.draining, "the node is shutting down", retryIsSafe: true, retryAfterMilliseconds: 0))
            return false
        }
        if inFlight.count >= node.limits.callsInFlightMax {
            reject(
                ticket.callID, method: ticket.method,
                Rejection(
                    .tooManyInFlight, "\(inFlight.count) calls are in flight on this connection, its maximum",
                    retryIsSafe: true, retryAfterMilliseconds: 10))
            return false
        }
        if inFlight[ticket.callID] != nil {
            reject(
                ticket.callID, method: ticket.method,
                Rejection(.invalidArgument, "call id \(ticket.callID) is in flight already on this connection"))
            return false
        }
        inFlight[ticket.callID] = ticket
        node.state.callsBegan(1)
        return true
    }

    /// Answers a call in flight.
    func reply(
        to ticket: CallTicket, status: StatusCode, flags: ReplyFlags, microseconds: UInt32, load: UInt16,
        body: UnsafeRawBufferPointer, suffix: [UInt8] = []
    ) {
        guard inFlight[ticket.callID] === ticket else { return }
        inFlight[ticket.callID] = nil
        node.state.callsEnded(1)
        if ticket.isCancelled { worker.metrics.countCancelled() }
        appendReply(
            id: ticket.callID, status: status, flags: flags, microseconds: microseconds, load: load, body: body,
            suffix: suffix)
    }

    /// Answers a call that was turned away before it was registered.
    func reject(_ callID: UInt32, method: Wire.Method? = nil, _ rejection: Rejection) {
        worker.metrics.countRejected(rejection.reason)
        worker.metrics.countRequest(method.counted, rejection.reason.code)
        let (status, flags) = worker.encoder.encode(.rejected(rejection))
        worker.encoder.withBody {
            appendReply(id: callID, status: status, flags: flags, microseconds: 0, load: 0, body: $0)
        }
    }

    // MARK: Writing

    /// - Parameter suffix: Further fields, behind the body.
    private func appendReply(
        id: UInt32, status: StatusCode, flags: ReplyFlags, microseconds: UInt32, load: UInt16,
        body: UnsafeRawBufferPointer, suffix: [UInt8] = []
    ) {
        let header = FrameHeader.reply(
            status, id: id, flags: flags, serverMicroseconds: microseconds, loadHint: load,
            bodyBytes: body.count + suffix.count)
        // The encoder lets no larger answer out, and the cache keeps what it encoded.
        assert(Int(header.length) <= node.limits.frameBytesMax, "a reply of \(header.length) bytes")
        withOutgoing {
            $0.writeWithUnsafeMutableBytes(minimumWritableBytes: header.frameBytes) { target in
                guard let base = target.baseAddress else { return 0 }
                header.write(into: base)
                if let source = body.baseAddress {
                    (base + FrameHeader.byteCount).copyMemory(from: source, byteCount: body.count)
                }
                if !suffix.isEmpty {
                    suffix.withUnsafeBytes { bytes in
                        guard let source = bytes.baseAddress else { return }
                        (base + FrameHeader.byteCount + body.count).copyMemory(from: source, byteCount: bytes.count)
                    }
                }
                return header.frameBytes
            }
        }
    }

    private func append<Body: MessageBody>(_ body: Body, header: FrameHeader) {
        withOutgoing { body.writeFrame(header, to: &$0) }
    }

    private func appendBare(_ kind: FrameKind, id: UInt32) {
        withOutgoing { $0.writeHeader(.bare(kind, id: id)) }
    }

    private func withOutgoing(_ body: (inout ByteBuffer) -> Void) {
        guard context != nil else { return }
        if outgoing == nil {
            outgoing = worker.takeBuffer()
            if !isReading, !hasDirtyMark {
                hasDirtyMark = true
                worker.markDirty(self)
            }
        }
        if outgoing != nil { body(&outgoing!) }
    }

    /// Writes the replies collected so far with one system call.
    func flush() {
        hasDirtyMark = false
        guard var buffer = outgoing.take() else { return }
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        // Written out whole, as a rule, and then held here alone: clearing keeps its memory.
        buffer.clear()
        worker.giveBack(buffer)
    }

    /// The stream can no longer be followed, or the peer broke a rule: says so and closes.
    private func fail(_ reason: String) {
        guard !isClosing else { return }
        worker.metrics.countConnectionRefused(.protocolError)
        append(Goaway(reason: reason), header: FrameHeader(kind: .goaway, bodyBytes: 0))
        close()
    }
}

/// The result-cache hits of one read: they are counted together, with the time of the whole batch.
struct HitBatch {
    let started: UInt64
    private var count = 0
    private var stale = 0
    private var scenario = 0

    init(started: UInt64) { self.started = started }

    @inline(__always)
    mutating func add(scenario: Int, isStale: Bool, _ worker: LoopWorker) {
        if scenario != self.scenario {
            record(worker)
            count = 0
            stale = 0
            self.scenario = scenario
        }
        count += 1
        if isStale { stale += 1 }
    }

    func record(_ worker: LoopWorker) {
        guard count > 0 else { return }
        worker.metrics.countHits(count, scenario: scenario, nanoseconds: LoopWorker.now &- started, stale: stale)
    }
}
