import LoadBalancing
import NIOCore

/// What a client of several nodes knows of them, and did, since it was made.
public struct ClientSnapshot: Sendable {
    public enum State: String, CaseIterable, Sendable {
        /// Takes calls.
        case ready
        case connecting
        /// Could not be reached; is tried again.
        case away
        /// Left alone for a while: slow, failing or silent.
        case ejected
        /// Gets copies of calls that nobody waits for, to see how it does.
        case trial
        case idle

        /// How far it is from taking calls.
        fileprivate var rank: Int {
            switch self {
            case .ready: 0
            case .trial: 1
            case .ejected: 2
            case .connecting: 3
            case .away: 4
            case .idle: 5
            }
        }
    }

    /// One node. Of several event loops, all are taken together; the state is the best of theirs.
    public struct Node: Sendable {
        public var name = ""
        public var state = State.idle
        public var weight = 1.0
        /// Connections that stand.
        public var connections = 0
        /// Sendings without an answer.
        public var inFlight = 0
        /// What it said last about itself: 0 idle, 1 full.
        public var load = 0.0
        /// First sendings.
        public var picks: UInt64 = 0
        public var retries: UInt64 = 0
        public var hedges: UInt64 = 0
        /// Copies that nobody waited for.
        public var probes: UInt64 = 0
        /// Sendings that nobody waited for any more, cancelled hedges among them.
        public var cancelled: UInt64 = 0
        public var hedgesCancelled: UInt64 = 0
        public var answered: UInt64 = 0
        /// Answers to bad questions.
        public var refused: UInt64 = 0
        public var failed: UInt64 = 0
        /// Turned away before work began.
        public var rejected: UInt64 = 0
        /// The connection ended first.
        public var lost: UInt64 = 0
        public var ejections: UInt64 = 0
        public var restored: UInt64 = 0
        public var connects: UInt64 = 0
        public var connectFailures: UInt64 = 0
        public var disconnects: UInt64 = 0
        public var goaways: UInt64 = 0
        /// Why it was last away; nil: it was not.
        public var lastFailure: String?
        var latencies = LatencyHistogram()
        var latencyCounts: [UInt64] = []
        var latencyNanoseconds: UInt64 = 0

        /// The time that a share of the last thousand or so answers did not exceed; nil without answers.
        ///
        /// - Parameter quantile: `0...1`.
        public func latency(quantile: Double) -> Duration? {
            latencies.quantile(quantile).map { .nanoseconds(Int64(clamping: $0)) }
        }

        /// Sendings of all kinds.
        public var sent: UInt64 { picks + retries + hedges + probes }
    }

    /// In the order of their names.
    public var nodes: [Node] = []
    /// Calls that were sent, and how they ended; those under way are missing from the ends.
    public var calls: UInt64 = 0
    public var answered: UInt64 = 0
    public var failed: UInt64 = 0
    public var deadlinesPassed: UInt64 = 0
    public var cancelled: UInt64 = 0
    /// Not taken: too many were under way.
    public var refused: UInt64 = 0
    /// Calls and copies.
    public var callsUnderWay = 0
    public var callsQueued = 0
    /// That may go now.
    public var retriesLeft = 0.0
    public var hedgesLeft = 0.0
    /// Calls whose hedge answered first.
    public var hedgesWon: UInt64 = 0
    /// Calls that went past their owner because it had more than its share, or was full.
    public var spilled: UInt64 = 0
    /// After how long an answer is late and is hedged; nil: not known yet.
    public var lateAfter: Duration?
    /// Nodes beyond `BalancingConfiguration.nodesMax`.
    public var nodesLeftOut = 0
    /// What is wrong with the list of nodes; nil: nothing.
    public var resolutionFault: String?
}

extension ClientSnapshot {
    /// Adds what another event loop knows.
    mutating func add(_ other: ClientSnapshot) {
        for node in other.nodes {
            if let place = nodes.firstIndex(where: { $0.name == node.name }) {
                nodes[place].add(node)
            } else {
                nodes.append(node)
            }
        }
        nodes.sort { $0.name < $1.name }
        calls += other.calls
        answered += other.answered
        failed += other.failed
        deadlinesPassed += other.deadlinesPassed
        cancelled += other.cancelled
        refused += other.refused
        callsUnderWay += other.callsUnderWay
        callsQueued += other.callsQueued
        retriesLeft += other.retriesLeft
        hedgesLeft += other.hedgesLeft
        hedgesWon += other.hedgesWon
        spilled += other.spilled
        lateAfter = lateAfter.map { mine in other.lateAfter.map { max(mine, $0) } ?? mine } ?? other.lateAfter
        nodesLeftOut = max(nodesLeftOut, other.nodesLeftOut)
        resolutionFault = resolutionFault ?? other.resolutionFault
    }
}

