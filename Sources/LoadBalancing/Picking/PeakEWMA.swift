import Glibc

/// What a call to a node costs, as far as its last answers tell: latency that jumps up with a slow answer and comes down slowly.
///
/// A node without calls becomes cheaper with time, so that one that was slow is tried again. Failures never make a node look
/// cheap: whoever feeds this gives them at least the cost that the node has (a node that fails fast would draw all calls).
///
/// - Note: Finagle's PeakEwma (Twitter). There a single slow answer counts whole; here a jump is limited to `peakFactor` times
///   the cost, because recommendations have a tail, and one call of it said nothing about the next.
package struct PeakEWMA: Sendable {
    /// Nanoseconds; 0: no answer yet.
    package private(set) var cost = 0.0
    private var at: UInt64 = 0

    package static let peakFactor = 4.0

    package init() {}

    /// - Parameters:
    ///   - latency: Nanoseconds.
    ///   - decay: Nanoseconds after which an answer counts 1/e.
    package mutating func observe(_ latency: Double, decay: Double, at now: UInt64) {
        if cost == 0 {
            cost = latency
        } else if latency > cost {
            cost = min(latency, cost * Self.peakFactor)
        } else {
            let keep = exp(-Double(now &- min(now, at)) / decay)
            cost = cost * keep + latency * (1 - keep)
        }
        at = now
    }

    /// The cost of a call sent now behind `inFlight` others.
    ///
    /// - Parameter load: The node's own word, `0...1`; a full node looks ten times as dear.
    package func load(inFlight: Int, hint: Double, decay: Double, at now: UInt64) -> Double {
        // One call finds out what a new node costs; until it is answered the node looks dear.
        guard cost > 0 else { return inFlight == 0 ? 0 : 1e12 * Double(inFlight) }
        let age = Double(now &- min(now, at))
        let faded = inFlight == 0 ? cost * exp(-age / (4 * decay)) : cost
        return faded * Double(inFlight + 1) / (1 - 0.9 * hint)
    }
}
