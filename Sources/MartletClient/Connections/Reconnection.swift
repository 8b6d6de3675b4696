import NIOCore

/// Decides when a connection is made and when an attempt is put off. Pure: time and randomness are passed in.
///
/// ```
///  idle       -> connecting            the first call
///  connecting -> ready                 welcome
///  connecting -> waiting               refused, timed out, not Martlet
///  ready      -> connecting            lost after it had been up for a while
///  ready      -> waiting               lost soon, or the node said goaway
///  waiting    -> connecting            the delay has passed
///  any        -> stopped               shut down
/// ```
struct Reconnection: Sendable {
    enum State: Equatable {
        case idle
        case connecting
        case ready(since: NIODeadline)
        case waiting(until: NIODeadline)
        case stopped
    }

    /// What to do next.
    enum Step: Equatable {
        case none
        case connect
        case wait(until: NIODeadline)
    }

    private(set) var state = State.idle
    /// Attempts and short-lived connections in a row.
    private(set) var failures = 0
    private let delay: TimeAmount
    private let delayMax: TimeAmount

    init(delay: Duration, delayMax: Duration) {
        self.delay = TimeAmount(delay)
        self.delayMax = TimeAmount(delayMax)
    }

    /// Somebody wants to send.
    mutating func wanted() -> Step {
        guard state == .idle else { return .none }
        state = .connecting
        return .connect
    }

    mutating func welcomed(at now: NIODeadline) {
        guard state == .connecting else { return }
        state = .ready(since: now)
    }

    /// The attempt failed.
    ///
    /// - Parameter random: Uniform over all values.
    mutating func attemptFailed(at now: NIODeadline, random: UInt64) -> Step {
        guard state == .connecting else { return .none }
        return putOff(at: now, random: random)
    }

    /// A connection that was ready is no more, or takes no more calls.
    mutating func lost(at now: NIODeadline, byGoaway: Bool, random: UInt64) -> Step {
        guard case .ready(let since) = state else { return .none }
        // Up for longer than the longest delay: what failed before is history.
        if now - since >= delayMax { failures = 0 }
        if failures == 0, !byGoaway, now - since >= delay {
            state = .connecting
            return .connect
        }
        return putOff(at: now, random: random)
    }

    mutating func delayPassed() -> Step {
        guard case .waiting = state else { return .none }
        state = .connecting
        return .connect
    }

    mutating func stop() { state = .stopped }

    /// Doubles with each failure up to the maximum, and keeps between half and all of that.
    private mutating func putOff(at now: NIODeadline, random: UInt64) -> Step {
        let exponent = min(failures, 30)
        failures += 1
        let full = min(delayMax.nanoseconds, delay.nanoseconds << Int64(exponent))
        let capped = full <= 0 ? delayMax.nanoseconds : full
        let half = capped / 2
        let wait = half + Int64(random % UInt64(capped - half + 1))
        let until = now + .nanoseconds(wait)
        state = .waiting(until: until)
        return .wait(until: until)
    }
}
