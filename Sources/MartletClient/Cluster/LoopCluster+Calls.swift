import LoadBalancing
import NIOCore
import Vocabulary
import Wire

/// The way of a call: sent, sent again, answered or ended.
extension LoopCluster {
    /// Takes calls from the mailbox. Each ends, whatever happens.
    func take(_ calls: [any AnyCall], cancelled: [any AnyCall]) {
        tick()
        for call in calls {
            gauge(taken: call.count)
            for item in 0..<call.count where !call.isFinished(item) {
                if let stopped { call.fail(item, stopped) } else { start(CallItem(call: call, item: item)) }
            }
        }
        var hasForgotten = false
        for call in cancelled {
            for item in 0..<call.count {
                let mark = call.mark(item)
                if mark == 0 {
                    hasForgotten = true
                } else {
                    policy.cancel(CallID(raw: mark), at: now, into: &actions)
                }
            }
        }
        if hasForgotten { waiting.removeAll { $0.isFinished } }
        settle()
    }

    /// Asks the policy where a call goes, and sends it.
    func start(_ item: CallItem) {
        let method = item.call.method
        let slot = item.call.slot(item.item)
        let request = CallRequest(
            slot: slot, isRepeatable: method.isRepeatable, keepsToOwner: method.keepsToOwner,
            deadline: item.call.deadline?.uptimeNanoseconds ?? .max)
        switch policy.pick(request, at: now, into: &actions) {
        case .send(let sending):
            counts.calls += 1
            enter(sending.attempt.call, item)
            item.call.setMark(item.item, sending.attempt.call.raw)
            transmit(sending, slot)
        case .ended(.deadlineExceeded):
            counts.deadlinesPassed += 1
            item.fail(.deadlineExceeded("the call was still waiting to be sent", retryIsSafe: true))
        case .ended(.tooManyCalls):
            counts.refused += 1
            item.fail(
                MartletClientError(
                    .resourceExhausted,
                    "\(policy.callsUnderWay) calls are under way on this event loop, the configured maximum",
                    retryIsSafe: true))
        case .ended: hold(item)
        }
    }

    private func enter(_ call: CallID, _ item: CallItem, isProbe: Bool = false) {
        while entries.count <= call.index { entries.append(Entry()) }
        entries[call.index].call = call.raw
        entries[call.index].item = item
        entries[call.index].isProbe = isProbe
    }

    /// A further sending: of the call itself, or of a copy of it.
    func resend(_ sending: Sending, of original: CallID) {
        guard original.index < entries.count, entries[original.index].call == original.raw,
            let item = entries[original.index].item
        else { return report(sending.attempt.raw, .notSent) }
        if sending.kind == .probe { enter(sending.attempt.call, item, isProbe: true) }
        transmit(sending, item.call.slot(item.item))
    }

    private func transmit(_ sending: Sending, _ slot: Slot?) {
        let link = links[sending.node]
        switch sending.kind {
        case .first: link?.counts.picks += 1
        case .retry: link?.counts.retries += 1
        case .hedge: link?.counts.hedges += 1
        case .probe: link?.counts.probes += 1
        }
        let deadline = sending.timeout == 0 ? UInt64.max : now &+ sending.timeout
        let handler = link?.handler(for: slot)
        let sent = Sent(
            attempt: sending.attempt.raw, node: sending.node, kind: sending.kind, id: 0, handler: handler,
            deadline: deadline, sentAt: now)
        let index = sending.attempt.call.index
        if entries[index].first.attempt == 0 { entries[index].first = sent } else { entries[index].second = sent }
        guard let handler else { return attemptNotSent(sending.attempt.raw) }
        if handler.hasRoom, handler.backlog.isEmpty {
            write(sending.attempt.raw, index, handler)
        } else {
            handler.backlog.append(sending.attempt.raw)
            backlogged += 1
        }
    }

