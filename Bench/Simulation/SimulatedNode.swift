import LoadBalancing

/// One sending on its way through a node.
struct Job {
    var client: Int
    var node: Int
    var attempt: AttemptID
    var timeout: UInt64
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
    private var queue: [Int] = []
    private var head = 0

    var waiting: Int { queue.count - head }

    mutating func enqueue(_ job: Int) { queue.append(job) }

    mutating func dequeue() -> Int? {
        guard head < queue.count else { return nil }
        head += 1
        let job = queue[head - 1]
        if head > 64, head * 2 > queue.count {
            queue.removeFirst(head)
            head = 0
        }
        return job
    }

    /// The process ends; what it had is lost.
    mutating func die() {
        isUp = false
        life += 1
        busy = 0
        queue.removeAll()
        head = 0
    }
}
