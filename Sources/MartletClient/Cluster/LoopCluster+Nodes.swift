import LoadBalancing
import NIOCore

/// Nodes that come, go, connect and are lost.
extension LoopCluster {
    /// Says which nodes there are; those that stay keep their connections and their calls.
    func setNodes(_ nodes: [ClusterNode]) {
        guard stopped == nil else { return }
        tick()
        hasNodes = true
        resolutionFault = nil
        // A node that has moved under its name is another one.
        for place in links.indices {
            guard let link = links[place], let node = nodes.first(where: { $0.name == link.node.name }),
                node.host != link.node.host || node.port != link.node.port
            else { continue }
            let rest = nodes.filter { $0.name != node.name }
            return replace(rest, then: nodes)
        }
        let descriptions = nodes.map { NodeDescription(name: $0.name, weight: $0.weight) }
        var added: [ClusterAction] = []
        let numbers = policy.setNodes(descriptions, at: now, into: &added)
        nodesLeftOut = numbers.count { $0 == nil }
        // Old links give up their numbers before new ones take them.
        for action in added {
            if case .disconnect(let node) = action, let link = links[node] {
                links[node] = nil
                leaving.append(link)
                link.leave()
            }
        }
        for (place, number) in numbers.enumerated() {
            guard let number else { continue }
            while links.count <= number { links.append(nil) }
            if links[number] == nil {
                links[number] = NodeLink(
                    nodes[place], number: number, configuration, cluster: self, eventLoop: eventLoop, arena: arena)
            }
        }
        for action in added {
            if case .disconnect = action { continue }
            actions.append(action)
        }
        restartWaiting()
        settle()
    }

    private func replace(_ rest: [ClusterNode], then nodes: [ClusterNode]) {
        setNodes(rest)
        setNodes(nodes)
    }

    /// It is not known which nodes there are; those that were known stay.
    func resolutionFailed(_ fault: MartletClientError) {
        resolutionFault = fault
        if !hasNodes { failWaitingIfHopeless() }
        settle()
    }

    func connected(_ link: NodeLink) {
        guard links.indices.contains(link.number), links[link.number] === link else { return }
        tick()
        policy.connected(link.number, at: now)
        restartWaiting()
        settle()
    }

    func connectionFailed(_ link: NodeLink) {
        guard links.indices.contains(link.number), links[link.number] === link else { return }
        tick()
        policy.connectionFailed(link.number, at: now)
        nodeIsAway()
        failWaitingIfHopeless()
        settle()
    }

    func disconnected(_ link: NodeLink, isDrained: Bool) {
        guard links.indices.contains(link.number), links[link.number] === link else { return }
        tick()
        policy.disconnected(link.number, isDrained: isDrained, at: now, into: &actions)
        // The attempts that it had are reported next; then all is settled.
    }

    // MARK: Calls without a node

    /// Keeps a call until a node is ready, or ends it when none will be soon.
    func hold(_ item: CallItem) {
        guard canHope else { return item.fail(noNode()) }
        waiting.append(item)
        if let deadline = item.call.deadline { armWaiting(deadline) }
    }

    /// Whether waiting may help.
    private var canHope: Bool {
        if configuration.waitsForNode { return true }
        if !hasNodes { return resolutionFault == nil }
        return links.contains { link in
            guard let link else { return false }
            switch policy.connectivity(link.number) {
            case .connecting, .ready: return true
            case .idle, .transientFailure, .shutdown: return false
            }
        }
    }

    private func failWaitingIfHopeless() {
        if !canHope { failWaiting(noNode()) }
    }

    func failWaiting(_ error: MartletClientError) {
        let items = waiting
        waiting = CircularBuffer()
        for item in items { item.fail(error) }
    }

    private func restartWaiting() {
        let items = waiting
        waiting = CircularBuffer()
        for item in items where !item.isFinished { start(item) }
    }

    private func armWaiting(_ deadline: NIODeadline) {
        guard waitingDeadlines.isLate(for: deadline) else { return }
        waitingDeadlines.arm(deadline, on: eventLoop) { [weak self] in self?.expireWaiting() }
    }

    private func expireWaiting() {
        waitingDeadlines.fired()
        let time = NIODeadline.now()
        var next: NIODeadline?
        for item in waiting {
            guard let deadline = item.call.deadline else { continue }
            if deadline <= time {
                counts.deadlinesPassed += 1
                item.fail(.deadlineExceeded("no node was ready. \(noNode().message)", retryIsSafe: true))
            } else {
                next = min(next ?? deadline, deadline)
            }
        }
        waiting.removeAll { $0.isFinished }
        if let next { armWaiting(next) }
        settle()
    }

    /// Why a call has nowhere to go.
    func noNode() -> MartletClientError {
        if let stopped { return stopped }
        let faults = links.compactMap { link in
            link.map { $0.lastFailure?.message ?? "\($0.node.name) is not connected yet" }
        }
        if faults.isEmpty {
            return resolutionFault
                ?? MartletClientError(
                    .unavailable, hasNodes ? "the list of nodes is empty" : "the nodes are not known yet",
                    retryIsSafe: true)
        }
        let told = faults.prefix(8).joined(separator: "; ") + (faults.count > 8 ? "; and \(faults.count - 8) more" : "")
        return MartletClientError(.unavailable, "no node can be reached: \(told)", retryIsSafe: true)
    }
}