extension ClientSnapshot.Node {
    mutating func add(_ other: Self) {
        if other.state.rank < state.rank { state = other.state }
        connections += other.connections
        inFlight += other.inFlight
        load = max(load, other.load)
        picks += other.picks
        retries += other.retries
        hedges += other.hedges
        probes += other.probes
        cancelled += other.cancelled
        hedgesCancelled += other.hedgesCancelled
        answered += other.answered
        refused += other.refused
        failed += other.failed
        rejected += other.rejected
        lost += other.lost
        ejections += other.ejections
        restored += other.restored
        connects += other.connects
        connectFailures += other.connectFailures
        disconnects += other.disconnects
        goaways += other.goaways
        lastFailure = lastFailure ?? other.lastFailure
        latencies.add(other.latencies)
        if latencyCounts.isEmpty {
            latencyCounts = other.latencyCounts
        } else {
            for place in other.latencyCounts.indices { latencyCounts[place] += other.latencyCounts[place] }
        }
        latencyNanoseconds &+= other.latencyNanoseconds
    }
}

extension MartletClient {
    /// What the client knows of its nodes, and did. Of a client of one node: whether it is connected, and what waits.
    ///
    /// Asks each event loop once: for a scrape or a page, not for every call.
    public func snapshot() async -> ClientSnapshot {
        var whole = ClientSnapshot()
        switch route {
        case .node:
            var node = ClientSnapshot.Node()
            node.name = configuration.nodeName
            node.connections = readyConnections
            node.state = node.connections > 0 ? .ready : .connecting
            whole.nodes = [node]
        case .cluster(let cluster):
            for loop in cluster.loops {
                if let part = await loop.ask({ $0.snapshot() }) { whole.add(part) }
            }
        }
        whole.callsQueued = queuedCalls
        return whole
    }
}

extension LoopCluster {
    func snapshot() -> ClientSnapshot {
        tick()
        var part = ClientSnapshot()
        part.calls = counts.calls
        part.answered = counts.answered
        part.failed = counts.failed
        part.deadlinesPassed = counts.deadlinesPassed
        part.cancelled = counts.cancelled
        part.refused = counts.refused
        part.callsUnderWay = policy.callsUnderWay
        part.retriesLeft = policy.retriesLeft(at: now)
        part.hedgesLeft = policy.hedgesLeft(at: now)
        part.hedgesWon = policy.counts.hedgesWon
        part.spilled = policy.counts.spilled
        part.lateAfter = policy.lateAfter.map { .nanoseconds(Int64(clamping: $0)) }
        part.nodesLeftOut = nodesLeftOut
        part.resolutionFault = resolutionFault?.message
        part.nodes = links.compactMap { $0.map(snapshot) }
        return part
    }

    private func snapshot(_ link: NodeLink) -> ClientSnapshot.Node {
        let number = link.number
        let counts = link.counts
        var node = ClientSnapshot.Node()
        node.name = link.node.name
        node.weight = link.node.weight
        node.state =
            switch (policy.connectivity(number), policy.ejection(of: number)) {
            case (.ready, .in): .ready
            case (.ready, .out): .ejected
            case (.ready, .onTrial): .trial
            case (.connecting, _): .connecting
            case (.transientFailure, _): .away
            case (.idle, _), (.shutdown, _): .idle
            }
        node.connections = link.readyCount
        node.inFlight = policy.inFlight(number)
        node.load = policy.busyness(of: number, at: now)
        node.picks = counts.picks
        node.retries = counts.retries
        node.hedges = counts.hedges
        node.probes = counts.probes
        node.cancelled = counts.cancelled
        node.hedgesCancelled = counts.hedgesCancelled
        node.answered = counts.answered
        node.refused = counts.refused
        node.failed = counts.failed
        node.rejected = counts.rejected
        node.lost = counts.lost
        node.ejections = counts.ejections
        node.restored = counts.restored
        node.connects = counts.connects
        node.connectFailures = counts.connectFailures
        node.disconnects = counts.disconnects
        node.goaways = counts.goaways
        node.lastFailure = link.lastFailure?.message
        node.latencies = policy.latencies(of: number)
        node.latencyCounts = counts.latencyCounts
        node.latencyNanoseconds = counts.latencyNanoseconds
        return node
    }
}
