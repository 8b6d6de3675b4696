import NIOCore
import Synchronization
import Vocabulary
import Wire

/// Keeps one connection to a node alive and feeds it with calls. Belongs to its event loop; `NodeConnection` is the
/// door that other threads use.
final class ConnectionDriver: ChannelOwner {
    /// A call, and whether the node may be told its slot.
    typealias SubmittedItem = (item: CallItem, isRouted: Bool)

    private let configuration: MartletClientConfiguration
    private let eventLoop: any EventLoop
    /// The shard to land on; `nil`: any.
    private let shard: Int?
    private let arena = DecodeArena(bytesMax: DecodeArena.replyBytesMax)
    private var reconnection: Reconnection
    private var isAttempting = false
    private var handler: NodeChannelHandler?
    /// Connections that take no new calls and end with their last answer.
    private var draining: [NodeChannelHandler] = []
    private var waiting = CircularBuffer<SubmittedItem>()
    private var deadlines = DeadlineTimer()
    private var retry: Scheduled<Void>?
    private var lastFailure: MartletClientError?
    private var stopped: MartletClientError?
    private var stopPromise: EventLoopPromise<Void>?
    private let queueGauge: QueueGauge
    /// What the gauge counts for this driver; the rest of it is in the mailbox.
    private var gauged = 0
    private let report: (NodeConnection.Event) -> Void
    /// What the mailbox held last; kept for its memory.
    var inbox: [SubmittedItem] = []

    /// - Parameters:
    ///   - queueGauge: Shows how many calls wait here.
    ///   - report: Told of changes that concern the choice of connections.
    init(
        _ configuration: MartletClientConfiguration, shard: Int?, eventLoop: any EventLoop, queueGauge: QueueGauge,
        report: @escaping (NodeConnection.Event) -> Void
    ) {
        self.queueGauge = queueGauge
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.shard = shard
        self.report = report
        reconnection = Reconnection(delay: configuration.reconnectDelay, delayMax: configuration.reconnectDelayMax)
    }

    // MARK: Calls

    /// Takes the calls in `inbox`. Each ends, whatever happens.
    func takeInbox(cancelled: [CallItem]) {
        gauged += inbox.count
        var earliest: NIODeadline?
        for submitted in inbox where !submitted.item.isFinished {
            if let stopped {
                submitted.item.fail(stopped)
            } else if let refusal {
                submitted.item.fail(refusal)
            } else {
                waiting.append(submitted)
                if let deadline = submitted.item.call.deadline { earliest = min(earliest ?? deadline, deadline) }
            }
        }
        inbox.removeAll(keepingCapacity: true)
        var hasForgotten = false
        for item in cancelled {
            let id = UInt32(truncatingIfNeeded: item.call.mark(item.item))
            if id == 0 {
                hasForgotten = true
            } else {
                handler?.abandon(id, of: item)
                for old in draining { old.abandon(id, of: item) }
            }
        }
        if hasForgotten { waiting.removeAll { $0.item.isFinished } }
        for old in draining { old.flush() }
        act(reconnection.wanted())
        pump()
        if !waiting.isEmpty { armDeadlines(earliest) }
    }

    /// Takes off the gauge what is here no more.
    private func settleGauge() {
        if gauged != waiting.count { queueGauge.add(waiting.count - gauged) }
        gauged = waiting.count
    }

    /// Sends what can be sent.
    func pump() {
        defer { settleGauge() }
        guard let handler else { return }
        if !waiting.isEmpty {
            let now = NIODeadline.now()
            while handler.hasRoom, let (item, isRouted) = waiting.popFirst() {
                if item.isFinished { continue }
                if let deadline = item.call.deadline, deadline <= now {
                    item.fail(.deadlineExceeded("the call was still waiting to be sent", retryIsSafe: true))
                } else {
                    handler.send(item, isRouted: isRouted, now: now)
                }
            }
        }
        handler.flush()
    }

    /// Why a call cannot wait here; `nil` when it can.
    private var refusal: MartletClientError? {
        guard !configuration.waitsForNode, case .waiting(let until) = reconnection.state else { return nil }
        var error =
            lastFailure
            ?? MartletClientError(.unavailable, "\(configuration.nodeName) cannot be reached", retryIsSafe: true)
        error.retryIsSafe = true
        error.retryAfter = .nanoseconds(max(0, (until - .now()).nanoseconds))
        return error
    }

    private func failWaiting(_ error: MartletClientError) {
        let calls = waiting
        waiting.removeAll(keepingCapacity: true)
        for call in calls { call.item.fail(error) }
        settleGauge()
    }

