import NearestNeighbors
import Retrieval

/// Asks a worker's idle neighbours to help with its scans. Each is woken at most once for a scan.
final class LoopAsking: SearchHelpers {
    /// Waking a loop takes some 10 to 50 microseconds until it reads its first part.
    let nanosecondsMin = 200_000.0
    private unowned let worker: LoopWorker

    init(worker: LoopWorker) { self.worker = worker }

    func ask(_ makeInvitation: () -> ScanInvitation?) {
        let workers = worker.node.workers
        let now = LoopWorker.now
        var invitation: ScanInvitation?
        var left = worker.node.limits.searchHelpers
        for offset in 1..<max(workers.count, 1) where left > 0 {
            let other = workers[(worker.index + offset) % workers.count]
            guard other.helping.mayBeAsked(now) else { continue }
            if invitation == nil { invitation = makeInvitation() }
            guard let invitation else { return }
            guard other.helping.ask() else { continue }
            left -= 1
            other.eventLoop.execute { other.help(invitation) }
        }
        if left < worker.node.limits.searchHelpers { worker.metrics.countSplit() }
    }
}
