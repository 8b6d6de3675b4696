import Resilience

/// The way of a call: its first sending, what comes back, and its end.
extension ClusterPolicy {
    /// Takes a call and says where it goes.
    ///
    /// - Parameter actions: A copy of the call for an ejected node may be added to it.
    package mutating func pick(
        _ request: CallRequest, at now: UInt64, into actions: inout [ClusterAction]
    ) -> Decision {
        guard request.deadline > now else { return .ended(.deadlineExceeded) }
        guard
            let node = node(for: request.slot, keepsToOwner: request.keepsToOwner, at: now)
        else { return .ended(.noNode) }
        guard let index = calls.take() else { return .ended(.tooManyCalls) }
        counts.calls += 1
        retryBudget.recordCall(at: now)
        retryBurst.recordCall(at: now)
        hedgeBudget.recordCall(at: now)
        shares.take(node)
        calls[index].slot = request.slot
        calls[index].isRepeatable = request.isRepeatable
        calls[index].keepsToOwner = request.keepsToOwner
        calls[index].deadline = request.deadline
        calls[index].retriesLeft = configuration.retries.attemptsMax - 1
        let sending = launch(index, to: node, .first, at: now)
        if nodesOut > 0, request.isRepeatable { probe(index, at: now, into: &actions) }
        if nextTick == .max { nextTick = now &+ tick }
        return .send(sending)
    }

    /// What became of an attempt. Attempts that were cancelled, or whose call has ended, may be reported; they change nothing.
    ///
    /// - Parameter loadHint: Of the reply's frame, 65535 is full; nil: there was no reply.
    package mutating func completed(
        _ attempt: AttemptID, _ outcome: AttemptOutcome, loadHint: UInt16? = nil, at now: UInt64,
        into actions: inout [ClusterAction]
    ) {
        guard let index = calls.entry(of: attempt.raw) else { return }
        let done: CallTable.Attempt
        if calls[index].first.ordinal == attempt.ordinal, attempt.ordinal > 0 {
            done = calls[index].first
            calls[index].first = CallTable.Attempt()
        } else if calls[index].second.ordinal == attempt.ordinal, attempt.ordinal > 0 {
            done = calls[index].second
            calls[index].second = CallTable.Attempt()
        } else {
            return
        }
        if let loadHint {
            nodes[done.node].loadHint = Double(loadHint) / 65535
            nodes[done.node].loadHintAt = now
        }
        account(done, outcome, at: now, into: &actions)
        if calls[index].isProbe {
            endProbe(index, of: done.node, outcome, latency: now - min(now, done.sentAt), at: now, into: &actions)
            return
        }
        switch outcome {
        case .success, .refused:
            if done.ordinal > 1, calls[index].hedgeOrdinal == done.ordinal { counts.hedgesWon += 1 }
            finish(index, .answered(attempt), at: now, into: &actions)
        case .failed, .rejected, .notSent, .connectionLost:
            calls[index].avoid = done.node
            // Its twin may still answer.
            guard calls[index].attemptsOut == 0 else { return }
            retry(index, after: outcome, at: now, into: &actions)
        }
    }

    /// Nobody waits for the call any more.
    package mutating func cancel(_ call: CallID, at now: UInt64, into actions: inout [ClusterAction]) {
        guard let index = calls.entry(of: call.raw), !calls[index].isProbe else { return }
        finish(index, .cancelled, at: now, into: &actions)
    }

    /// Sends a call, or a copy of one, to a node.
    mutating func launch(_ index: Int, to node: Int, _ kind: Sending.Kind, at now: UInt64) -> Sending {
        calls[index].ordinals += 1
        let ordinal = calls[index].ordinals
        var attempt = CallTable.Attempt()
        attempt.ordinal = ordinal
        attempt.node = node
        attempt.sentAt = now
        attempt.ticket = nodes[node].breaker.admit(at: now)
        if calls[index].first.isOut { calls[index].second = attempt } else { calls[index].first = attempt }
        if kind == .hedge { calls[index].hedgeOrdinal = ordinal }
        vitals[node].sent(at: now)
        counts.attempts += 1
        if configuration.hedging.isOn, let lateAfter, kind == .first || kind == .retry, calls[index].isRepeatable {
            calls[index].hedgeAt = now &+ lateAfter
        }
        let due = calls[index].due
        if due != .max { timers.set(index, at: due) } else { timers.remove(index) }
        let deadline = calls[index].deadline
        return Sending(
            attempt: AttemptID(generation: calls[index].generation, entry: index, ordinal: ordinal), node: node,
            kind: kind, timeout: deadline == .max ? 0 : deadline - min(now, deadline))
    }

