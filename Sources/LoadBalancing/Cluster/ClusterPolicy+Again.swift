import Resilience

/// Second sendings: retries of what failed, hedges of what is late, rescues of what is lost, copies for those on trial.
extension ClusterPolicy {
    /// Sends a call again if that is safe, worth it and paid for; else ends it.
    mutating func retry(
        _ index: Int, after outcome: AttemptOutcome, at now: UInt64, into actions: inout [ClusterAction]
    ) {
        let isSafe: Bool
        var wait: UInt64 = 0
        switch outcome {
        case .notSent: isSafe = true
        case .rejected(_, let retryAfter):
            isSafe = true
            wait = retryAfter
        case .failed, .connectionLost: isSafe = calls[index].isRepeatable
        case .success, .refused: isSafe = false
        }
        let ordinals = calls[index].ordinals
        guard isSafe, calls[index].retriesLeft > 0, ordinals < configuration.retries.attemptsMax else {
            return finish(index, .failed(outcome), at: now, into: &actions)
        }
        // Elsewhere at once, the first time; a node's wish to be left alone is about that node.
        let elsewhere = calls[index].keepsToOwner ? nil : otherNode(index, at: now)
        if elsewhere != nil, ordinals == 1 {
            wait = 0
        } else {
            let backoff = configuration.retries.backoff.length(ordinals - 1)
            wait = max(wait, backoff / 2 + UInt64(random.unit() * Double(backoff) / 2))
        }
        guard now &+ wait < calls[index].deadline, takeRetry(at: now) else {
            return finish(index, .failed(outcome), at: now, into: &actions)
        }
        calls[index].retriesLeft -= 1
        if wait == 0 {
            resend(index, at: now, into: &actions)
        } else {
            calls[index].hedgeAt = .max
            calls[index].retryAt = now &+ wait
            timers.set(index, at: calls[index].due)
        }
    }

    /// Whether there may be one more sending; it is counted if so.
    private mutating func takeRetry(at now: UInt64) -> Bool {
        guard retryBurst.remaining(at: now) >= 1, retryBudget.takeRetry(at: now) else { return false }
        return retryBurst.takeRetry(at: now)
    }

    /// Makes the retry that was decided on.
    mutating func resend(_ index: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        let target =
            (calls[index].keepsToOwner ? nil : otherNode(index, at: now))
            ?? node(for: calls[index].slot, keepsToOwner: calls[index].keepsToOwner, at: now)
        guard let target else { return finish(index, .noNode, at: now, into: &actions) }
        counts.retries += 1
        let sending = launch(index, to: target, .retry, at: now)
        actions.append(.send(sending, copyOf: sending.attempt.call))
    }

    /// A node that does not have the call and did not fail it.
    private mutating func otherNode(_ index: Int, at now: UInt64) -> Int? {
        let entry = calls[index]
        let busy = entry.first.isOut ? entry.first.node : entry.second.isOut ? entry.second.node : -1
        return node(for: entry.slot, keepsToOwner: false, avoiding: entry.avoid, and: busy, at: now)
    }

    /// Sends a call that is late to a second node, if that is paid for and the node is not busy itself.
    mutating func hedge(_ index: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        guard calls[index].attemptsOut == 1, calls[index].ordinals < AttemptID.ordinalMax else { return }
        // What is kept for copies brings ejected nodes back.
        guard hedgeBudget.remaining(at: now) >= (nodesOut > 0 ? 4 : 1), retryBudget.remaining(at: now) >= 1,
            retryBurst.remaining(at: now) >= 1,
            let target = otherNode(index, at: now), loadHint(target, at: now) <= configuration.hedging.loadMax,
            hedgeBudget.takeRetry(at: now), takeRetry(at: now)
        else { return }
        counts.hedges += 1
        let sending = launch(index, to: target, .hedge, at: now)
        actions.append(.send(sending, copyOf: sending.attempt.call))
    }

    /// Sends what waits for a silent node to others, as far as the retry budget goes.
    mutating func rescue(from node: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        for index in calls.entries.indices {
            let entry = calls.entries[index]
            guard entry.isLive, !entry.isProbe, entry.isRepeatable, entry.attemptsOut == 1, entry.retriesLeft > 0,
                (entry.first.isOut ? entry.first : entry.second).node == node, entry.deadline > now
            else { continue }
            guard let target = otherNode(index, at: now), takeRetry(at: now) else { return }
            calls[index].retriesLeft -= 1
            counts.retries += 1
            let sending = launch(index, to: target, .retry, at: now)
            actions.append(.send(sending, copyOf: sending.attempt.call))
        }
    }

    /// Sends a copy of a call to a node on trial, if one wants it.
    mutating func probe(_ original: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        for node in nodes.indices where nodes[node].ejection.wantsProbe(at: now) {
            guard nodes[node].isMember, nodes[node].connectivity.isReady, !isUsable[node],
                hedgeBudget.takeRetry(at: now), takeRetry(at: now), let index = calls.take()
            else { continue }
            calls[index].isProbe = true
            calls[index].isRepeatable = true
            calls[index].deadline = min(calls[original].deadline, now &+ configuration.breaker.probeTimeout.nanoseconds)
            nodes[node].ejection.probeSent(configuration.outliers, at: now)
            counts.probes += 1
            let sending = launch(index, to: node, .probe, at: now)
            let call = AttemptID(generation: calls[original].generation, entry: original, ordinal: 0).call
            actions.append(.send(sending, copyOf: call))
            return
        }
    }

    /// A copy was answered, or failed.
    mutating func endProbe(
        _ index: Int, of node: Int, _ outcome: AttemptOutcome?, latency: UInt64, at now: UInt64,
        into actions: inout [ClusterAction]
    ) {
        timers.remove(index)
        calls.release(index)
        guard nodes[node].isMember else { return }
        let good = outcome == .success || { if case .refused = outcome { true } else { false } }()
        if case .rejected(.resourceExhausted, _) = outcome { return nodes[node].ejection.probeLost() }
        let usual = detector.baseline(without: node, vitals, usable, at: now)
        switch nodes[node].ejection.probeEnded(
            latency: good ? latency : nil, usual: usual, configuration.outliers, at: now)
        {
        case true: restored(node, at: now, into: &actions)
        case false:
            let reason = nodes[node].ejection.reason
            let until = nodes[node].ejection.eject(
                reason, configuration.outliers,
                atLeastUntil: nodes[node].breaker.state == .closed ? 0 : nodes[node].breaker.openUntil, at: now)
            counts.ejections += 1
            actions.append(.ejected(node: node, reason, until: until))
        case nil: break
        }
    }
}
