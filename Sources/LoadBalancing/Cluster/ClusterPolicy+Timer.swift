import Resilience

/// What time brings.
extension ClusterPolicy {
    /// Does everything that is due: ends calls at their deadline, hedges, retries, compares nodes, connects again.
    package mutating func timer(_ now: UInt64, into actions: inout [ClusterAction]) {
        while let index = timers.popDue(now) { callIsDue(index, at: now, into: &actions) }
        if nextConnect <= now {
            for node in nodes.indices where nodes[node].connectivity.timer(now) {
                actions.append(.connect(node: node))
            }
            rebuild(at: now)
        }
        if nextTick <= now { compare(at: now, into: &actions) }
    }

    private mutating func callIsDue(_ index: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        if calls[index].deadline <= now { return expire(index, at: now, into: &actions) }
        if calls[index].hedgeAt <= now {
            calls[index].hedgeAt = .max
            hedge(index, at: now, into: &actions)
        } else if calls[index].retryAt <= now {
            calls[index].retryAt = .max
            return resend(index, at: now, into: &actions)
        }
        let due = calls[index].due
        if due != .max { timers.set(index, at: due) }
    }

    /// The call's time is over.
    private mutating func expire(_ index: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        for attempt in [calls[index].first, calls[index].second] where attempt.isOut {
            // A caller in a hurry says nothing about the node.
            let wasLate = now - min(now, attempt.sentAt) > 2 * (lateAfter ?? 250_000_000)
            giveUp(attempt, of: index, countsAsFailure: wasLate, at: now, into: &actions)
            if calls[index].isProbe {
                return endProbe(index, of: attempt.node, nil, latency: 0, at: now, into: &actions)
            }
        }
        finish(index, .deadlineExceeded, at: now, into: &actions)
    }

    /// Compares the nodes with each other and lets those that are out go on.
    private mutating func compare(at now: UInt64, into actions: inout [ClusterAction]) {
        nextTick = calls.live > 0 ? now &+ tick : .max
        lateAfter = usualQuantile()
        guard configuration.outliers.isOn else { return }
        for node in nodes.indices where nodes[node].isMember && nodes[node].connectivity.isReady {
            if nodes[node].ejection.isIn {
                guard usable.count > 1, isUsable[node] else { continue }
                if let reason = detector.verdict(on: node, among: &vitals, peers: usable, late: lateAfter, at: now) {
                    eject(node, reason, at: now, into: &actions)
                }
            } else if nodes[node].ejection.reason != .latency, nodes[node].ejection.reason != .silence,
                detector.othersFail(node, among: &vitals, peers: usable, at: now)
            {
                // The others fail as well by now: it was not the node.
                nodes[node].ejection.clear()
                restored(node, at: now, into: &actions)
            } else if nodes[node].ejection.timer(configuration.outliers, at: now) {
                restored(node, at: now, into: &actions)
            }
        }
    }

    /// The lower median of the nodes' quantiles.
    private func usualQuantile() -> UInt64? {
        var known: [UInt64] = []
        for node in usable {
            let latencies = vitals[Int(node)].latencies
            guard latencies.count >= 20, let value = latencies.quantile(configuration.hedging.quantile) else {
                continue
            }
            known.append(value)
        }
        // What was known before a node came back holds until more is known.
        guard !known.isEmpty else { return lateAfter }
        known.sort()
        return max(known[(known.count - 1) / 2], configuration.hedging.delayMin.nanoseconds)
    }
}
