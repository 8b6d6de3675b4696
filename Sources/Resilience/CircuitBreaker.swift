/// Whether a dependency is worth asking.
///
/// ```
///   closed ──failures in a row, or their rate──> open ──its time is over, somebody asks──> half open
///     ^                                            ^  <────────── the probe failed ──────────  │
///     └──────────────────────────── probes succeeded ──────────────────────────────────────────┘
/// ```
///
/// A value without a clock, a lock, a timer or a source of chance of its own. A caller asks `admit`, does its work if it got a
/// ticket, and gives the ticket back to `record`. While half open, one ticket at a time is out: the probe.
///
/// Three things that breakers get wrong, and what this one does:
/// - A probe that never reports (its caller was cancelled, or crashed) must not hold the place for ever: it is lost after
///   `probeTimeout`, and the next caller probes.
/// - Outcomes of calls that began before the breaker changed say nothing of now: a ticket of an earlier epoch is ignored.
/// - Some outcomes say nothing of the dependency's health (a call that was cancelled): `neutral` gives the probe's place back and
///   counts nowhere.
///
/// - Note: Finagle's failure accrual (failures in a row, waits that grow), resilience4j (rate over a window, minimum volume), Polly.
package struct CircuitBreaker: Sendable {
    /// The raw value is what metrics show.
    package enum State: Int, Sendable, CaseIterable {
        case closed = 0
        case open = 1
        case halfOpen = 2

        package var name: String {
            switch self {
            case .closed: "closed"
            case .open: "open"
            case .halfOpen: "half_open"
            }
        }
    }

    package enum Outcome: Sendable {
        case success
        case failure
        /// Says nothing of the dependency.
        case neutral
    }

    /// Permission for one call. Give it to `record` once.
    package struct Ticket: Sendable, Equatable {
        fileprivate let epoch: UInt64
        package let isProbe: Bool
    }

    package struct Counts: Sendable, Equatable {
        package var opened: UInt64 = 0
        package var closed: UInt64 = 0
        package var rejected: UInt64 = 0
        package var probesLost: UInt64 = 0
    }

    package let configuration: CircuitBreakerConfiguration
    /// Open until somebody asks after `openUntil`, whatever the time is.
    package private(set) var state = State.closed
    package private(set) var counts = Counts()
    /// When the open breaker lets a probe through, in nanoseconds of the caller's clock.
    package private(set) var openUntil: UInt64 = 0
    package private(set) var failuresInARow = 0

    /// First: failures. Second: successes.
    private var window: SlidingCounts
    private var backoff: Backoff
    /// Grows with each change of state and each probe, so that a ticket fits one moment only.
    private var epoch: UInt64 = 0
    private var probeSince: UInt64?
    private var probesSucceeded = 0
    private var closedSince: UInt64
    private var latest: UInt64

    /// - Precondition: `configuration.problem()` is nil.
    package init(_ configuration: CircuitBreakerConfiguration = .init(), at now: UInt64) {
        if let problem = configuration.problem() { preconditionFailure("circuit breaker: \(problem)") }
        self.configuration = configuration
        window = SlidingCounts(window: configuration.window.nanoseconds, at: now)
        backoff = Backoff(
            first: configuration.openFirst, maximum: configuration.openMaximum, jitter: configuration.jitter)
        closedSince = now
        latest = now
    }

    /// A ticket for a call; nil: do without the dependency.
    package mutating func admit(at time: UInt64) -> Ticket? {
        let now = advance(to: time)
        switch state {
        case .closed:
            return Ticket(epoch: epoch, isProbe: false)
        case .open where now >= openUntil:
            state = .halfOpen
            probesSucceeded = 0
            return probe(at: now)
        case .halfOpen:
            guard let since = probeSince else { return probe(at: now) }
            if now - since >= configuration.probeTimeout.nanoseconds {
                counts.probesLost += 1
                return probe(at: now)
            }
            counts.rejected += 1
            return nil
        case .open:
            counts.rejected += 1
            return nil
        }
    }

    /// Tells what became of a call.
    ///
    /// - Returns: The state that the breaker changed to; nil where it did not change.
    @discardableResult
    package mutating func record(
        _ outcome: Outcome, of ticket: Ticket, at time: UInt64, using generator: inout some RandomNumberGenerator
    ) -> State? {
        let now = advance(to: time)
        guard ticket.epoch == epoch else { return nil }
        switch state {
        case .closed:
            return recordClosed(outcome, at: now, using: &generator) ? .open : nil
        case .halfOpen:
            guard probeSince != nil else { return nil }
            probeSince = nil
            epoch += 1
            switch outcome {
            case .neutral:
                return nil
            case .failure:
                open(at: now, using: &generator)
                return .open
            case .success:
                probesSucceeded += 1
                guard probesSucceeded >= configuration.probesToClose else { return nil }
                close(at: now)
                return .closed
            }
        case .open:
            return nil
        }
    }

    /// Share of failures in the window; nil while it holds less than the minimum volume.
    package var failureRate: Double? {
        let volume = window.totals.first + window.totals.second
        guard volume >= UInt64(configuration.minimumVolume) else { return nil }
        return Double(window.totals.first) / Double(volume)
    }

    private mutating func recordClosed(
        _ outcome: Outcome, at now: UInt64, using generator: inout some RandomNumberGenerator
    ) -> Bool {
        switch outcome {
        case .neutral:
            return false
        case .success:
            failuresInARow = 0
            window.add(second: 1, at: now)
            return false
        case .failure:
            failuresInARow += 1
            window.add(first: 1, at: now)
        }
        let inARow = configuration.consecutiveFailures > 0 && failuresInARow >= configuration.consecutiveFailures
        guard inARow || (failureRate ?? 0) >= configuration.failureRate else { return false }
        if now - closedSince >= configuration.steadyAfter.nanoseconds { backoff.reset() }
        open(at: now, using: &generator)
        return true
    }

    private mutating func open(at now: UInt64, using generator: inout some RandomNumberGenerator) {
        state = .open
        epoch += 1
        probeSince = nil
        let (until, overflow) = now.addingReportingOverflow(backoff.next(using: &generator))
        openUntil = overflow ? .max : until
        counts.opened += 1
        failuresInARow = 0
        window.removeAll()
    }

    private mutating func close(at now: UInt64) {
        state = .closed
        epoch += 1
        closedSince = now
        counts.closed += 1
        failuresInARow = 0
        window.removeAll()
    }

    private mutating func probe(at now: UInt64) -> Ticket {
        epoch += 1
        probeSince = now
        return Ticket(epoch: epoch, isProbe: true)
    }

    /// The time, which never goes back.
    private mutating func advance(to now: UInt64) -> UInt64 {
        latest = max(latest, now)
        return latest
    }
}
