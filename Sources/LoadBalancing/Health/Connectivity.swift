/// Whether a node can be reached: the states of its connections, taken as one.
///
/// ```
///  idle --wanted--> connecting --connected--> ready --lost--> connecting (at once, the first time)
///                       |  ^                    +---drained--> idle
///                     failed  |
///                       v  the delay is over
///                  transientFailure                      any --shutdown--> shutdown (the end)
/// ```
/// Calls are picked for `ready` nodes only. Several connections to one node (one for each of its shards) are ready as soon as
/// one of them is, and lost with the last: the driver counts them. The delays between attempts are the caller's (`Backoff`).
package struct Connectivity: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Not connected and not wanted yet. To: connecting, shutdown.
        case idle
        /// To: ready, transientFailure, idle, shutdown.
        case connecting
        /// To: connecting, idle, shutdown.
        case ready
        /// To: connecting when the time has come, ready when the other side turns up, shutdown.
        case transientFailure(until: UInt64)
        case shutdown
    }

    package enum Event: Hashable, Sendable {
        /// There are calls for it.
        case wanted
        case connected
        /// An attempt failed; the next one is due at `retryAt`.
        case failed(retryAt: UInt64)
        /// The last connection broke.
        case lost
        /// The node said goodbye and closed in good order; it is left alone until it is wanted.
        case drained
        case shutdown
    }

    package private(set) var state = State.idle
    /// Attempts that failed since the last success.
    package private(set) var failures = 0

    package init() {}

    package var isReady: Bool { state == .ready }

    /// - Returns: Whether the driver is to start connecting now.
    package mutating func take(_ event: Event) -> Bool {
        switch (state, event) {
        case (.shutdown, _): return false
        case (_, .shutdown): state = .shutdown
        case (.idle, .wanted), (.ready, .lost):
            state = .connecting
            return true
        case (.connecting, .failed(let retryAt)), (.ready, .failed(let retryAt)), (.idle, .failed(let retryAt)):
            failures += 1
            state = .transientFailure(until: retryAt)
        case (.ready, .drained), (.connecting, .drained), (.transientFailure, .drained): state = .idle
        case (.connecting, .connected), (.transientFailure, .connected), (.idle, .connected):
            state = .ready
            failures = 0
        default: break
        }
        return false
    }

    /// - Returns: Whether the driver is to start connecting now.
    package mutating func timer(_ now: UInt64) -> Bool {
        guard case .transientFailure(let until) = state, until <= now else { return false }
        state = .connecting
        return true
    }

    package var nextTimer: UInt64? {
        if case .transientFailure(let until) = state { until } else { nil }
    }
}
