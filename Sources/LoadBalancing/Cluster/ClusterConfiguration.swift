import Resilience

/// How a client chooses between the nodes of a cluster, and what it does about those that fail or are late.
package struct ClusterConfiguration: Sendable {
    package enum Picker: String, CaseIterable, Sendable {
        /// The node that owns the user's slot; calls without a user go by least latency.
        case owner
        /// The cheaper one of two drawn nodes, by latency, calls in flight and the node's own word.
        case leastLatency = "least_latency"
        /// One after the other.
        case roundRobin = "round_robin"
    }

    package var picker = Picker.owner
    /// Times its share of the calls that an owner takes before the next nodes of the slot's order do; 1 or more.
    package var loadBound = 1.02
    /// Calls above it that go to the owner all the same.
    package var loadSlack = 4.0
    /// Memory of a node's latency, for picking by least latency.
    package var latencyDecay: Duration = .seconds(2)
    package var slowStart = SlowStart()
    package var outliers = OutlierConfiguration()
    package var breaker = CircuitBreakerConfiguration()
    package var hedging = HedgingConfiguration()
    package var retries = RetryConfiguration()
    /// Waits between attempts to connect.
    package var reconnect = Backoff(first: .milliseconds(50), maximum: .seconds(5))
    /// Calls under way, copies included; further ones fail at once.
    package var callsMax = 16_384
    /// Nodes at once, those that are leaving included; further ones are left out.
    package var nodesMax = 256

    package init() {}

    /// What is wrong with it; nil: nothing.
    package func problem() -> String? {
        if !(loadBound >= 1) { return "loadBound is \(loadBound); 1 or more" }
        if !(loadSlack >= 0) { return "loadSlack is \(loadSlack); 0 or more" }
        if latencyDecay < .milliseconds(1) { return "latencyDecay is \(latencyDecay); 1 ms or more" }
        if !(slowStart.floor > 0 && slowStart.floor <= 1) {
            return "slowStart.floor is \(slowStart.floor); above 0, at most 1"
        }
        if !(1...AttemptID.entriesMax).contains(callsMax) {
            return "callsMax is \(callsMax); 1...\(AttemptID.entriesMax)"
        }
        if !(1...4096).contains(nodesMax) { return "nodesMax is \(nodesMax); 1...4096" }
        return outliers.problem() ?? breaker.problem() ?? hedging.problem() ?? retries.problem()
    }
}

/// A second sending of a call whose answer is late, to another node; the first answer counts.
package struct HedgingConfiguration: Sendable {
    package var isOn = true
    /// Share of answers that come sooner than a hedge is sent.
    package var quantile = 0.98
    /// Never sooner than this.
    package var delayMin: Duration = .milliseconds(1)
    /// Hedges and copies for each call of the last ten seconds.
    package var share = 0.02
    /// A node that says it is busier gets no hedges, `0...1`.
    package var loadMax = 0.8

    package init() {}

    package func problem() -> String? {
        if !(quantile > 0 && quantile < 1) { return "hedging.quantile is \(quantile); above 0, below 1" }
        if !(0...1).contains(share) { return "hedging.share is \(share); 0...1" }
        return nil
    }
}

/// A further sending of a call that failed where that is safe.
package struct RetryConfiguration: Sendable {
    /// Sendings of a call, the first one and hedges included; 1: no retries.
    package var attemptsMax = 3
    /// Retries, hedges and copies for each call of the last ten seconds.
    package var share = 0.2
    /// And so many a second whatever the calls.
    package var minimumPerSecond = 0.1
    /// The same share holds for the calls of the last two seconds, and so many more.
    package var burst = 1.0
    /// Waits before a retry that has no other node to go to, and before the second retry.
    package var backoff = Backoff(first: .milliseconds(5), maximum: .milliseconds(250))

    package init() {}

    package func problem() -> String? {
        if !(1...AttemptID.ordinalMax).contains(attemptsMax) {
            return "retries.attemptsMax is \(attemptsMax); 1...\(AttemptID.ordinalMax)"
        }
        if !(0...10).contains(share) { return "retries.share is \(share); 0...10" }
        if !(minimumPerSecond >= 0) { return "retries.minimumPerSecond is \(minimumPerSecond); 0 or more" }
        return nil
    }
}