    /// What an outcome tells of the node.
    private mutating func account(
        _ attempt: CallTable.Attempt, _ outcome: AttemptOutcome, at now: UInt64, into actions: inout [ClusterAction]
    ) {
        let node = attempt.node
        let latency = now - min(now, attempt.sentAt)
        // A node that fails fast must not look fast.
        let atLeastCost = max(Double(latency), nodes[node].cost.cost)
        let verdict: CircuitBreaker.Outcome
        var answered = true
        switch outcome {
        case .success, .refused:
            vitals[node].worked(latency: latency, at: now)
            nodes[node].cost.observe(Double(latency), decay: decay, at: now)
            verdict = .success
        case .failed, .rejected(.unavailable, _):
            vitals[node].failed(at: now)
            nodes[node].cost.observe(atLeastCost, decay: decay, at: now)
            verdict = .failure
        case .rejected:
            // Full, not broken: ejecting nodes because there is too much to do leaves more to the others.
            nodes[node].cost.observe(atLeastCost, decay: decay, at: now)
            verdict = .neutral
        case .connectionLost:
            vitals[node].failed(at: now)
            verdict = .failure
            answered = false
        case .notSent:
            verdict = .neutral
            answered = false
        }
        vitals[node].ended(at: now, answered: answered)
        tell(verdict, of: attempt, at: now, into: &actions)
    }

    /// Gives an attempt's ticket back to its node's circuit breaker.
    mutating func tell(
        _ verdict: CircuitBreaker.Outcome, of attempt: CallTable.Attempt, at now: UInt64,
        into actions: inout [ClusterAction]
    ) {
        guard let ticket = attempt.ticket else { return }
        if nodes[attempt.node].breaker.record(verdict, of: ticket, at: now, using: &random) == .open {
            guard !detector.othersFail(attempt.node, among: &vitals, peers: usable, at: now) else {
                counts.ejectionsForbidden += 1
                return
            }
            eject(attempt.node, .failures, at: now, into: &actions)
        }
    }

    /// Ends a call and takes back what is still out of it.
    mutating func finish(_ index: Int, _ end: CallEnd, at now: UInt64, into actions: inout [ClusterAction]) {
        let call = AttemptID(generation: calls[index].generation, entry: index, ordinal: 0).call
        giveUp(calls[index].first, of: index, countsAsFailure: false, at: now, into: &actions)
        giveUp(calls[index].second, of: index, countsAsFailure: false, at: now, into: &actions)
        timers.remove(index)
        calls.release(index)
        actions.append(.end(call, end))
    }

    /// Stops waiting for an attempt.
    mutating func giveUp(
        _ attempt: CallTable.Attempt, of index: Int, countsAsFailure: Bool, at now: UInt64,
        into actions: inout [ClusterAction]
    ) {
        guard attempt.isOut else { return }
        let elapsed = now - min(now, attempt.sentAt)
        vitals[attempt.node].abandoned(after: elapsed, at: now)
        vitals[attempt.node].ended(at: now, answered: false)
        let cost = nodes[attempt.node].cost.cost
        if Double(elapsed) > cost { nodes[attempt.node].cost.observe(Double(elapsed), decay: decay, at: now) }
        if countsAsFailure { vitals[attempt.node].failed(at: now) }
        if calls[index].first.ordinal == attempt.ordinal {
            calls[index].first = CallTable.Attempt()
        } else {
            calls[index].second = CallTable.Attempt()
        }
        actions.append(
            .cancel(
                AttemptID(generation: calls[index].generation, entry: index, ordinal: attempt.ordinal),
                node: attempt.node))
        tell(countsAsFailure ? .failure : .neutral, of: attempt, at: now, into: &actions)
    }
}
