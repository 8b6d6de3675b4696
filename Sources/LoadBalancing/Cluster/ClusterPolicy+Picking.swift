import Vocabulary

/// Which node a sending goes to.
extension ClusterPolicy {
    /// The node for a call; nil when none takes calls, or only those to be avoided do.
    ///
    /// - Parameter avoid: Nodes that had this call already; -1: none.
    /// - Complexity: O(1) for drawn nodes, O(order) for owners; allocates nothing.
    mutating func node(
        for slot: Slot?, keepsToOwner: Bool, avoiding avoid: Int = -1, and other: Int = -1, at now: UInt64
    ) -> Int? {
        guard !usable.isEmpty else { return nil }
        if nodesOut > 0, !nodes[Int(usable[0])].ejection.isIn { counts.panicked += 1 }
        switch configuration.picker {
        case .roundRobin:
            for _ in usable.indices {
                turn += 1
                if turn >= usable.count { turn = 0 }
                let node = Int(usable[turn])
                if node != avoid, node != other { return node }
            }
            return nil
        case .leastLatency: return drawn(avoid, other, now)
        case .owner:
            guard let slot else { return drawn(avoid, other, now) }
            return owner(of: slot, keepsToOwner, avoid, other, now) ?? drawn(avoid, other, now)
        }
    }

    /// Where a call that keeps to its owner goes now; nil: nowhere.
    package func ownerNow(of slot: Slot) -> Int? {
        for place in 0..<rendezvous.depth {
            let node = rendezvous.node(of: slot, at: place)
            if isUsable[node] { return node }
        }
        return usable.first.map(Int.init)
    }

    /// The first node of the slot's order that is there, warm and within its share.
    private mutating func owner(of slot: Slot, _ keepsToOwner: Bool, _ avoid: Int, _ other: Int, _ now: UInt64) -> Int?
    {
        var cold = -1
        var full = -1
        // When all are cold, as at the start, none is spared.
        let isWarming = now < newestSince &+ configuration.slowStart.duration
        let warmest = isWarming ? configuration.slowStart.weight(since: oldestSince, at: now) : 1
        var weights = usableWeight
        if isWarming {
            weights = 0
            for node in usable { weights += nodes[Int(node)].description.weight * warmth(Int(node), at: now) / warmest }
        }
        for place in 0..<rendezvous.depth {
            let node = rendezvous.node(of: slot, at: place)
            guard isUsable[node], node != avoid, node != other else { continue }
            if keepsToOwner { return node }
            var weight = nodes[node].description.weight
            if isWarming {
                let warmth = warmth(node, at: now) / warmest
                if warmth < 1, Rendezvous.fraction(of: slot, key: nodes[node].key) >= warmth {
                    if cold < 0 { cold = node }
                    continue
                }
                weight *= warmth
            }
            if shares.hasRoom(
                node, share: weight / weights, bound: configuration.loadBound, slack: configuration.loadSlack),
                loadHint(node, at: now) < 0.98
            {
                if full >= 0 { counts.spilled += 1 }
                return node
            }
            // One call in ten stays: a node that had too many does not go cold, nor unheard of, while the others catch up.
            if full < 0, random.unit() < 0.1 { return node }
            if full < 0 { full = node }
        }
        return full >= 0 ? full : cold >= 0 ? cold : nil
    }

    private func warmth(_ node: Int, at now: UInt64) -> Double {
        configuration.slowStart.weight(since: nodes[node].since, at: now)
    }

    /// The cheaper of two nodes.
    private mutating func drawn(_ avoid: Int, _ other: Int, _ now: UInt64) -> Int? {
        let count = usable.count
        let place = random.index(below: count)
        guard count > 1 else { return nodeFrom(place, avoid, other) }
        var second = random.index(below: count - 1)
        if second >= place { second += 1 }
        guard let one = nodeFrom(place, avoid, other), let two = nodeFrom(second, avoid, other) else { return nil }
        return load(of: two, at: now) < load(of: one, at: now) ? two : one
    }

    /// The node at a place of `usable`, or the next one that may be taken.
    private func nodeFrom(_ place: Int, _ avoid: Int, _ other: Int) -> Int? {
        for step in usable.indices {
            let wrapped = place + step < usable.count ? place + step : place + step - usable.count
            let node = Int(usable[wrapped])
            if node != avoid, node != other { return node }
        }
        return nil
    }

    /// What a call to the node would cost now, for comparison.
    func load(of node: Int, at now: UInt64) -> Double {
        let load = nodes[node].cost.load(
            inFlight: vitals[node].inFlight, hint: loadHint(node, at: now), decay: decay, at: now)
        return load / (nodes[node].description.weight * warmth(node, at: now))
    }

    /// What the node said last about itself, `0...1`; nothing after a second.
    func loadHint(_ node: Int, at now: UInt64) -> Double {
        now < nodes[node].loadHintAt &+ 1_000_000_000 ? nodes[node].loadHint : 0
    }
}