    private func armDeadlines(_ deadline: NIODeadline?) {
        guard let deadline, deadlines.isLate(for: deadline) else { return }
        deadlines.arm(deadline, on: eventLoop) { [weak self] in self?.expireWaiting() }
    }

    private func expireWaiting() {
        deadlines.fired()
        let now = NIODeadline.now()
        var next: NIODeadline?
        for (item, _) in waiting {
            guard let deadline = item.call.deadline else { continue }
            if deadline <= now {
                let why = lastFailure.map { "; the last failure: \($0.message)" } ?? ""
                item.fail(
                    .deadlineExceeded(
                        "the call was still waiting to be sent to \(configuration.nodeName)\(why)", retryIsSafe: true)
                )
            } else {
                next = min(next ?? deadline, deadline)
            }
        }
        waiting.removeAll { $0.item.isFinished }
        settleGauge()
        armDeadlines(next)
    }

    // MARK: Connecting

    /// Connects now, if it has not begun to.
    func prepare() { act(reconnection.wanted()) }

    private func act(_ step: Reconnection.Step) {
        switch step {
        case .none: break
        case .connect: connect()
        case .wait(let until):
            retry = eventLoop.assumeIsolated().scheduleTask(deadline: until) { [weak self] in
                guard let self else { return }
                self.act(self.reconnection.delayPassed())
            }
        }
    }

    private func connect() {
        isAttempting = true
        NodeChannel.connect(configuration, eventLoop: eventLoop) { [weak self] in self?.attemptEnded($0) }
    }

    private func attemptEnded(_ result: Result<(any Channel, NodeChannelHandler), any Error>) {
        isAttempting = false
        switch result {
        case .failure(let error):
            lose(NodeChannel.failure(error, configuration), byGoaway: false)
        case .success((let channel, let handler)):
            guard stopped == nil else {
                channel.close(promise: nil)
                break
            }
            self.handler = handler
            handler.begin(
                Hello(
                    partitionMapVersion: configuration.routesByShard ? PartitionMap.version : 0,
                    shard: configuration.routesByShard ? shard : nil, clientName: configuration.clientName),
                owner: self, arena: arena)
        }
        finishStopping()
    }

    func channelWelcomed(_ handler: NodeChannelHandler, _ welcome: Welcome) {
        guard handler === self.handler else { return }
        if stopped != nil { return handler.drain() }
        reconnection.welcomed(at: .now())
        lastFailure = nil
        report(.ready(welcome))
        pump()
    }

    /// The node takes no more calls on this connection.
    func channelDrains(_ handler: NodeChannelHandler, _ reason: MartletClientError) {
        guard handler === self.handler else { return }
        self.handler = nil
        draining.append(handler)
        lose(reason, byGoaway: true)
    }

    /// Sends no attempts.
    func channelReplied(_: UInt64, _: FrameHeader, _: ByteBuffer, at: NIODeadline) {}

    func channelHasRoom(_: NodeChannelHandler) { pump() }

    func channelEnded(_ handler: NodeChannelHandler, _ reason: MartletClientError, lost: [UInt64]) {
        draining.removeAll { $0 === handler }
        if handler === self.handler {
            self.handler = nil
            lose(reason, byGoaway: false)
        }
        finishStopping()
    }

    private func lose(_ reason: MartletClientError, byGoaway: Bool) {
        guard stopped == nil else { return }
        lastFailure = reason
        report(.lost)
        let now = NIODeadline.now()
        let random = UInt64.random(in: 0...UInt64.max)
        let step =
            reconnection.state == .connecting
            ? reconnection.attemptFailed(at: now, random: random)
            : reconnection.lost(at: now, byGoaway: byGoaway, random: random)
        if let refusal { failWaiting(refusal) }
        act(step)
    }

    // MARK: The end

    /// Takes no more calls. `isAbrupt` fails those it has, else they end as they would have.
    func stop(_ reason: MartletClientError, isAbrupt: Bool, _ promise: EventLoopPromise<Void>?) {
        if let promise {
            if let earlier = stopPromise { earlier.futureResult.cascade(to: promise) } else { stopPromise = promise }
        }
        if stopped == nil {
            stopped = reason
            reconnection.stop()
            retry?.cancel()
            report(.lost)
            failWaiting(reason)
        }
        let all = draining + (handler.map { [$0] } ?? [])
        for handler in all {
            if isAbrupt { handler.close(reason) } else { handler.drain() }
        }
        finishStopping()
    }

    private func finishStopping() {
        guard stopped != nil, handler == nil, !isAttempting, draining.isEmpty else { return }
        deadlines.cancel()
        stopPromise?.succeed()
        stopPromise = nil
    }
}
