/// What a policy knows, for those who watch it.
extension ClusterPolicy {
    package func ejection(of node: Int) -> Ejection.State { nodes[node].ejection.state }
    /// Of the last answers; older ones fade.
    package func latencies(of node: Int) -> LatencyHistogram { vitals[node].latencies }
    /// What the node said last about itself, `0...1`; 0 after a second.
    package func busyness(of node: Int, at now: UInt64) -> Double { loadHint(node, at: now) }
    package func isMember(_ node: Int) -> Bool { nodes[node].isMember }

    /// Retries that may go now.
    package mutating func retriesLeft(at now: UInt64) -> Double {
        min(retryBudget.remaining(at: now), retryBurst.remaining(at: now))
    }

    /// Hedges that may go now.
    package mutating func hedgesLeft(at now: UInt64) -> Double {
        min(hedgeBudget.remaining(at: now), retriesLeft(at: now))
    }
}
