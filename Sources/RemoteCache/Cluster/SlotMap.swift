/// Which server of a cluster has which slot. Pure.
struct SlotMap {
    /// Servers that have been heard of, at most `nodesMax`.
    private(set) var nodes: [RedisEndpoint] = []
    /// For each slot the place of its server in `nodes`; `unknown` where nobody said.
    private var owners = [UInt16](repeating: unknown, count: KeySlot.count)
    let nodesMax: Int

    private static let unknown = UInt16.max

    init(nodesMax: Int) { self.nodesMax = min(nodesMax, Int(Self.unknown)) }

    func owner(of slot: UInt16) -> RedisEndpoint? {
        let owner = owners[Int(slot)]
        return owner == Self.unknown ? nil : nodes[Int(owner)]
    }

    /// Slots whose server is known.
    var knownSlots: Int { owners.count { $0 != Self.unknown } }

    /// - Returns: Whether it was taken down: not when there are too many servers.
    @discardableResult
    mutating func moved(_ slot: UInt16, to endpoint: RedisEndpoint) -> Bool {
        guard let place = place(of: endpoint) else { return false }
        owners[Int(slot)] = place
        return true
    }

    /// Takes the reply to CLUSTER SLOTS in place of all that was known.
    ///
    /// - Parameter asked: Whose reply it is: its host stands where the reply has none.
    /// - Returns: Whether it was one, sound and not empty; otherwise nothing changes.
    mutating func take(_ reply: RedisReply, asked: RedisEndpoint) -> Bool {
        guard case .array(let ranges) = reply, !ranges.isEmpty else { return false }
        var fresh = SlotMap(nodesMax: nodesMax)
        for range in ranges {
            guard let parts = range.array, parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer,
                first >= 0, first <= last, last < KeySlot.count, let server = parts[2].array, server.count >= 2,
                let port = server[1].integer, (1...65_535).contains(port)
            else { return false }
            var host = server[0].text ?? ""
            if host.isEmpty || host == "?" { host = asked.host }
            guard host.utf8.count <= 255,
                let place = fresh.place(of: RedisEndpoint(host: host, port: Int(port)))
            else { return false }
            for slot in Int(first)...Int(last) { fresh.owners[slot] = place }
        }
        self = fresh
        return true
    }

    private mutating func place(of endpoint: RedisEndpoint) -> UInt16? {
        if let place = nodes.firstIndex(of: endpoint) { return UInt16(place) }
        guard nodes.count < nodesMax else { return nil }
        nodes.append(endpoint)
        return UInt16(nodes.count - 1)
    }
}
