/// Which node is so much worse than the others that it is better left alone for a while.
///
/// Everything is compared with the other nodes, so that a cluster that is slow or failing as a whole ejects nobody: then the
/// circuit breakers and the servers' own limits decide. Failures in a row are the circuit breaker's matter.
package struct OutlierDetector: Sendable {
    package enum Reason: String, CaseIterable, Sendable {
        /// Its circuit breaker opened.
        case failures
        /// It fails much more often than the others.
        case failureShare = "failure_share"
        /// Its answers take a multiple of the others'.
        case latency
        /// It owes answers and gives none, while others do.
        case silence
    }

    package let configuration: OutlierConfiguration

    package init(_ configuration: OutlierConfiguration) { self.configuration = configuration }

    /// What is wrong with a node.
    ///
    /// - Parameters:
    ///   - peers: The nodes that take calls, this one among them.
    ///   - late: After how long an answer is late, in nanoseconds; nil: not known.
    /// - Complexity: O(`peers.count`).
    package func verdict(
        on node: Int, among vitals: inout [NodeVitals], peers: [UInt16], late: UInt64?, at now: UInt64
    ) -> Reason? {
        if isSilent(node, vitals, peers, late, now) { return .silence }
        if let own = vitals[node].provenLatency(at: now),
            let usual = baseline(without: node, vitals, peers, at: now),
            own > usual * configuration.latencyFactor,
            own - usual > Double(configuration.latencyDifference.nanoseconds)
        {
            return .latency
        }
        guard let own = vitals[node].failureShare(at: now), own > configuration.failureShareDifference else {
            return nil
        }
        guard let others = failureShare(without: node, &vitals, peers, at: now) else { return nil }
        return own > others + configuration.failureShareDifference ? .failureShare : nil
    }

    /// Whether most calls to the other nodes fail as well: then it is not the node.
    package func othersFail(_ node: Int, among vitals: inout [NodeVitals], peers: [UInt16], at now: UInt64) -> Bool {
        (failureShare(without: node, &vitals, peers, at: now) ?? 0) > 0.5
    }

    /// Share of failures of the other nodes that had enough calls, taken together.
    private func failureShare(
        without node: Int, _ vitals: inout [NodeVitals], _ peers: [UInt16], at now: UInt64
    ) -> Double? {
        var failures: UInt64 = 0
        var volume: UInt64 = 0
        for peer in peers where Int(peer) != node {
            guard vitals[Int(peer)].failureShare(at: now) != nil else { continue }
            let totals = vitals[Int(peer)].outcomes.totals
            failures += totals.first
            volume += totals.first + totals.second
        }
        return volume == 0 ? nil : Double(failures) / Double(volume)
    }

    /// The latency that is usual elsewhere: the lower median of the other nodes' typical ones, in nanoseconds.
    package func baseline(
        without node: Int?, _ vitals: [NodeVitals], _ peers: [UInt16], at now: UInt64
    ) -> Double? {
        var known: [Double] = []
        for peer in peers where Int(peer) != node {
            if let latency = vitals[Int(peer)].typicalLatency(at: now) { known.append(latency) }
        }
        known.sort()
        return known.isEmpty ? nil : known[(known.count - 1) / 2]
    }

    private func isSilent(_ node: Int, _ vitals: [NodeVitals], _ peers: [UInt16], _ late: UInt64?, _ now: UInt64)
        -> Bool
    {
        guard vitals[node].inFlight > 0, let late else { return false }
        let since = vitals[node].silentSince
        let patience = max(configuration.silence.nanoseconds, 10 &* late)
        guard now >= since &+ patience else { return false }
        // All silent together: it is this side, or the network, or the whole cluster.
        for peer in peers where Int(peer) != node {
            if vitals[Int(peer)].lastAnswer > since &+ patience / 2 { return true }
        }
        return false
    }
}
