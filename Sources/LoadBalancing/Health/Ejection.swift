import Glibc
import Resilience

/// Whether a node is left alone, until when, and what it takes to come back.
///
/// ```
///   in ──eject──> out(until) ──time is over──> on trial ──enough copies answered well──> in
///                    ^                            │
///                    └──── a copy failed or was slow, for twice as long ────┘
/// ```
/// On trial a node gets no calls that anybody waits for, only copies of calls that another node answers.
package struct Ejection: Sendable {
    package enum State: Sendable, Equatable {
        case `in`
        case out(until: UInt64)
        case onTrial(since: UInt64)
    }

    package private(set) var state = State.in
    package private(set) var reason = OutlierDetector.Reason.failures
    /// Doublings of the next ejection's length.
    package private(set) var level = 0
    private var levelSince: UInt64 = 0
    private var goodProbes = 0
    private var probesLogLatency = 0.0
    private var nextProbe: UInt64 = 0
    private var probeIsOut = false

    package init() {}

    package var isIn: Bool { state == .in }

    /// - Parameter atLeastUntil: As its circuit breaker has it.
    /// - Returns: Until when it is out.
    @discardableResult
    package mutating func eject(
        _ reason: OutlierDetector.Reason, _ configuration: OutlierConfiguration, atLeastUntil: UInt64 = 0,
        at now: UInt64
    ) -> UInt64 {
        forgive(configuration, at: now)
        var until = atLeastUntil
        if reason != .failures || until <= now {
            let length = Backoff(first: configuration.ejection, maximum: configuration.ejectionMax).length(level)
            until = max(until, now &+ length)
            level = min(level + 1, 30)
        }
        levelSince = until
        self.reason = reason
        state = .out(until: until)
        probeIsOut = false
        return until
    }

    /// Steps down one doubling for each `forgiveAfter` since the last ejection ended.
    package mutating func forgive(_ configuration: OutlierConfiguration, at now: UInt64) {
        let step = configuration.forgiveAfter.nanoseconds
        while level > 0, now >= levelSince &+ step {
            level -= 1
            levelSince = levelSince &+ step
        }
    }

    /// - Returns: Whether it came back unprobed, because there was nothing to probe it with.
    package mutating func timer(_ configuration: OutlierConfiguration, at now: UInt64) -> Bool {
        switch state {
        case .in: return false
        case .out(let until):
            guard until <= now else { return false }
            state = .onTrial(since: now)
            goodProbes = 0
            probesLogLatency = 0
            nextProbe = now
            probeIsOut = false
            return false
        case .onTrial(let since):
            guard !probeIsOut, max(since, nextProbe) &+ configuration.probePatience.nanoseconds <= now else {
                return false
            }
            state = .in
            return true
        }
    }

    /// Whether the next call that can be copied should be.
    package func wantsProbe(at now: UInt64) -> Bool {
        guard case .onTrial = state else { return false }
        return !probeIsOut && nextProbe <= now
    }

    package mutating func probeSent(_ configuration: OutlierConfiguration, at now: UInt64) {
        probeIsOut = true
        nextProbe = now &+ configuration.probeInterval.nanoseconds
    }

    /// - Parameters:
    ///   - latency: Nanoseconds; nil: it failed.
    ///   - usual: What is usual elsewhere; nil: not known.
    /// - Returns: True: it is in again. False: out again. Nil: not decided.
    package mutating func probeEnded(
        latency: UInt64?, usual: Double?, _ configuration: OutlierConfiguration, at now: UInt64
    ) -> Bool? {
        probeIsOut = false
        guard case .onTrial = state else { return nil }
        guard let latency else { return false }
        goodProbes += 1
        probesLogLatency += log(Double(max(1, latency)))
        let mean = exp(probesLogLatency / Double(goodProbes))
        guard goodProbes >= configuration.probes else { return nil }
        if let usual, mean > usual * configuration.latencyFactor,
            mean - usual > Double(configuration.latencyDifference.nanoseconds)
        {
            return false
        }
        state = .in
        return true
    }

    /// Nobody learned anything from the probe.
    package mutating func probeLost() { probeIsOut = false }

    /// Takes the node back, whatever it did: it is another one than it was.
    package mutating func clear() { self = Ejection() }
}