    private func write(_ attempt: UInt64, _ index: Int, _ handler: NodeChannelHandler) {
        guard let item = entries[index].item else { return }
        let isFirst = entries[index].first.attempt == attempt
        let deadline = isFirst ? entries[index].first.deadline : entries[index].second.deadline
        // At least a microsecond: zero would mean that there is no limit.
        let left = deadline == .max ? 0 : UInt32(clamping: max(1, (deadline - min(now, deadline)) / 1000))
        do throws(MartletClientError) {
            let id = try handler.send(item, attempt: attempt, timeoutMicroseconds: left)
            if isFirst { entries[index].first.id = id } else { entries[index].second.id = id }
            markDirty(handler)
        } catch {
            entries[index].fault = error
            report(attempt, .refused(error.code))
        }
    }

    /// Sends what waits for room, as far as there is some.
    func hasRoom(_ handler: NodeChannelHandler) {
        if !handler.backlog.isEmpty {
            tick()
            while handler.hasRoom, let attempt = handler.backlog.popFirst() {
                backlogged -= 1
                let index = AttemptID(raw: attempt).call.index
                // Those that were taken back are gone from the table.
                if isOut(attempt, index) { write(attempt, index, handler) }
            }
        }
        settle()
    }

    private func isOut(_ attempt: UInt64, _ index: Int) -> Bool {
        index < entries.count && (entries[index].first.attempt == attempt || entries[index].second.attempt == attempt)
    }

    // MARK: Outcomes

    func replied(_ attempt: UInt64, _ header: FrameHeader, _ body: ByteBuffer, at time: NIODeadline) {
        // The end of the call is delivered while the reply is at hand.
        guard !isActing else {
            eventLoop.assumeIsolated().execute { self.replied(attempt, header, body, at: time) }
            return
        }
        tick(to: time)
        let index = AttemptID(raw: attempt).call.index
        guard isOut(attempt, index) else { return }
        let node = node(of: attempt, index)
        let outcome: AttemptOutcome
        if header.status == .ok {
            outcome = .success
            links[node]?.counts.answered += 1
            let sentAt =
                entries[index].first.attempt == attempt ? entries[index].first.sentAt : entries[index].second.sentAt
            links[node]?.counts.record(latency: now - min(now, sentAt))
        } else {
            let fault = MartletClientError(
                header.status, header.replyFlags, try? ErrorBody(decoding: body, arena: arena))
            outcome = AttemptOutcome(
                status: header.status, retryIsSafe: fault.retryIsSafe,
                retryAfter: fault.retryAfter.map { UInt64(clamping: TimeAmount($0).nanoseconds) } ?? 0)
            links[node]?.counts.count(outcome)
            note(attempt, index, fault, outcome)
        }
        reply = (attempt, header, body)
        policy.completed(
            AttemptID(raw: attempt), outcome, loadHint: header.slotOrLoad, at: now, into: &actions)
        clear(attempt, index)
        settle()
        reply = nil
    }

    /// The connection ended before the answer came.
    func attemptLost(_ attempt: UInt64, _ reason: MartletClientError) {
        tick()
        let index = AttemptID(raw: attempt).call.index
        guard isOut(attempt, index) else { return }
        links[node(of: attempt, index)]?.counts.lost += 1
        note(attempt, index, reason, .connectionLost)
        report(attempt, .connectionLost)
    }

    /// It never left this process.
    func attemptNotSent(_ attempt: UInt64) {
        let index = AttemptID(raw: attempt).call.index
        guard isOut(attempt, index) else { return }
        let node = node(of: attempt, index)
        let reason =
            links[node]?.lastFailure
            ?? MartletClientError(.unavailable, "\(name(of: node)) is not connected", retryIsSafe: true)
        note(attempt, index, reason, .notSent)
        report(attempt, .notSent)
    }

    private func report(_ attempt: UInt64, _ outcome: AttemptOutcome) {
        policy.completed(AttemptID(raw: attempt), outcome, at: now, into: &actions)
        clear(attempt, AttemptID(raw: attempt).call.index)
    }

    private func node(of attempt: UInt64, _ index: Int) -> Int {
        entries[index].first.attempt == attempt ? entries[index].first.node : entries[index].second.node
    }

