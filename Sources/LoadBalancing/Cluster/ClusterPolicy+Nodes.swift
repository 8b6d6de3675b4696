import Resilience

/// Nodes that come, go, connect, and are ejected and taken back.
extension ClusterPolicy {
    /// Says which nodes there are. Nodes that stay keep their number, their slots and what is known of them.
    ///
    /// - Parameter table: The owners of just these nodes by the numbers that they get here, if another policy has it already;
    ///   nil: it is worked out.
    /// - Returns: The number of each node, in the order of `descriptions`; nil for those beyond `nodesMax`.
    @discardableResult
    package mutating func setNodes(
        _ descriptions: [NodeDescription], rendezvous table: Rendezvous? = nil, at now: UInt64,
        into actions: inout [ClusterAction]
    ) -> [Int?] {
        var numbers: [Int?] = []
        var stays = [Bool](repeating: false, count: nodes.count)
        for description in descriptions {
            if let node = nodes.firstIndex(where: { $0.isMember && $0.description.name == description.name }) {
                nodes[node].description = description
                if node < stays.count { stays[node] = true }
                numbers.append(node)
            } else {
                numbers.append(nil)
            }
        }
        for node in stays.indices where !stays[node] && nodes[node].isMember {
            nodes[node].isMember = false
            _ = nodes[node].connectivity.take(.shutdown)
            shares.forget(node)
            actions.append(.disconnect(node: node))
        }
        for place in descriptions.indices where numbers[place] == nil {
            numbers[place] = add(descriptions[place], at: now, into: &actions)
        }
        rendezvous =
            table
            ?? Rendezvous(
                nodes.indices.filter { nodes[$0].isMember }.map {
                    Rendezvous.Member(index: $0, key: nodes[$0].key, weight: nodes[$0].description.weight)
                })
        rebuild(at: now)
        return numbers
    }

    private mutating func add(
        _ description: NodeDescription, at now: UInt64, into actions: inout [ClusterAction]
    ) -> Int? {
        let state = NodeState(
            description: description, key: description.key, reconnect: configuration.reconnect,
            breaker: CircuitBreaker(configuration.breaker, at: now))
        let node: Int
        // A number is free again when no attempt to its last owner is out.
        if let free = nodes.indices.first(where: { !nodes[$0].isMember && vitals[$0].inFlight == 0 }) {
            node = free
            nodes[node] = state
            vitals[node] = NodeVitals(at: now)
        } else {
            guard nodes.count < configuration.nodesMax else { return nil }
            node = nodes.count
            nodes.append(state)
            vitals.append(NodeVitals(at: now))
            isUsable.append(false)
        }
        if nodes[node].connectivity.take(.wanted) { actions.append(.connect(node: node)) }
        return node
    }

    /// A node's first connection is ready for calls.
    package mutating func connected(_ node: Int, at now: UInt64) {
        _ = nodes[node].connectivity.take(.connected)
        nodes[node].reconnect.reset()
        nodes[node].since = now
        vitals[node].forget(at: now)
        nodes[node].cost = PeakEWMA()
        rebuild(at: now)
    }

    /// An attempt to connect failed. The next one is asked for by `timer`.
    package mutating func connectionFailed(_ node: Int, at now: UInt64) {
        let delay = nodes[node].reconnect.next(using: &random)
        _ = nodes[node].connectivity.take(.failed(retryAt: now &+ delay))
        rebuild(at: now)
    }

    /// A node's last connection ended; its attempts are reported with `completed`.
    ///
    /// - Parameter isDrained: It said goodbye first.
    package mutating func disconnected(
        _ node: Int, isDrained: Bool = false, at now: UInt64, into actions: inout [ClusterAction]
    ) {
        if isDrained {
            // It is shutting down: not at once again.
            _ = nodes[node].connectivity.take(.drained)
            _ = nodes[node].connectivity.take(.wanted)
            connectionFailed(node, at: now)
        } else {
            if nodes[node].connectivity.take(.lost) { actions.append(.connect(node: node)) }
            rebuild(at: now)
        }
    }

    /// Works out anew which nodes calls go to.
    mutating func rebuild(at now: UInt64) {
        usable.removeAll(keepingCapacity: true)
        nodesOut = 0
        nextConnect = .max
        for node in nodes.indices {
            isUsable[node] = nodes[node].isMember && nodes[node].connectivity.isReady && nodes[node].ejection.isIn
            if isUsable[node] { usable.append(UInt16(node)) }
            if nodes[node].isMember, !nodes[node].ejection.isIn { nodesOut += 1 }
            if let time = nodes[node].connectivity.nextTimer { nextConnect = min(nextConnect, time) }
        }
        if usable.isEmpty {
            // The others went away: an ejected node is better than none.
            for node in nodes.indices where nodes[node].isMember && nodes[node].connectivity.isReady {
                isUsable[node] = true
                usable.append(UInt16(node))
            }
        }
        usableWeight = usable.reduce(0) { $0 + nodes[Int($1)].description.weight }
        oldestSince = usable.reduce(UInt64.max) { min($0, nodes[Int($1)].since) }
        newestSince = usable.reduce(0) { max($0, nodes[Int($1)].since) }
        // What waits out an ejection is looked at by the tick.
        if nodesOut > 0, nextTick == .max, calls.live > 0 { nextTick = now &+ tick }
    }

    /// Leaves a node alone for a while, unless too many are left alone already.
    mutating func eject(
        _ node: Int, _ reason: OutlierDetector.Reason, at now: UInt64, into actions: inout [ClusterAction]
    ) {
        guard configuration.outliers.isOn, nodes[node].ejection.isIn, isUsable[node] else { return }
        let members = nodes.count { $0.isMember }
        let most = max(1, Int(configuration.outliers.ejectedShareMax * Double(members)))
        guard usable.count >= 2, nodesOut + 1 <= most else {
            counts.ejectionsForbidden += 1
            return
        }
        let until = nodes[node].ejection.eject(
            reason, configuration.outliers,
            atLeastUntil: nodes[node].breaker.state == .closed ? 0 : nodes[node].breaker.openUntil,
            at: now)
        counts.ejections += 1
        rebuild(at: now)
        actions.append(.ejected(node: node, reason, until: until))
        if reason == .silence { rescue(from: node, at: now, into: &actions) }
    }

    /// A node that is in again: with nothing held against it, and little to do at first.
    mutating func restored(_ node: Int, at now: UInt64, into actions: inout [ClusterAction]) {
        vitals[node].forget(at: now)
        nodes[node].cost = PeakEWMA()
        nodes[node].since = now
        counts.restored += 1
        rebuild(at: now)
        actions.append(.restored(node: node))
    }
}
