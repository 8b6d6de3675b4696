import LoadBalancing
import Overload

/// One sending on its way through a node.
struct Job {
    var client: Int
    var node: Int
    var attempt: AttemptID
    var timeout: UInt64
    var priority = CallPriority.normal
    var arrived: UInt64 = 0
    var service: UInt64 = 0
    var outcome = AttemptOutcome.success
    var hint: UInt16 = 0
    /// The node's life in which it was sent: a restart loses what was in it.
    var life = 0
    var isCancelled = false
    /// The client still waits for it.
    var isOut = true
    /// Where the client keeps it among those of the node.
    var place = 0
}

/// A process with some workers and a queue.
struct SimulatedNode {
    var isUp = true
    var life = 0
    var pausedUntil: UInt64 = 0
    var isBlackHole = false
    var delay = 1.0
    var slowness = 1.0
    var refusing = 0.0
    var failing = 0.0
    var busy = 0
    var bound = WaitBound()
    /// By priority; without priorities all wait in the first.
    private var queues: [[Int]] = [[], [], [], []]
    private var heads = [0, 0, 0, 0]
    private(set) var waiting = 0

    mutating func enqueue(_ job: Int, rank: Int) {
        queues[rank].append(job)
        waiting += 1
    }

    mutating func dequeue() -> Int? {
        guard waiting > 0 else { return nil }
        for rank in 0..<4 where heads[rank] < queues[rank].count {
            let job = queues[rank][heads[rank]]
            heads[rank] += 1
            waiting -= 1
            if heads[rank] > 64, heads[rank] * 2 > queues[rank].count {
                queues[rank].removeFirst(heads[rank])
                heads[rank] = 0
            }
            return job
        }
        return nil
    }

    /// The process ends; what it had is lost.
    mutating func die() {
        isUp = false
        life += 1
        busy = 0
        queues = [[], [], [], []]
        heads = [0, 0, 0, 0]
        waiting = 0
        bound = WaitBound()
    }
}
