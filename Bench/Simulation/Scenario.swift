/// Named faults.
package enum Scenario: String, CaseIterable, Sendable {
    case healthy
    case slowNode = "slow-node"
    case degradedNode = "degraded-node"
    case killedNode = "killed-node"
    case pausedNode = "paused-node"
    case flappingNode = "flapping-node"
    case blackHole = "black-hole"
    case failingNode = "failing-node"
    case retryStorm = "retry-storm"
    case overload

    /// When the fault begins, in seconds.
    package static let onset = 3.0

    package var summary: String {
        switch self {
        case .healthy: "nothing goes wrong"
        case .slowNode: "answers of one node take ten times as long"
        case .degradedNode: "work in one node takes ten times as long"
        case .killedNode: "one node ends, and is back after 4 s"
        case .pausedNode: "one node stands still for 2 s"
        case .flappingNode: "one node ends and is back every second"
        case .blackHole: "calls to one node vanish, connections stay"
        case .failingNode: "one node answers half of its calls INTERNAL, at once"
        case .retryStorm: "all nodes answer 90 % of their calls UNAVAILABLE, a retry is safe"
        case .overload: "three times the calls that saturate nodes, for 4 s"
        }
    }

    package func apply(to configuration: inout SimulationConfiguration) {
        let onset = Self.onset
        let end = configuration.duration
        switch self {
        case .healthy: break
        case .slowNode: configuration.faults = [Fault(.delayed(10), node: 1, from: onset, until: end)]
        case .degradedNode: configuration.faults = [Fault(.degraded(10), node: 1, from: onset, until: end)]
        case .killedNode: configuration.faults = [Fault(.killed, node: 1, from: onset, until: onset + 4)]
        case .pausedNode: configuration.faults = [Fault(.paused, node: 1, from: onset, until: onset + 2)]
        case .flappingNode: configuration.faults = [Fault(.flapping(2), node: 1, from: onset, until: onset + 6)]
        case .blackHole: configuration.faults = [Fault(.blackHole, node: 1, from: onset, until: end)]
        case .failingNode: configuration.faults = [Fault(.failing(0.5), node: 1, from: onset, until: end)]
        case .retryStorm: configuration.faults = [Fault(.refusing(0.9), from: onset, until: end)]
        case .overload:
            let factor = 3 * configuration.capacity / (configuration.rate * Double(configuration.clients))
            configuration.faults = [Fault(.load(factor), from: onset, until: onset + 4)]
        }
    }
}
