import NIOCore
import Vocabulary
import Wire

/// One TCP connection: handshake, calls out, replies in, cancels, pings, goaway. Belongs to its event loop.
///
/// ```
///  idle     -> greeting    chosen by the owner: `begin`
///  greeting -> open        welcome
///  open     -> draining    goaway: no more calls; closes when the last one is answered
///  any      -> closed
/// ```
/// Every call it took ends: answered, expired, or failed when the connection closes.
final class NodeChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase { case idle, greeting, open, draining, closed }

    private let configuration: MartletClientConfiguration
    private weak var owner: (any ChannelOwner)?
    private var phase = Phase.idle
    private var context: ChannelHandlerContext?
    private var decoder: FrameDecoder
    /// The owner's; there is none before `begin`.
    private var arena: DecodeArena?
    private var inFlight = InFlightCalls()
    private var callsInFlightMax = 1
    /// The node routes by slots as this client does; known after the welcome.
    private(set) var isRouted = false
    private var sentFrameBytesMax = FrameHeader.frameBytesMaxDefault
    private var outgoing = ByteBuffer()
    /// Empty; kept for its memory.
    private var spare = ByteBuffer()
    private var deadlines = DeadlineTimer()
    private var keepalive: Keepalive
    private var ticks: Scheduled<Void>?
    private var greetingTimer: Scheduled<Void>?
    private var closeReason: MartletClientError?

    /// Does nothing until `begin`: connecting to a name may try several addresses and give up all but one.
    init(_ configuration: MartletClientConfiguration) {
        self.configuration = configuration
        decoder = FrameDecoder(frameBytesMax: FrameHeader.frameBytesMaxDefault)
        keepalive = Keepalive(
            pingAfter: configuration.pingAfter, pingTimeout: configuration.pingTimeout, now: .now())
    }

    // MARK: Calls out

    /// Whether a call may be sent now.
    var hasRoom: Bool {
        phase == .open && closeReason == nil && inFlight.count < callsInFlightMax
            && (context?.channel.isWritable ?? false)
    }

    /// Attempts of a client of several nodes that wait for room here, in their order; the owner's to keep.
    var backlog = CircularBuffer<UInt64>()
    /// Something waits for `flush`; the owner's to keep.
    var isDirty = false

    /// Why a request cannot be sent here, ever; `nil`: it can.
    private func oversize(_ frameBytes: Int) -> MartletClientError? {
        guard frameBytes - 4 > sentFrameBytesMax else { return nil }
        return MartletClientError(
            .invalidArgument,
            "the request has \(frameBytes) bytes; \(configuration.nodeName) takes at most \(sentFrameBytesMax)")
    }

    /// Writes a call behind what waits for `flush`.
    func send(_ item: CallItem, isRouted: Bool, now: NIODeadline) {
        if let fault = oversize(item.call.frameBytes(item.item)) {
            item.fail(fault)
            return
        }
        let id = inFlight.add(item.call, item: item.item)
        item.call.setMark(item.item, UInt64(id))
        item.call.writeFrame(
            item.item, id: id, timeoutMicroseconds: item.call.timeoutMicroseconds(at: now), isRouted: isRouted,
            to: &outgoing)
        armDeadlines(item.call.deadline)
        // Lets the channel say that it has enough.
        if outgoing.readableBytes >= 64 << 10 { flush() }
    }

    /// Writes an attempt, whose time is the owner's to watch, behind what waits for `flush`.
    ///
    /// - Throws: `MartletClientError` with INVALID_ARGUMENT when it is too large for the node.
    /// - Returns: The id to `abandon` it by.
    func send(
        _ item: CallItem, attempt: UInt64, timeoutMicroseconds: UInt32
    ) throws(MartletClientError) -> UInt32 {
        if let fault = oversize(item.call.frameBytes(item.item)) { throw fault }
        let id = inFlight.add(nil, item: item.item, attempt: attempt)
        item.call.writeFrame(
            item.item, id: id, timeoutMicroseconds: timeoutMicroseconds, isRouted: isRouted, to: &outgoing)
        if outgoing.readableBytes >= 64 << 10 { flush() }
        return id
    }

    func flush() {
        guard outgoing.readableBytes > 0, let context else { return }
        // Taken out first: the write may report that the channel is writable, which sends more calls.
        var written = outgoing
        outgoing = spare
        spare = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(written), promise: nil)
        guard spare.capacity == 0, written.capacity <= 256 << 10 else { return }
        written.clear()
        spare = written
    }

    /// Nobody waits for the call any more.
    func abandon(_ id: UInt32, of item: CallItem) {
        abandon(inFlight.remove(id) { $0.call === item.call && $0.item == item.item })
    }

    /// Nobody waits for the attempt any more.
    func abandon(_ id: UInt32, attempt: UInt64) {
        abandon(inFlight.remove(id) { $0.attempt == attempt })
    }

    private func abandon(_ entry: InFlightCalls.Entry?) {
        guard let entry else { return }
        outgoing.writeHeader(.bare(.cancel, id: entry.id))
        closeIfDrained()
    }

    /// Lets the calls in flight end, then closes.
    func drain() {
        guard phase != .closed else { return }
        phase = .draining
        closeIfDrained()
    }

    /// Fails the calls in flight and closes.
    func close(_ reason: MartletClientError) {
        guard phase != .closed else { return }
        closeReason = closeReason ?? reason
        context?.close(promise: nil)
    }

    private func closeIfDrained() {
        if phase == .draining, inFlight.isEmpty {
            flush()
            close(
                MartletClientError(
                    .unavailable, "\(configuration.nodeName) takes no more calls here", retryIsSafe: true))
        }
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// The connection is made and wanted: says hello.
    func begin(_ hello: Hello, owner: any ChannelOwner, arena: DecodeArena) {
        self.owner = owner
        self.arena = arena
        guard phase == .idle, let context else {
            phase = .closed
            return owner.channelEnded(self, endedAtHello, lost: [])
        }
        phase = .greeting
        hello.writeFrame(FrameHeader(kind: .hello, bodyBytes: 0), to: &outgoing)
        flush()
        greetingTimer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.connectTimeout)) {
            [weak self] in
            guard let self else { return }
            self.close(
                MartletClientError(
                    .unavailable, "\(self.configuration.nodeName) did not answer the hello; is it a Martlet node?",
                    retryIsSafe: true))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard phase != .closed else { return }
        let wasGreeting = phase == .greeting
        phase = .closed
        self.context = nil
        deadlines.cancel()
        ticks?.cancel()
        greetingTimer?.cancel()
        let reason =
            closeReason
            ?? (wasGreeting
                ? endedAtHello
                : MartletClientError(
                    .unavailable, "\(configuration.nodeName) closed the connection before the answer came"))
        var lost: [UInt64] = []
        for entry in inFlight.removeAll() {
            if entry.attempt == 0 { entry.call?.fail(entry.item, reason) } else { lost.append(entry.attempt) }
        }
        owner?.channelEnded(self, reason, lost: lost)
    }

    private var endedAtHello: MartletClientError {
        MartletClientError(
            .unavailable, "\(configuration.nodeName) closed the connection at the hello", retryIsSafe: true)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(
            MartletClientError(
                .unavailable, "the connection to \(configuration.nodeName) broke: \(ConnectFailure.text(error))",
                retryIsSafe: phase == .greeting))
        context.close(promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { owner?.channelHasRoom(self) }
    }

    // MARK: Frames in

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = NIODeadline.now()
        keepalive.heard(at: now)
        decoder.feed(unwrapInboundIn(data))
        do throws(FrameError) {
            while phase != .closed, let frame = try decoder.next() { take(frame, at: now) }
        } catch {
            protocolFault("\(error)")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // A pong or a cancel may wait, and an answer has made room.
        owner?.channelHasRoom(self)
        flush()
    }

    private func take(_ frame: Frame, at now: NIODeadline) {
        guard let arena else { return protocolFault("it spoke before the hello") }
        switch frame.header.kind {
        case .welcome where phase == .greeting: welcome(frame.body, arena)
        case .goaway: goaway(frame.body, arena)
        case .ping: outgoing.writeHeader(.bare(.pong, id: frame.header.callID))
        case .pong, nil: break
        case .reply where phase != .greeting:
            // A reply to a call that was given up is nobody's any more.
            if let entry = inFlight.remove(frame.header.callID) {
                if entry.attempt == 0 {
                    entry.call?.complete(entry.item, frame.header, frame.body, arena: arena)
                } else {
                    owner?.channelReplied(entry.attempt, frame.header, frame.body, at: now)
                }
            }
            closeIfDrained()
        case .hello, .welcome, .call, .reply, .cancel:
            protocolFault("a frame of kind \(frame.header.rawKind) does not belong here")
        }
    }

    private func welcome(_ body: ByteBuffer, _ arena: DecodeArena) {
        guard let welcome = try? Welcome(decoding: body, arena: arena) else {
            return protocolFault("the welcome cannot be read")
        }
        guard welcome.protocolVersion == WireProtocol.version else {
            return protocolFault(
                "it speaks version \(welcome.protocolVersion), this client version \(WireProtocol.version)")
        }
        guard (1...Slot.count).contains(welcome.shardCount), welcome.shard < welcome.shardCount,
            welcome.frameBytesMax >= 64
        else {
            return protocolFault("the welcome contradicts itself: \(welcome)")
        }
        greetingTimer?.cancel()
        phase = .open
        callsInFlightMax = configuration.callsInFlightMax
        if welcome.callsInFlightMax > 0 { callsInFlightMax = min(callsInFlightMax, welcome.callsInFlightMax) }
        sentFrameBytesMax = welcome.frameBytesMax
        decoder.frameBytesMax = min(
            max(welcome.frameBytesMax, FrameHeader.frameBytesMaxDefault), configuration.frameBytesMax)
        isRouted = configuration.routesByShard && welcome.partitionMapVersion == PartitionMap.version
        scheduleTick()
        owner?.channelWelcomed(self, welcome)
    }

    private func goaway(_ body: ByteBuffer, _ arena: DecodeArena) {
        let reason = (try? Goaway(decoding: body, arena: arena))?.reason ?? ""
        let error = MartletClientError(
            .unavailable, "\(configuration.nodeName) said goaway: \(reason.isEmpty ? "no reason given" : reason)",
            retryIsSafe: phase == .greeting)
        switch phase {
        case .greeting: close(error)
        case .open:
            phase = .draining
            closeReason = error
            owner?.channelDrains(self, error)
            closeIfDrained()
        case .idle, .draining, .closed: break
        }
    }

    private func protocolFault(_ fault: String) {
        close(
            MartletClientError(
                .internal,
                "\(configuration.nodeName) does not speak Martlet's protocol as this client does: \(fault); is it the port"
                    + " of the node that is meant for calls (`listen`)?"))
    }

    // MARK: Time

    private func armDeadlines(_ deadline: NIODeadline?) {
        guard let deadline, deadlines.isLate(for: deadline), let eventLoop = context?.eventLoop else { return }
        deadlines.arm(deadline, on: eventLoop) { [weak self] in self?.expire() }
    }

    private func expire() {
        deadlines.fired()
        let (expired, next) = inFlight.removeExpired(at: .now())
        for entry in expired {
            outgoing.writeHeader(.bare(.cancel, id: entry.id))
            entry.call?.fail(
                entry.item,
                .deadlineExceeded("\(configuration.nodeName) has the call and did not answer", retryIsSafe: false))
        }
        armDeadlines(next)
        if !expired.isEmpty {
            closeIfDrained()
            owner?.channelHasRoom(self)
            flush()
        }
    }

    private func scheduleTick() {
        guard let eventLoop = context?.eventLoop else { return }
        ticks = eventLoop.assumeIsolated().scheduleTask(in: keepalive.tickEvery) { [weak self] in self?.tick() }
    }

    private func tick() {
        switch keepalive.tick(at: .now()) {
        case .nothing: break
        case .ping:
            outgoing.writeHeader(.bare(.ping, id: 0))
            flush()
        case .close:
            close(MartletClientError(.unavailable, "\(configuration.nodeName) is silent and did not answer a ping"))
            return
        }
        scheduleTick()
    }
}
