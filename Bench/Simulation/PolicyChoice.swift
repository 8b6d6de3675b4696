import LoadBalancing

/// Named ways to choose nodes, for comparison.
package enum PolicyChoice: String, CaseIterable, Sendable {
    case roundRobin = "round-robin"
    case leastLatency = "p2c"
    case owner
    case ownerHedge = "owner+hedge"
    case ownerEject = "owner+eject"
    case leastLatencyAll = "p2c+hedge+eject"
    case ownerAll = "owner+hedge+eject"

    package func apply(to configuration: inout SimulationConfiguration) {
        switch self {
        case .roundRobin: configuration.cluster.picker = .roundRobin
        case .leastLatency, .leastLatencyAll: configuration.cluster.picker = .leastLatency
        case .owner, .ownerHedge, .ownerEject, .ownerAll: configuration.cluster.picker = .owner
        }
        configuration.cluster.hedging.isOn = [.ownerHedge, .leastLatencyAll, .ownerAll].contains(self)
        configuration.cluster.outliers.isOn = [.ownerEject, .leastLatencyAll, .ownerAll].contains(self)
    }
}
