import NIOCore
import Synchronization
import Wire

/// One event loop's cluster, usable from any thread: calls go into a mailbox that the event loop empties in one go.
final class ClusterLoop: Sendable {
    private struct Mailbox {
        var calls: [any AnyCall] = []
        var cancelled: [any AnyCall] = []
        var isDrainScheduled = false
        /// The event loop may be gone.
        var isStopped = false
        /// Nothing is to be said to the event loop any more.
        var isClosed = false
    }

    let eventLoop: any EventLoop
    private let callsQueuedMax: Int
    private let mailbox = Mutex(Mailbox())
    private let queueGauge = QueueGauge()
    private let cluster: NIOLoopBoundBox<LoopCluster?>

    init(
        _ configuration: MartletClientConfiguration, eventLoop: any EventLoop, seed: UInt64,
        trouble: @escaping @Sendable () -> Void
    ) {
        self.eventLoop = eventLoop
        callsQueuedMax = configuration.callsQueuedMax
        cluster = NIOLoopBoundBox.makeEmptyBox(valueType: LoopCluster.self, eventLoop: eventLoop)
        // Runs before anything that is submitted later.
        eventLoop.execute {
            self.cluster.value = LoopCluster(
                configuration, eventLoop: eventLoop, seed: seed, queueGauge: self.queueGauge, trouble: trouble)
        }
    }

    /// Calls that wait to be sent.
    var queuedCount: Int { queueGauge.load() }

    /// Hands a call over. When too many wait already, all of it fails at once.
    func submit(_ call: any AnyCall) {
        enum Step { case refuse(Int), stopped, schedule, nothing }
        let step = mailbox.withLock { mailbox -> Step in
            if mailbox.isStopped { return .stopped }
            let queued = queueGauge.load()
            guard queued + call.count <= callsQueuedMax else { return .refuse(queued) }
            queueGauge.add(call.count)
            mailbox.calls.append(call)
            if mailbox.isDrainScheduled { return .nothing }
            mailbox.isDrainScheduled = true
            return .schedule
        }
        switch step {
        case .refuse(let queued):
            call.failAll(
                MartletClientError(
                    .resourceExhausted, "\(queued) calls wait to be sent; \(callsQueuedMax) may", retryIsSafe: true))
        case .stopped: call.failAll(.shutDown)
        case .schedule: eventLoop.execute { self.drain() }
        case .nothing: break
        }
    }

    /// Nobody waits for the call any more.
    func cancel(_ call: any AnyCall) {
        let isFirst = mailbox.withLock { mailbox -> Bool in
            // Every call ends with the client.
            guard !mailbox.isClosed else { return false }
            mailbox.cancelled.append(call)
            defer { mailbox.isDrainScheduled = true }
            return !mailbox.isDrainScheduled
        }
        if isFirst { eventLoop.execute { self.drain() } }
    }

    /// Runs `body` with the cluster on its event loop.
    func run(_ body: @escaping @Sendable (LoopCluster) -> Void) {
        mailbox.withLock { mailbox in
            guard !mailbox.isClosed else { return }
            eventLoop.execute { if let cluster = self.cluster.value { body(cluster) } }
        }
    }

    /// All has ended; the event loop may go.
    func close() { mailbox.withLock { $0.isClosed = true } }

    /// Asks the cluster on its event loop.
    ///
    /// - Returns: nil when the client is shut down.
    func ask<Answer: Sendable>(_ body: @escaping @Sendable (LoopCluster) -> Answer) async -> Answer? {
        await withCheckedContinuation { continuation in
            // Under the lock: the loop is not told to end before it has this.
            let isAsked = mailbox.withLock { mailbox in
                guard !mailbox.isClosed else { return false }
                eventLoop.execute { continuation.resume(returning: self.cluster.value.map(body)) }
                return true
            }
            if !isAsked { continuation.resume(returning: nil) }
        }
    }

    /// Ends the cluster; see `LoopCluster.stop`.
    func stop(_ reason: MartletClientError, isAbrupt: Bool) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let isClosed = mailbox.withLock { mailbox in
            mailbox.isStopped = true
            return mailbox.isClosed
        }
        guard !isClosed else {
            promise.succeed()
            return promise.futureResult
        }
        // Stays until all is closed, though the client be gone.
        promise.futureResult.whenComplete { _ in withExtendedLifetime(self) {} }
        eventLoop.execute {
            self.drain()
            if let cluster = self.cluster.value {
                cluster.stop(reason, isAbrupt: isAbrupt, promise)
            } else {
                promise.succeed()
            }
        }
        return promise.futureResult
    }

    private func drain() {
        guard let cluster = cluster.value else { return }
        var calls: [any AnyCall] = []
        var cancelled: [any AnyCall] = []
        mailbox.withLock { mailbox in
            mailbox.isDrainScheduled = false
            swap(&mailbox.calls, &calls)
            swap(&mailbox.cancelled, &cancelled)
        }
        cluster.take(calls, cancelled: cancelled)
    }
}
