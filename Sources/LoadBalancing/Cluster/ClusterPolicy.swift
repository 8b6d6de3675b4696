import Glibc
import Resilience
import Vocabulary

/// Everything that a client of many nodes decides: where a call goes, when it is sent again, to whom nothing is sent for a
/// while, and how a call ends. It does no I/O and has no clock and no chance of its own.
///
/// ```
///  call ──pick──> send ──> (driver) ──completed──> end | send again
///                                    ──timer─────> hedge | retry | end: deadline | eject | restore
///  connections ──connected, connectionFailed, disconnected──> connect | calls may go there | may not
/// ```
/// The driver does what the decisions and actions say and reports each attempt's outcome once. It asks `timer` at `nextTimer`.
/// Each call that `pick` takes ends with exactly one `.end`, at the latest when `timer` is asked at or after its deadline.
///
/// One policy belongs to one event loop and its connections, rather than to all loops behind a lock: a loop picks, writes
/// and hears the answer without a lock or a hop, and a walk over the calls of an ejected node holds nobody up. Each loop learns
/// for itself who is slow; the table of owners is shared between copies.
///
/// `pick` allocates nothing. All times are nanoseconds of one clock that does not go back.
package struct ClusterPolicy: Sendable {
    struct NodeState: Sendable {
        var description: NodeDescription
        /// Of its name.
        let key: UInt64
        var isMember = true
        var connectivity = Connectivity()
        var reconnect: Backoff
        var breaker: CircuitBreaker
        var ejection = Ejection()
        var cost = PeakEWMA()
        var loadHint = 0.0
        var loadHintAt: UInt64 = 0
        /// When it began to take calls.
        var since: UInt64 = 0
    }

    package let configuration: ClusterConfiguration
    package internal(set) var counts = ClusterCounts()
    var nodes: [NodeState] = []
    var vitals: [NodeVitals] = []
    /// Nodes that are picked from, in the order of their numbers.
    package internal(set) var usable: [UInt16] = []
    var isUsable: [Bool] = []
    var usableWeight = 0.0
    var rendezvous = Rendezvous([])
    var shares: LoadShares
    var calls: CallTable
    var timers: TimerHeap
    var random: RandomSource
    var retryBudget: RetryBudget
    /// The same share of the last two seconds: what was not used for a while is not to be used at once.
    var retryBurst: RetryBudget
    var hedgeBudget: RetryBudget
    let detector: OutlierDetector
    /// After how long an answer is late: the lower median over the nodes of their quantiles, so that a few slow nodes do not
    /// move it. Nil until enough is known.
    package internal(set) var lateAfter: UInt64?
    var nextTick = UInt64.max
    var nextConnect = UInt64.max
    var turn = 0
    /// Nodes that are ejected or on trial.
    var nodesOut = 0
    /// Since when the usable node has taken calls that has taken them longest.
    var oldestSince: UInt64 = 0
    /// And of the one that has done so for the shortest time.
    var newestSince: UInt64 = 0

    let decay: Double
    let tick: UInt64

    /// - Precondition: `configuration.problem()` is nil.
    package init(_ configuration: ClusterConfiguration = .init(), seed: UInt64, at now: UInt64) {
        if let problem = configuration.problem() { preconditionFailure("cluster: \(problem)") }
        self.configuration = configuration
        shares = LoadShares(nodesMax: configuration.nodesMax)
        calls = CallTable(capacity: configuration.callsMax)
        timers = TimerHeap(entries: configuration.callsMax)
        random = RandomSource(seed: seed)
        retryBudget = RetryBudget(
            share: configuration.retries.share, minimumPerSecond: configuration.retries.minimumPerSecond, at: now)
        retryBurst = RetryBudget(
            share: configuration.retries.share, minimumPerSecond: configuration.retries.burst / 2, window: .seconds(2),
            at: now)
        hedgeBudget = RetryBudget(share: configuration.hedging.share, minimumPerSecond: 0, at: now)
        detector = OutlierDetector(configuration.outliers)
        decay = Double(configuration.latencyDecay.nanoseconds)
        tick = configuration.outliers.interval.nanoseconds
    }

    /// Calls and copies under way.
    package var callsUnderWay: Int { calls.live }

    /// When `timer` is to be asked next; `UInt64.max`: not before something else happens.
    package var nextTimer: UInt64 { min(timers.next ?? .max, nextTick, nextConnect) }

    package func nodeName(_ node: Int) -> String { nodes[node].description.name }
    package func isEjected(_ node: Int) -> Bool { nodes[node].isMember && !nodes[node].ejection.isIn }
    package func connectivity(_ node: Int) -> Connectivity.State { nodes[node].connectivity.state }
    package func breakerState(_ node: Int) -> CircuitBreaker.State { nodes[node].breaker.state }
    package func inFlight(_ node: Int) -> Int { vitals[node].inFlight }
}

/// A node of a cluster.
package struct NodeDescription: Hashable, Sendable {
    /// Host and port, or any name that all clients have for it: it decides which slots the node owns.
    package var name: String
    /// Above 0; twice the weight, twice the users.
    package var weight: Double

    package init(name: String, weight: Double = 1) {
        precondition(weight > 0 && weight.isFinite, "node \(name) has weight \(weight)")
        self.name = name
        self.weight = weight
    }

    var key: UInt64 { XXH64.hash(name) }
}
