import LoadBalancing
import Resilience

/// How a client of several nodes chooses between them, and what it does about those that fail or are late. What each rule
/// does is in docs/cluster-client.md.
public struct BalancingConfiguration: Sendable {
    public enum Picker: String, CaseIterable, Sendable {
        /// The node that owns the user; calls without a user go by least latency.
        case owner
        /// The cheaper one of two drawn nodes, by latency, calls in flight and the node's own word.
        case leastLatency = "least_latency"
        /// One after the other.
        case roundRobin = "round_robin"
    }

    public var picker = Picker.owner
    /// Times its share of the calls that an owner takes before the next nodes of the user's order do; 1 or more.
    public var loadBound = 1.02
    /// Sends a copy of a read that is late to another node.
    public var hedges = true
    /// Share of answers that come sooner than a hedge is sent; above 0, below 1.
    public var hedgeQuantile = 0.98
    /// Hedges for each call of the last ten seconds, `0...1`.
    public var hedgeShare = 0.02
    /// Never sooner than this.
    public var hedgeDelayMin: Duration = .milliseconds(1)
    /// Sendings of a call, the first one and hedges included, `1...15`; 1: no retries.
    public var attemptsMax = 3
    /// Retries, hedges and copies for each call of the last ten seconds, `0...10`.
    public var retryShare = 0.2
    /// Leaves nodes alone that are much slower than the others, fail more often, or are silent.
    public var ejects = true
    /// Share of the nodes that may be left alone at once, `0...1`. One always may, unless it is the last.
    public var ejectedShareMax = 0.4
    /// How long a node that is new or was away takes to get its whole share.
    public var slowStart: Duration = .seconds(5)
    /// Calls under way on an event loop, copies included; further ones fail at once with RESOURCE_EXHAUSTED.
    public var callsMax = 16_384
    /// Nodes at once; further ones are left out.
    public var nodesMax = 256
    /// Changes what has no setting here.
    package var adjust: (@Sendable (inout ClusterConfiguration) -> Void)?

    public init() {}

    /// What is wrong with it; nil: nothing.
    func problem(of client: MartletClientConfiguration) -> String? {
        guard client.reconnectDelay > .zero, client.reconnectDelayMax >= client.reconnectDelay else {
            return "reconnectDelay is \(client.reconnectDelay), reconnectDelayMax \(client.reconnectDelayMax)"
        }
        return policy(of: client).problem()
    }

    /// As the policy knows it.
    func policy(of client: MartletClientConfiguration) -> ClusterConfiguration {
        var policy = ClusterConfiguration()
        policy.picker =
            switch picker {
            case .owner: .owner
            case .leastLatency: .leastLatency
            case .roundRobin: .roundRobin
            }
        policy.loadBound = loadBound
        policy.hedging.isOn = hedges
        policy.hedging.quantile = hedgeQuantile
        policy.hedging.share = hedgeShare
        policy.hedging.delayMin = hedgeDelayMin
        policy.retries.attemptsMax = attemptsMax
        policy.retries.share = retryShare
        policy.outliers.isOn = ejects
        policy.outliers.ejectedShareMax = ejectedShareMax
        policy.slowStart.duration = slowStart.nanoseconds
        policy.reconnect = Backoff(first: client.reconnectDelay, maximum: client.reconnectDelayMax)
        policy.callsMax = callsMax
        policy.nodesMax = nodesMax
        adjust?(&policy)
        return policy
    }
}
