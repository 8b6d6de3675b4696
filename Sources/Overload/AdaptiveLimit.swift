/// How many calls may be worked on at once where the work waits out of sight: in a pool, a disk, another service.
///
/// Grows while it is used up and calls do not wait, shrinks when even the shortest wait of an interval is above the target. It
/// needs the wait itself (from the begin of the work to the begin of its service, or round trip less service time); then there is
/// no baseline to learn, and none that drifts (Envoy's minRTT, the long-term mean of gradient limits). A limit that is not used up
/// does not grow: else nothing holds it when load comes.
package struct AdaptiveLimit: Sendable {
    /// Calls at once.
    package private(set) var limit: Double
    package let range: ClosedRange<Double>
    /// Nanoseconds.
    package let target: UInt64
    package let interval: UInt64
    private var shortest = UInt64.max
    private var most = 0
    private var ends: UInt64

    package init(
        initial: Double = 16, range: ClosedRange<Double> = 1...4096, target: UInt64 = 5_000_000,
        interval: UInt64 = 50_000_000, at now: UInt64
    ) {
        precondition(range.lowerBound >= 1 && range.contains(initial), "a limit of \(initial) in \(range)")
        limit = initial
        self.range = range
        self.target = target
        self.interval = interval
        ends = now &+ interval
    }

    package func admits(inFlight: Int) -> Bool { Double(inFlight) < limit.rounded(.down) }

    /// - Parameters:
    ///   - wait: How long a call waited, nanoseconds.
    ///   - inFlight: Calls under way then, this one among them.
    package mutating func observe(wait: UInt64, inFlight: Int, at now: UInt64) {
        shortest = min(shortest, wait)
        most = max(most, inFlight)
        guard now >= ends else { return }
        if shortest > target {
            // In proportion to how far it is off, by a third at most.
            limit *= max(0.67, (Double(target) / Double(shortest)).squareRoot())
        } else if shortest < target / 2, Double(most) >= limit.rounded(.down) {
            limit += max(1, limit.squareRoot() / 2)
        }
        limit = min(range.upperBound, max(range.lowerBound, limit))
        shortest = .max
        most = 0
        ends = now &+ interval
    }
}
