import LoadBalancing
import Overload
import Vocabulary

/// Clients with a `ClusterPolicy` each, before nodes with workers and queues, in virtual time.
///
/// A discrete-event simulation: the same configuration and seed give the same result, event for event. What a client does is
/// what a driver of the policy does; nodes answer as Protos/README.md says (a full queue rejects with a safe retry, a call whose
/// time is over is dropped).
package struct ClusterSimulation {
    private struct Client {
        var policy: ClusterPolicy
        /// By call index: place in `result.calls`.
        var records: [Int]
        /// Jobs that are out, by node.
        var out: [[Int]]
        /// The life of the node that its connection is to; nil: none.
        var connectedLife: [Int?]
        var timer = UInt64.max
    }

    private let configuration: SimulationConfiguration
    private let workload: Workload
    private let owners: Rendezvous
    private var random: RandomSource
    private var events = EventHeap()
    private var nodes: [SimulatedNode]
    private var clients: [Client] = []
    private var jobs: [Job] = []
    private var loadFactor = 1.0
    private var now: UInt64 = 0
    private var actions: [ClusterAction] = []
    private var result: SimulationResult
    private let end: UInt64

    package init(_ configuration: SimulationConfiguration, workload: Workload? = nil, seed: UInt64) {
        self.configuration = configuration
        self.workload = workload ?? Workload(users: configuration.users, skew: configuration.skew)
        random = RandomSource(seed: seed)
        nodes = [SimulatedNode](repeating: SimulatedNode(), count: configuration.nodes)
        result = SimulationResult(nodes: configuration.nodes)
        end = UInt64(configuration.duration * 1e9)
        let descriptions = (0..<configuration.nodes).map { NodeDescription(name: "node-\($0):7400") }
        owners = Rendezvous(
            descriptions.enumerated().map { .init(index: $0, key: XXH64.hash($1.name)) })
        for client in 0..<configuration.clients {
            var policy = ClusterPolicy(configuration.cluster, seed: random.next(), at: 0)
            policy.setNodes(descriptions, rendezvous: owners, at: 0, into: &actions)
            clients.append(
                Client(
                    policy: policy, records: [Int](repeating: -1, count: configuration.cluster.callsMax),
                    out: [[Int]](repeating: [], count: configuration.nodes),
                    connectedLife: [Int?](repeating: nil, count: configuration.nodes)))
            act(client)
            events.push(.arrival, client, at: UInt64(1e6 + random.exponential() / configuration.rate * 1e9))
        }
        for (index, fault) in configuration.faults.enumerated() {
            events.push(.faultChanges, index, 1, at: UInt64(fault.from * 1e9))
            if case .flapping(let period) = fault.kind {
                var time = fault.from + period / 2
                var starts = false
                while time < fault.until {
                    events.push(.faultChanges, index, starts ? 1 : 0, at: UInt64(time * 1e9))
                    starts.toggle()
                    time += period / 2
                }
            }
            events.push(.faultChanges, index, 0, at: UInt64(fault.until * 1e9))
        }
    }

    /// Runs until every call has ended.
    package mutating func run() -> SimulationResult {
        while let event = events.pop() {
            now = event.time
            result.events += 1
            let place = Int(event.place)
            let detail = Int(event.detail)
            switch event.kind {
            case .arrival: arrive(place)
            case .callArrives: receive(detail)
            case .workDone: workDone(detail)
            case .replyArrives: reply(detail)
            case .cancelArrives: jobs[detail].isCancelled = true
            case .timer:
                guard clients[place].timer == now else { continue }
                clients[place].timer = .max
                clients[place].policy.timer(now, into: &actions)
                act(place)
            case .connectEnds: connectEnds(place, detail)
            case .connectionLost: connectionLost(place, detail)
            case .faultChanges: change(configuration.faults[place], begins: detail == 1)
            }
            // The clients' clocks go on until their last call has ended, and no longer.
            if now > end, clients.allSatisfy({ $0.policy.callsUnderWay == 0 }) { break }
        }
        result.counts = clients.map(\.policy.counts)
        return result
    }

    // MARK: Clients

    private mutating func arrive(_ client: Int) {
        let gap = random.exponential() / (configuration.rate * loadFactor) * 1e9
        let next = now + UInt64(gap) + 1
        if next < end { events.push(.arrival, client, at: next) }
        let slot = workload.slot(&random)
        let request = CallRequest(
            slot: slot, isRepeatable: random.unit() < configuration.repeatableShare,
            deadline: now + UInt64(configuration.deadline * 1e9))
        result.calls.append(SimulationResult.Call(start: now, client: Int32(client), priority: priority()))
        switch clients[client].policy.pick(request, at: now, into: &actions) {
        case .send(let sending):
            clients[client].records[sending.attempt.call.index] = result.calls.count - 1
            result.firstSendings[sending.node] += 1
            if owners.node(of: slot, at: 0) == sending.node { result.toOwner += 1 }
            send(sending, client)
        case .ended(let end):
            result.calls[result.calls.count - 1].end = now
            result.calls[result.calls.count - 1].ending = end == .noNode ? .noNode : .failed
        }
        act(client)
    }

    private mutating func send(_ sending: Sending, _ client: Int) {
        result.attempts += 1
        result.attemptTimes.append(now)
        let job = Job(
            client: client, node: sending.node, attempt: sending.attempt, timeout: sending.timeout,
            priority: sending.kind == .probe
                ? .background : result.calls[clients[client].records[sending.attempt.call.index]].priority,
            life: clients[client].connectedLife[sending.node] ?? -1, place: clients[client].out[sending.node].count)
        clients[client].out[sending.node].append(jobs.count)
        jobs.append(job)
        events.push(.callArrives, sending.node, jobs.count - 1, at: now + delay())
    }

    /// Nobody keeps the job any more.
    private mutating func forget(_ job: Int) {
        guard jobs[job].isOut else { return }
        jobs[job].isOut = false
        let (client, node, place) = (jobs[job].client, jobs[job].node, jobs[job].place)
        let last = clients[client].out[node].removeLast()
        if last != job {
            clients[client].out[node][place] = last
            jobs[last].place = place
        }
    }

    /// Does what the client's policy asked for and sets its clock.
    private mutating func act(_ client: Int) {
        var next = 0
        while next < actions.count {
            switch actions[next] {
            case .send(let sending, _): send(sending, client)
            case .cancel(let attempt, let node):
                if let job = clients[client].out[node].first(where: { jobs[$0].attempt == attempt }) {
                    forget(job)
                    events.push(.cancelArrives, node, job, at: now + delay())
                }
            case .end(let call, let ending): record(client, call, ending)
            case .connect(let node): events.push(.connectEnds, client, node, at: now + 2 * delay())
            case .ejected(let node, let reason, _):
                result.ejections.append((Double(now) / 1e9, client, node, reason))
                if result.firstEjected[node] == nil { result.firstEjected[node] = now }
                if clients[client].policy.usable.isEmpty { result.ejectedLast += 1 }
            case .disconnect, .restored: break
            }
            next += 1
        }
        actions.removeAll(keepingCapacity: true)
        let due = clients[client].policy.nextTimer
        if due != .max, due < clients[client].timer {
            clients[client].timer = max(due, now)
            events.push(.timer, client, at: max(due, now))
        } else if due > clients[client].timer {
            // The event that is under way finds nothing due, and is set anew.
            clients[client].timer = max(due, now)
            if due != .max { events.push(.timer, client, at: max(due, now)) }
        }
    }

    private mutating func record(_ client: Int, _ call: CallID, _ ending: CallEnd) {
        let place = clients[client].records[call.index]
        guard place >= 0, result.calls[place].ending == .open else {
            result.endedTwice += 1
            return
        }
        clients[client].records[call.index] = -1
        result.calls[place].end = now
        if now > result.calls[place].start + UInt64(configuration.deadline * 1e9) { result.endedLate += 1 }
        result.calls[place].ending =
            switch ending {
            case .answered: .good
            case .deadlineExceeded: .late
            case .noNode: .noNode
            case .failed, .tooManyCalls, .cancelled: .failed
            }
    }

    private mutating func connectEnds(_ client: Int, _ node: Int) {
        if nodes[node].isUp, !nodes[node].isBlackHole, nodes[node].pausedUntil <= now {
            clients[client].connectedLife[node] = nodes[node].life
            clients[client].policy.connected(node, at: now)
        } else {
            clients[client].policy.connectionFailed(node, at: now)
        }
        act(client)
    }

    private mutating func connectionLost(_ client: Int, _ node: Int) {
        guard let life = clients[client].connectedLife[node], life < nodes[node].life else { return }
        clients[client].connectedLife[node] = nil
        clients[client].policy.disconnected(node, at: now, into: &actions)
        act(client)
        for job in clients[client].out[node] {
            // A job may be gone by what the one before it led to.
            guard jobs[job].isOut else { continue }
            forget(job)
            clients[client].policy.completed(jobs[job].attempt, .connectionLost, at: now, into: &actions)
            act(client)
        }
    }

    private mutating func reply(_ job: Int) {
        guard jobs[job].isOut else { return }
        forget(job)
        let done = jobs[job]
        clients[done.client].policy.completed(
            done.attempt, done.outcome, loadHint: done.hint, at: now, into: &actions)
        act(done.client)
    }

    // MARK: Nodes

    private mutating func receive(_ job: Int) {
        let node = jobs[job].node
        guard nodes[node].isUp, jobs[job].life == nodes[node].life else {
            // The connection is gone, which the client learns at the latest when it has sent something.
            return events.push(.connectionLost, jobs[job].client, node, at: now + delay())
        }
        guard !nodes[node].isBlackHole else { return }
        guard nodes[node].pausedUntil <= now else {
            return events.push(.callArrives, node, job, at: nodes[node].pausedUntil)
        }
        jobs[job].arrived = now
        if nodes[node].refusing > 0, random.unit() < nodes[node].refusing {
            return answer(job, .rejected(.unavailable, retryAfter: 0))
        }
        if nodes[node].failing > 0, random.unit() < nodes[node].failing {
            return answer(job, .failed(.internal))
        }
        let drawn = configuration.serviceMedian * random.logNormal(spread: configuration.serviceSpread)
        jobs[job].service = UInt64(drawn * nodes[node].slowness * 1e9)
        if nodes[node].busy < configuration.workers {
            start(job)
        } else if mayWait(job) {
            nodes[node].enqueue(job, rank: configuration.overload == .queueOnly ? 0 : jobs[job].priority.rawValue)
        } else {
            answer(job, .rejected(.resourceExhausted, retryAfter: 0))
        }
    }

    private mutating func mayWait(_ job: Int) -> Bool {
        let node = jobs[job].node
        switch configuration.overload {
        case .queueOnly: return nodes[node].waiting < configuration.queueMax
        case .waitBound:
            let patience = jobs[job].timeout == 0 ? UInt64.max : jobs[job].timeout
            return nodes[node].bound.admit(jobs[job].priority, patience: patience, at: now)
        }
    }

    private mutating func start(_ job: Int) {
        nodes[jobs[job].node].busy += 1
        events.push(.workDone, jobs[job].node, job, at: now + jobs[job].service)
    }

    private mutating func workDone(_ job: Int) {
        let node = jobs[job].node
        guard jobs[job].life == nodes[node].life else { return }
        guard nodes[node].pausedUntil <= now else {
            return events.push(.workDone, node, job, at: nodes[node].pausedUntil)
        }
        nodes[node].busy -= 1
        while nodes[node].busy < configuration.workers, let next = nodes[node].dequeue() {
            let waited = now - jobs[next].arrived
            let isOver = jobs[next].timeout > 0 && waited > jobs[next].timeout
            if configuration.overload == .waitBound {
                guard !jobs[next].isCancelled, !isOver,
                    !nodes[node].bound.isTooLate(jobs[next].priority, waited: waited)
                else {
                    nodes[node].bound.dropped(jobs[next].priority)
                    if !jobs[next].isCancelled { answer(next, .rejected(.resourceExhausted, retryAfter: 0)) }
                    continue
                }
                nodes[node].bound.began(jobs[next].priority, waited: waited, at: now)
            }
            if jobs[next].isCancelled { continue }
            if isOver {
                answer(next, .rejected(.deadlineExceeded, retryAfter: 0))
                continue
            }
            start(next)
        }
        answer(job, .success)
    }

    private mutating func answer(_ job: Int, _ outcome: AttemptOutcome) {
        let node = jobs[job].node
        guard !nodes[node].isBlackHole else { return }
        jobs[job].outcome = outcome
        let busy = Double(nodes[node].busy) / Double(configuration.workers)
        let queue = Double(nodes[node].waiting) / Double(configuration.queueMax)
        jobs[job].hint = UInt16(65535 * min(1, 0.5 * busy + 0.5 * queue))
        let added = UInt64(Double(jobs[job].service) * (nodes[node].delay - 1))
        events.push(.replyArrives, node, job, at: now + added + delay())
    }

    private mutating func priority() -> CallPriority {
        guard configuration.overload == .waitBound else { return .normal }
        let point = random.unit()
        return point < 0.1 ? .critical : point < 0.5 ? .normal : point < 0.85 ? .sheddable : .background
    }

    private mutating func delay() -> UInt64 {
        let range = configuration.networkDelay
        return UInt64((range.lowerBound + random.unit() * (range.upperBound - range.lowerBound)) * 1e9)
    }

    // MARK: Faults

    private mutating func change(_ fault: Fault, begins: Bool) {
        if case .load(let factor) = fault.kind {
            loadFactor = begins ? factor : 1
            return
        }
        for node in nodes.indices where fault.node == nil || fault.node == node {
            switch fault.kind {
            case .delayed(let factor): nodes[node].delay = begins ? factor : 1
            case .degraded(let factor): nodes[node].slowness = begins ? factor : 1
            case .killed, .flapping:
                if begins, nodes[node].isUp {
                    nodes[node].die()
                    for client in clients.indices { events.push(.connectionLost, client, node, at: now + delay()) }
                } else if !begins {
                    nodes[node].isUp = true
                }
            case .paused: nodes[node].pausedUntil = begins ? UInt64(fault.until * 1e9) : now
            case .blackHole: nodes[node].isBlackHole = begins
            case .refusing(let share): nodes[node].refusing = begins ? share : 0
            case .failing(let share): nodes[node].failing = begins ? share : 0
            case .load: break
            }
        }
    }
}
