import NIOCore
import Synchronization
import Vocabulary
import Wire

/// One connection to a node, usable from any thread: calls go into a mailbox that the event loop empties in one go.
final class NodeConnection: Sendable {
    /// What the choice of connections needs to know.
    enum Event {
        case ready(Welcome)
        case lost
    }

    private struct Mailbox {
        var calls: [ConnectionDriver.SubmittedItem] = []
        var cancelled: [CallItem] = []
        var isDrainScheduled = false
    }

    let eventLoop: any EventLoop
    private let nodeName: String
    private let callsQueuedMax: Int
    private let mailbox = Mutex(Mailbox())
    private let queueGauge = QueueGauge()
    private let driver: NIOLoopBoundBox<ConnectionDriver?>

    /// - Parameter report: Called on the event loop.
    init(
        _ configuration: MartletClientConfiguration, shard: Int?, eventLoop: any EventLoop,
        report: @escaping @Sendable (NodeConnection, Event) -> Void
    ) {
        self.eventLoop = eventLoop
        nodeName = configuration.nodeName
        callsQueuedMax = configuration.callsQueuedMax
        driver = NIOLoopBoundBox.makeEmptyBox(valueType: ConnectionDriver.self, eventLoop: eventLoop)
        // Runs before anything that is submitted later.
        eventLoop.execute {
            self.driver.value = ConnectionDriver(
                configuration, shard: shard, eventLoop: eventLoop, queueGauge: self.queueGauge
            ) { [weak self] event in
                if let self { report(self, event) }
            }
        }
    }

    /// Hands a call over. When too many wait already, it fails at once.
    func submit(_ item: CallItem, isRouted: Bool) {
        enum Step { case refuse(Int), schedule, nothing }
        let step = mailbox.withLock { mailbox -> Step in
            let queued = queueGauge.load()
            guard queued < callsQueuedMax else { return .refuse(queued) }
            queueGauge.add(1)
            mailbox.calls.append((item, isRouted))
            if mailbox.isDrainScheduled { return .nothing }
            mailbox.isDrainScheduled = true
            return .schedule
        }
        switch step {
        case .refuse(let queued):
            item.fail(
                MartletClientError(
                    .resourceExhausted, "\(queued) calls wait to be sent to \(nodeName), the configured maximum",
                    retryIsSafe: true))
        case .schedule: eventLoop.execute { self.drain() }
        case .nothing: break
        }
    }

    /// Calls that wait to be sent.
    var queuedCount: Int { queueGauge.load() }

    /// Nobody waits for the call any more.
    func cancel(_ item: CallItem) {
        let isFirst = mailbox.withLock { mailbox -> Bool in
            mailbox.cancelled.append(item)
            defer { mailbox.isDrainScheduled = true }
            return !mailbox.isDrainScheduled
        }
        if isFirst { eventLoop.execute { self.drain() } }
    }

    /// Connects before the first call asks for it.
    func prepare() { eventLoop.execute { self.driver.value?.prepare() } }

    /// Ends the connection; see `ConnectionDriver.stop`.
    func stop(_ reason: MartletClientError, isAbrupt: Bool) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            self.drain()
            if let driver = self.driver.value {
                driver.stop(reason, isAbrupt: isAbrupt, promise)
            } else {
                promise.succeed()
            }
        }
        return promise.futureResult
    }

    private func drain() {
        guard let driver = driver.value else { return }
        var cancelled: [CallItem] = []
        mailbox.withLock { mailbox in
            mailbox.isDrainScheduled = false
            swap(&mailbox.calls, &driver.inbox)
            swap(&mailbox.cancelled, &cancelled)
        }
        driver.takeInbox(cancelled: cancelled)
    }
}

/// How many calls wait for a connection, in its mailbox and in its driver. Readable from any thread; grows only under
/// the mailbox's lock, so that its maximum holds exactly.
final class QueueGauge: Sendable {
    private let count = Atomic<Int>(0)
    func load() -> Int { count.load(ordering: .relaxed) }
    func add(_ change: Int) { count.add(change, ordering: .relaxed) }
}