    private func name(of node: Int) -> String {
        links.indices.contains(node) ? links[node]?.node.name ?? "a node that is no more" : "a node that is no more"
    }

    /// Remembers what went wrong, for the error of the call.
    private func note(_ attempt: UInt64, _ index: Int, _ fault: MartletClientError, _ outcome: AttemptOutcome) {
        guard !entries[index].isProbe else { return }
        switch outcome {
        case .failed, .connectionLost: entries[index].mayHaveBegun = true
        case .success, .refused, .rejected, .notSent: break
        }
        entries[index].fault = fault
        let kind = entries[index].first.attempt == attempt ? entries[index].first.kind : entries[index].second.kind
        entries[index].tried.append(
            MartletClientError.Attempt(
                node: name(of: node(of: attempt, index)), kind: kind.rawValue,
                outcome: "\(fault.code.name): \(fault.message)"))
    }

    /// The attempt is over. A copy's place is free with it.
    private func clear(_ attempt: UInt64, _ index: Int) {
        guard index < entries.count else { return }
        if entries[index].first.attempt == attempt {
            entries[index].first.attempt = 0
            entries[index].first.handler = nil
        } else if entries[index].second.attempt == attempt {
            entries[index].second.attempt = 0
            entries[index].second.handler = nil
        }
        if entries[index].isProbe { entries[index] = Entry() }
    }

    /// Nobody waits for the attempt any more: the node is told.
    func takeBack(_ attempt: AttemptID) {
        let index = attempt.call.index
        guard isOut(attempt.raw, index) else { return }
        let sent = entries[index].first.attempt == attempt.raw ? entries[index].first : entries[index].second
        if sent.id != 0, let handler = sent.handler {
            handler.abandon(sent.id, attempt: attempt.raw)
            markDirty(handler)
        }
        links[sent.node]?.counts.cancelled += 1
        if sent.kind == .hedge { links[sent.node]?.counts.hedgesCancelled += 1 }
        clear(attempt.raw, index)
    }

    // MARK: Ends

    func finish(_ call: CallID, _ end: CallEnd) {
        guard call.index < entries.count, entries[call.index].call == call.raw, let item = entries[call.index].item
        else { return }
        var entry = Entry()
        swap(&entry, &entries[call.index])
        switch end {
        case .answered(let attempt):
            if let reply, reply.attempt == attempt.raw {
                if reply.header.status == .ok {
                    counts.answered += 1
                    item.call.complete(item.item, reply.header, reply.body, arena: arena)
                } else {
                    counts.failed += 1
                    item.fail(error(entry))
                }
            } else {
                // It could not be sent to any node.
                counts.failed += 1
                item.fail(error(entry))
            }
        case .failed:
            counts.failed += 1
            item.fail(error(entry))
        case .noNode:
            counts.failed += 1
            item.fail(entry.fault == nil ? noNode() : error(entry))
        case .tooManyCalls:
            counts.refused += 1
            item.fail(error(entry))
        case .deadlineExceeded:
            counts.deadlinesPassed += 1
            item.fail(deadlineError(entry))
        case .cancelled:
            counts.cancelled += 1
            item.fail(stopped ?? .cancelled)
        }
    }

    private func error(_ entry: Entry) -> MartletClientError {
        var error = entry.fault ?? MartletClientError(.unavailable, "the call could not be sent", retryIsSafe: true)
        error.retryIsSafe = error.retryIsSafe && !entry.mayHaveBegun
        return error.tried(entry.tried)
    }

    private func deadlineError(_ entry: Entry) -> MartletClientError {
        // Sendings leave their node behind when they are over.
        let nodes = [entry.first, entry.second].filter { $0.node >= 0 && $0.id != 0 }.map { name(of: $0.node) }
        let what =
            nodes.isEmpty
            ? "the call was still waiting to be sent" : "\(nodes.joined(separator: " and ")) did not answer in time"
        return MartletClientError.deadlineExceeded(what, retryIsSafe: nodes.isEmpty && !entry.mayHaveBegun)
            .tried(entry.tried)
    }
}
