import Glibc
import Resilience

/// What the answers of one node tell about its health, for comparison with the others'.
package struct NodeVitals: Sendable {
    /// First: failures. Second: answers that say that the node works.
    package private(set) var outcomes: SlidingCounts
    /// Of the natural logarithms of latencies in nanoseconds: its exponential is the geometric mean, which one long tail
    /// does not move and ten slow answers do.
    private var logLatency = RecentMean()
    package private(set) var latencies = LatencyHistogram(samplesMax: 1024)
    /// Attempts without an outcome.
    package private(set) var inFlight = 0
    /// Since when the node owes an answer and has given none; meaningless without calls in flight.
    package private(set) var silentSince: UInt64 = 0
    package private(set) var lastAnswer: UInt64 = 0

    package init(at now: UInt64) { outcomes = SlidingCounts(window: 2_000_000_000, at: now) }

    package mutating func sent(at now: UInt64) {
        if inFlight == 0 { silentSince = now }
        inFlight += 1
    }

    /// An attempt is over, with an answer or without.
    package mutating func ended(at now: UInt64, answered: Bool) {
        inFlight = max(0, inFlight - 1)
        guard answered else { return }
        silentSince = max(silentSince, now)
        lastAnswer = max(lastAnswer, now)
    }

    package mutating func worked(latency: UInt64, at now: UInt64) {
        outcomes.add(second: 1, at: now)
        latencies.record(latency)
        logLatency.observe(log(Double(max(1, latency))), at: now)
    }

    package mutating func failed(at now: UInt64) { outcomes.add(first: 1, at: now) }

    /// Nobody waits for an answer any more that was late already: it would have taken at least that long.
    ///
    /// Without these the losers of hedged calls, which are the slow ones, would be the ones that nobody counts.
    package mutating func abandoned(after elapsed: UInt64, at now: UInt64) {
        guard Double(elapsed) > (typicalLatency(at: now) ?? 0) else { return }
        logLatency.observe(log(Double(max(1, elapsed))), at: now)
    }

    /// Geometric mean of the latencies of the last second or so, in nanoseconds; nil when there are less than eight.
    package func typicalLatency(at now: UInt64) -> Double? {
        logLatency.count(at: now) >= 8 ? exp(logLatency.mean(at: now)) : nil
    }

    /// The lower one of the typical latency and that of the last half second: what can be held against the node.
    ///
    /// A node that was slow, and gets few calls now, is not slow for what it was.
    package func provenLatency(at now: UInt64) -> Double? {
        guard let typical = typicalLatency(at: now) else { return nil }
        let newest = logLatency.newest(at: now)
        return newest.count >= 3 ? min(typical, exp(newest.sum / newest.count)) : nil
    }

    /// Share of failures over the last two seconds; nil with less than 20 outcomes.
    package mutating func failureShare(at now: UInt64) -> Double? {
        outcomes.advance(to: now)
        let volume = outcomes.totals.first + outcomes.totals.second
        return volume >= 20 ? Double(outcomes.totals.first) / Double(volume) : nil
    }

    /// Forgets what was learned, but not what is in flight: the node is another one than it was.
    package mutating func forget(at now: UInt64) {
        outcomes.removeAll()
        logLatency = RecentMean()
        latencies.removeAll()
        silentSince = now
    }
}
