import Logging
import NIOCore
import RemoteCache
import Telemetry

/// Hears for a node which keys of shared answers were changed in Redis, and tells all its loops. One for a node; belongs to the
/// loop of the worker that it is given.
///
/// ```
///   waiting ──both connections stand──> tracking ──one is lost──> waiting      copies: in `tracking` alone
///      └────────the server refuses────> off                                    copies: as if nothing ever changed
/// ```
/// A cluster moves its keys from server to server; there, and where Redis is older than 6 or the user may not ask, nobody tells of
/// changes: copies live as long as they may. An operator who deletes keys waits for that, or restarts the nodes.
final class SharedCacheListener {
    enum State { case waiting, tracking, off }

    private unowned let worker: LoopWorker
    private var listener: InvalidationListener?
    private let logger: Logger
    private(set) var state = State.waiting

    /// - Parameter configuration: Nil: nobody tells of changes.
    init(_ configuration: RedisConfiguration?, prefix: String, worker: LoopWorker, logger: Logger) {
        self.worker = worker
        self.logger = logger
        guard let configuration, let endpoint = configuration.endpoints.first, !configuration.isCluster else { return }
        listener = InvalidationListener(
            endpoint, configuration, prefixes: [SharedCache.keyPrefix(prefix)], loop: worker.eventLoop
        ) { [weak self] in self?.take($0) }
    }

    func start() {
        guard let listener else { return become(.off) }
        listener.start()
    }

    func close() {
        listener?.close()
        listener = nil
    }

    private func take(_ message: InvalidationListener.Message) {
        switch message {
        case .changed(let keys):
            worker.spread(SharedCache.Changes(hashes: keys.compactMap { SharedCache.hash(ofKey: $0) }))
        case .flush:
            // Nothing was copied before the first time.
            if state == .tracking { worker.metrics.countSharedForgotten() }
            worker.spread(SharedCache.Changes(forgets: true))
            become(listener?.isTracking == true ? .tracking : .waiting)
        }
    }

    /// Looks whether the server refuses; now and then.
    func look() {
        guard state == .waiting, let refusal = listener?.refusal else { return }
        logger.notice(
            "Redis does not tell of changed keys; copies of shared answers live as long as they may",
            metadata: ["redis.failure": "\(refusal)"])
        close()
        become(.off)
    }

    private func become(_ state: State) {
        self.state = state
        worker.metrics.setSharedTracking(state == .tracking)
        worker.spread(SharedCache.Changes(mayCopy: state != .waiting))
    }
}
