import LoadBalancing
import Testing
import Vocabulary

/// A driver of a policy by hand: it does what the policy says to a list, and checks what must hold after every step.
struct ClusterDriver {
    static let ms: UInt64 = 1_000_000

    struct Out {
        var sending: Sending
        var call: CallID
    }

    struct Known {
        var request: CallRequest
        var attempts = 0
        /// A failed attempt may have begun its work.
        var mayHaveBegun = false
    }

    var policy: ClusterPolicy
    var now: UInt64 = 1
    /// Attempts that were sent and not reported, and not taken back.
    var out: [Out] = []
    /// Calls that have not ended.
    var open: [CallID: Known] = [:]
    var ends: [(call: CallID, end: CallEnd)] = []
    var connecting: Set<Int> = []
    var ready: Set<Int> = []
    var ejections: [(node: Int, reason: OutlierDetector.Reason)] = []
    var restored: [Int] = []
    var members = 0
    let label: String

    init(_ configuration: ClusterConfiguration, nodes: Int, seed: UInt64 = 1, connects: Bool = true) {
        policy = ClusterPolicy(configuration, seed: seed, at: 1)
        label = "seed \(seed)"
        setNodes((0..<nodes).map { NodeDescription(name: "node-\($0)") })
        if connects { for node in connecting { connect(node) } }
    }

    mutating func setNodes(_ nodes: [NodeDescription]) {
        var actions: [ClusterAction] = []
        policy.setNodes(nodes, at: now, into: &actions)
        members = nodes.count
        take(actions)
    }

    mutating func connect(_ node: Int) {
        connecting.remove(node)
        ready.insert(node)
        policy.connected(node, at: now)
        check()
    }

    mutating func failToConnect(_ node: Int) {
        connecting.remove(node)
        policy.connectionFailed(node, at: now)
        check()
    }

    mutating func disconnect(_ node: Int) {
        ready.remove(node)
        var actions: [ClusterAction] = []
        policy.disconnected(node, at: now, into: &actions)
        take(actions)
        for lost in out where lost.sending.node == node { complete(lost.sending.attempt, .connectionLost) }
    }

    @discardableResult
    mutating func pick(_ request: CallRequest) -> Decision {
        var actions: [ClusterAction] = []
        let decision = policy.pick(request, at: now, into: &actions)
        if case .send(let sending) = decision {
            hold(sending.kind == .first, "\(label)")
            open[sending.attempt.call] = Known(request: request)
            sent(sending)
        }
        take(actions)
        return decision
    }

    @discardableResult
    mutating func pick(user: String = "a", repeatable: Bool = true, within: UInt64 = 1000 * ms) -> Sending? {
        let decision = pick(CallRequest(slot: Slot(user: user), isRepeatable: repeatable, deadline: now + within))
        if case .send(let sending) = decision { return sending }
        return nil
    }

    mutating func complete(_ attempt: AttemptID, _ outcome: AttemptOutcome, hint: UInt16? = nil) {
        var actions: [ClusterAction] = []
        let isOut = out.contains { $0.sending.attempt == attempt }
        switch outcome {
        case .failed, .connectionLost: if isOut { open[attempt.call]?.mayHaveBegun = true }
        default: break
        }
        out.removeAll { $0.sending.attempt == attempt }
        policy.completed(attempt, outcome, loadHint: hint, at: now, into: &actions)
        if !isOut { hold(actions.isEmpty, "\(label): a late reply led to \(actions)") }
        take(actions)
    }

    mutating func cancel(_ call: CallID) {
        var actions: [ClusterAction] = []
        policy.cancel(call, at: now, into: &actions)
        take(actions)
    }

    /// Lets time pass, asking the policy whenever it wants to be asked.
    mutating func advance(to time: UInt64) {
        var turns = 0
        while policy.nextTimer <= time {
            now = max(now, policy.nextTimer)
            var actions: [ClusterAction] = []
            policy.timer(now, into: &actions)
            hold(policy.nextTimer > now, "\(label): the timer is due again at once")
            take(actions)
            turns += 1
            guard turns < 10_000 else {
                Issue.record("\(label): the timer does not come to rest")
                return
            }
        }
        now = max(now, time)
        check()
    }

    private mutating func sent(_ sending: Sending) {
        hold(ready.contains(sending.node), "\(label): sent to node \(sending.node), which is not connected")
        if sending.kind != .probe, let known = open[sending.attempt.call] {
            open[sending.attempt.call]?.attempts += 1
            if known.attempts > 0, !known.request.isRepeatable {
                hold(sending.kind == .retry && !known.mayHaveBegun, "\(label): sent twice")
            }
            let left = known.request.deadline == .max ? 0 : known.request.deadline - now
            hold(sending.timeout == left, "\(label): the time that is left is \(left)")
        }
        out.append(Out(sending: sending, call: sending.attempt.call))
    }

    private mutating func take(_ actions: [ClusterAction]) {
        for action in actions {
            switch action {
            case .send(let sending, let original):
                hold(open[original] != nil, "\(label): a copy of a call that has ended")
                if sending.kind != .probe { hold(sending.attempt.call == original, "\(label)") }
                sent(sending)
            case .cancel(let attempt, let node):
                hold(
                    out.contains { $0.sending.attempt == attempt && $0.sending.node == node },
                    "\(label): cancel of nothing")
                out.removeAll { $0.sending.attempt == attempt }
            case .end(let call, let end):
                let known = open.removeValue(forKey: call)
                hold(known != nil, "\(label): ended twice, or never begun")
                if let known { hold(now <= known.request.deadline, "\(label): ended after its deadline") }
                hold(!out.contains { $0.call == call }, "\(label): ended with attempts out")
                ends.append((call, end))
            case .connect(let node):
                hold(!ready.contains(node), "\(label): connects to a node that is")
                connecting.insert(node)
            case .disconnect(let node):
                connecting.remove(node)
                ready.remove(node)
            case .ejected(let node, let reason, _): ejections.append((node, reason))
            case .restored(let node): restored.append(node)
            }
        }
        check()
    }

    /// As `#expect`, and quick: these are asked millions of times.
    private func hold(_ condition: Bool, _ message: @autoclosure () -> String) {
        if !condition { Issue.record("\(message())") }
    }

    /// What holds at any time.
    private func check() {
        let usable = policy.usable.map(Int.init)
        hold(Set(usable).isSubset(of: ready), "\(label): \(usable) of \(ready)")
        if !ready.isEmpty { hold(!usable.isEmpty, "\(label): the last node was ejected") }
        for call in open.keys { hold(out.count { $0.call == call } <= 2, "\(label)") }
        let ejected = ready.count { policy.isEjected($0) }
        let most = max(1, Int(policy.configuration.outliers.ejectedShareMax * Double(members)))
        if members > 0 { hold(ejected <= max(most, ejectedBefore), "\(label): \(ejected) of \(members) ejected") }
        hold(policy.callsUnderWay >= open.count, "\(label)")
        if open.values.contains(where: { $0.request.deadline != .max }) { hold(policy.nextTimer != .max, "\(label)") }
    }

    /// Ejections outlive a shrinking cluster.
    var ejectedBefore = 0
}
