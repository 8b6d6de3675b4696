import LoadBalancing
import NIOCore
import Vocabulary
import Wire

/// The cluster as one event loop sees it: does what its policy says, with connections of its own. Belongs to its event loop;
/// `ClusterLoop` is the door that other threads use.
///
/// Every event ends with `settle`, which does what the policy asked for, writes what waits and sets the timer. Actions may lead
/// to further ones (a connection turns out to be closed while it is written to): those join the end of the list.
final class LoopCluster {
    /// One sending of a call.
    struct Sent {
        /// 0: there is none, or it is over.
        var attempt: UInt64 = 0
        var node = -1
        var kind = Sending.Kind.first
        /// What the connection calls it; 0: it waits for room.
        var id: UInt32 = 0
        var handler: NodeChannelHandler?
        /// On the policy's clock.
        var deadline = UInt64.max
        var sentAt: UInt64 = 0
    }

    /// A call under way, in the place that the policy has given it.
    struct Entry {
        /// 0: the place is free.
        var call: UInt64 = 0
        var item: CallItem?
        var first = Sent()
        var second = Sent()
        var isProbe = false
        /// A sending that failed may have begun its work.
        var mayHaveBegun = false
        /// What the last sending failed with.
        var fault: MartletClientError?
        var tried: [MartletClientError.Attempt] = []
    }

    let configuration: MartletClientConfiguration
    let eventLoop: any EventLoop
    let arena = DecodeArena(bytesMax: DecodeArena.replyBytesMax)
    var policy: ClusterPolicy
    var actions: [ClusterAction] = []
    private(set) var isActing = false
    /// By the policy's numbers.
    var links: [NodeLink?] = []
    /// Links of nodes that are no more, until their connections are closed.
    var leaving: [NodeLink] = []
    var entries: [Entry] = []
    /// Calls for which no node was ready yet.
    var waiting = CircularBuffer<CallItem>()
    var waitingDeadlines = DeadlineTimer()
    /// Attempts that wait for room on a connection.
    var backlogged = 0
    private var dirty: [NodeChannelHandler] = []
    private var timer = DeadlineTimer()
    /// Of the event that is being handled, on the policy's clock.
    var now: UInt64
    /// The reply that is being handled, for the end of its call.
    var reply: (attempt: UInt64, header: FrameHeader, body: ByteBuffer)?
    var counts = ClientCounts()
    var hasNodes = false
    /// Why it is not known which nodes there are.
    var resolutionFault: MartletClientError?
    var nodesLeftOut = 0
    var stopped: MartletClientError?
    private var stopPromise: EventLoopPromise<Void>?
    private let queueGauge: QueueGauge
    private var gauged = 0
    /// Told that a node could not be reached.
    private let trouble: @Sendable () -> Void

    init(
        _ configuration: MartletClientConfiguration, eventLoop: any EventLoop, seed: UInt64, queueGauge: QueueGauge,
        trouble: @escaping @Sendable () -> Void
    ) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.queueGauge = queueGauge
        self.trouble = trouble
        now = NIODeadline.now().uptimeNanoseconds
        policy = ClusterPolicy(configuration.balancing.policy(of: configuration), seed: seed, at: now)
    }

    func nodeIsAway() { trouble() }

    /// Moves on; never back.
    func tick(to time: NIODeadline = .now()) { now = max(now, time.uptimeNanoseconds) }

    // MARK: Doing what the policy says

    /// Ends the handling of an event.
    func settle() {
        guard !isActing else { return }
        isActing = true
        var place = 0
        while place < actions.count {
            perform(actions[place])
            place += 1
        }
        actions.removeAll(keepingCapacity: true)
        isActing = false
        var written = 0
        // A write may report an end, which adds to both lists.
        while written < dirty.count {
            dirty[written].isDirty = false
            dirty[written].flush()
            written += 1
        }
        dirty.removeAll(keepingCapacity: true)
        if !actions.isEmpty { return settle() }
        armTimer()
        settleGauge()
        finishStopping()
    }

    private func perform(_ action: ClusterAction) {
        switch action {
        case .send(let sending, let original): resend(sending, of: original)
        case .cancel(let attempt, _): takeBack(attempt)
        case .end(let call, let end): finish(call, end)
        case .connect(let node): links[node]?.connect()
        case .disconnect(let node):
            guard let link = links[node] else { return }
            links[node] = nil
            leaving.append(link)
            link.leave()
        case .ejected(let node, _, _): links[node]?.counts.ejections += 1
        case .restored(let node): links[node]?.counts.restored += 1
        }
    }

    private func armTimer() {
        let next = policy.nextTimer
        guard next != .max else { return }
        let deadline = NIODeadline.uptimeNanoseconds(min(next, UInt64(Int64.max)))
        guard timer.isLate(for: deadline) else { return }
        timer.arm(deadline, on: eventLoop) { [weak self] in
            guard let self else { return }
            self.timer.fired()
            self.tick()
            self.policy.timer(self.now, into: &self.actions)
            self.settle()
        }
    }

    func markDirty(_ handler: NodeChannelHandler) {
        guard !handler.isDirty else { return }
        handler.isDirty = true
        dirty.append(handler)
    }

    /// The gauge counts what waits here and in the mailbox.
    func gauge(taken: Int) { gauged += taken }

    private func settleGauge() {
        let waits = waiting.count + backlogged
        if gauged != waits { queueGauge.add(waits - gauged) }
        gauged = waits
    }

    // MARK: The end

    /// Takes no more calls. `isAbrupt` fails those it has, else they end as they would have.
    func stop(_ reason: MartletClientError, isAbrupt: Bool, _ promise: EventLoopPromise<Void>) {
        tick()
        if let earlier = stopPromise { earlier.futureResult.cascade(to: promise) } else { stopPromise = promise }
        stopped = reason
        failWaiting(reason)
        if isAbrupt {
            for entry in entries where entry.call != 0 && !entry.isProbe {
                policy.cancel(CallID(raw: entry.call), at: now, into: &actions)
            }
        }
        settle()
        if isAbrupt { closeLinks(reason) }
        finishStopping()
    }

    private func closeLinks(_ reason: MartletClientError?) {
        let all = links.compactMap(\.self) + leaving
        leaving = all
        for place in links.indices { links[place] = nil }
        for link in all { link.leave(reason) }
    }

    func linkEnded(_ link: NodeLink) {
        leaving.removeAll { $0 === link }
        finishStopping()
    }

    private func finishStopping() {
        guard stopped != nil, let promise = stopPromise, !entries.contains(where: { $0.call != 0 && !$0.isProbe })
        else { return }
        if links.contains(where: { $0 != nil }) { closeLinks(nil) }
        guard leaving.isEmpty, stopPromise != nil else { return }
        timer.cancel()
        waitingDeadlines.cancel()
        stopPromise = nil
        promise.succeed()
    }
}
