import LoadBalancing

/// A cluster, its clients and what befalls them. Times are seconds unless said otherwise.
package struct SimulationConfiguration: Sendable {
    package var nodes = 5
    package var clients = 3
    /// Calls a second of each client; arrivals are a Poisson process.
    package var rate = 300.0
    package var duration = 12.0
    /// Median time that a call takes a worker, and the spread of its logarithm (0.5: p99 is 3.2 times the median).
    package var serviceMedian = 0.004
    package var serviceSpread = 0.4
    /// Calls that a node works on at once; with the service time that is what it can do.
    package var workers = 3
    /// Calls that wait in a node; further ones are rejected with RESOURCE_EXHAUSTED.
    package var queueMax = 60
    /// One way; drawn evenly between these.
    package var networkDelay = 0.0001...0.0003
    /// Share of calls that only read.
    package var repeatableShare = 1.0
    package var deadline = 1.0
    package var users = 2000
    /// Zipf exponent of how often users call.
    package var skew = 0.9
    package var cluster = ClusterConfiguration()
    package var faults: [Fault] = []
    package var overload: OverloadChoice = .queueOnly

    package init() { cluster.callsMax = 4096 }

    /// Calls a second that all nodes can serve.
    package var capacity: Double { Double(nodes * workers) / meanService }
    /// Mean of the log-normal service time.
    package var meanService: Double { serviceMedian * (1 + serviceSpread * serviceSpread / 2) }
}

/// What a simulated node does about more calls than it can serve.
package enum OverloadChoice: String, CaseIterable, Sendable {
    /// A queue with an end.
    case queueOnly = "queue"
    /// `WaitBound`: by estimated wait and priority. A tenth of the calls is critical, four tenths are normal, 35 % sheddable,
    /// the rest background.
    case waitBound = "wait-bound"
}

/// Something that goes wrong for a while.
package struct Fault: Sendable {
    package enum Kind: Sendable {
        /// Answers take this many times as long, without more work being done.
        case delayed(Double)
        /// Work takes this many times as long.
        case degraded(Double)
        /// The process is gone, and its connections; it is back at the end.
        case killed
        /// Nothing moves, and goes on where it was at the end.
        case paused
        /// Calls vanish; connections stay.
        case blackHole
        /// Killed for the first half of each period of so many seconds.
        case flapping(Double)
        /// So large a share of calls is answered UNAVAILABLE, a retry is safe.
        case refusing(Double)
        /// So large a share of calls is answered INTERNAL.
        case failing(Double)
        /// Clients send this many times as many calls (whatever the node).
        case load(Double)
    }

    package var kind: Kind
    /// Nil: all nodes.
    package var node: Int?
    package var from: Double
    package var until: Double

    package init(_ kind: Kind, node: Int? = nil, from: Double, until: Double) {
        self.kind = kind
        self.node = node
        self.from = from
        self.until = until
    }
}
