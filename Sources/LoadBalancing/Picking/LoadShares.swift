/// How many of the last calls each node got, and whether one more would be above its share: consistent hashing with bounded
/// loads.
///
/// What is bounded are the last few thousand calls rather than those in flight: a client with two calls in flight on five nodes
/// would otherwise send every second call away from its owner. And calls rather than seconds, so that the calls of a rush do
/// not outweigh those that come after it.
///
/// A call counts e^(-age / window), its age in calls. Instead of fading the old ones, newer calls weigh more (forward decay):
/// taking a call costs a multiplication and no walk.
///
/// - Note: Mirrokni, Thorup & Zadimoghaddam 2016, arXiv:1608.01350; forward decay: Cormode et al. 2009.
package struct LoadShares: Sendable {
    private var loads: [Double]
    private var total = 0.0
    /// Weight of the next call.
    private var gain = 1.0
    private let growth: Double

    /// - Parameter window: Calls after which one counts 1/e.
    package init(nodesMax: Int, window: Double = 4096) {
        precondition(window >= 1, "a window of \(window) calls")
        growth = 1 + 1 / window
        loads = [Double](repeating: 0, count: nodesMax)
    }

    /// How many of the last calls a node got, the older the less.
    package func load(_ node: Int) -> Double { loads[node] / gain }

    /// Whether one more call keeps the node within `bound` times its share of all calls.
    ///
    /// - Parameters:
    ///   - share: Of the cluster's capacity, `0...1`.
    ///   - bound: At least 1.
    ///   - slack: Calls above it that are let through: few calls say little about shares.
    package func hasRoom(_ node: Int, share: Double, bound: Double, slack: Double) -> Bool {
        loads[node] + gain <= bound * share * (total + gain) + slack * gain
    }

    package mutating func take(_ node: Int) {
        loads[node] += gain
        total += gain
        gain *= growth
        if gain > 1e100 { rebase() }
    }

    /// A node that is no more: its calls count for nobody.
    package mutating func forget(_ node: Int) {
        total = max(0, total - loads[node])
        loads[node] = 0
    }

    /// Before the weights leave the range of a Double.
    private mutating func rebase() {
        for node in loads.indices { loads[node] /= gain }
        total /= gain
        gain = 1
    }
}
