/// How many retries there may be: a share of the calls of the last seconds, and a few more for those who call seldom.
///
/// Retries of a service that is down multiply its load just when it can bear least. A budget lets single failures be retried and
/// stops retries as soon as most calls fail, however many layers of callers there are.
///
/// - Note: The rule of Finagle's `RetryBudget` (share, minimum, window) with a window of slots in place of a leaking bucket.
package struct RetryBudget: Sendable {
    /// Retries for each call, 0...10.
    package let share: Double
    /// Retries a second that are always there.
    package let minimumPerSecond: Double
    private let windowSeconds: Double
    /// First: calls. Second: retries.
    private var counts: SlidingCounts
    package private(set) var refusedTotal: UInt64 = 0

    package init(
        share: Double = 0.2, minimumPerSecond: Double = 1, window: Duration = .seconds(10), at now: UInt64
    ) {
        precondition(
            (0...10).contains(share) && minimumPerSecond >= 0 && minimumPerSecond.isFinite,
            "a retry budget of \(share) and \(minimumPerSecond) a second")
        self.share = share
        self.minimumPerSecond = minimumPerSecond
        counts = SlidingCounts(window: window.nanoseconds, at: now)
        windowSeconds = Double(window.nanoseconds) / 1e9
    }

    /// Counts a call. A retry is not one.
    package mutating func recordCall(at now: UInt64) { counts.add(first: 1, at: now) }

    /// Whether a retry may go; it is counted if it may.
    package mutating func takeRetry(at now: UInt64) -> Bool {
        guard remaining(at: now) >= 1 else {
            refusedTotal += 1
            return false
        }
        counts.add(second: 1, at: now)
        return true
    }

    /// Retries that may go now.
    package mutating func remaining(at now: UInt64) -> Double {
        counts.advance(to: now)
        // Calls that leave the window may leave more retries behind than they paid for.
        return max(
            0,
            share * Double(counts.totals.first) + minimumPerSecond * windowSeconds - Double(counts.totals.second))
    }
}
