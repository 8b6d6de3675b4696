import NIOCore

/// Decides when a silent node is asked for a sign of life, and when it counts as gone. Pure: the clock is passed in.
struct Keepalive: Sendable {
    enum Step: Equatable {
        case nothing
        case ping
        case close
    }

    private let pingAfter: TimeAmount
    private let pingTimeout: TimeAmount
    private var lastHeard: NIODeadline
    private var pingedAt: NIODeadline?

    init(pingAfter: Duration, pingTimeout: Duration, now: NIODeadline) {
        self.pingAfter = TimeAmount(pingAfter)
        self.pingTimeout = TimeAmount(pingTimeout)
        lastHeard = now
    }

    /// Bytes came.
    mutating func heard(at now: NIODeadline) {
        lastHeard = now
        pingedAt = nil
    }

    mutating func tick(at now: NIODeadline) -> Step {
        if let pingedAt { return now - pingedAt >= pingTimeout ? .close : .nothing }
        guard now - lastHeard >= pingAfter else { return .nothing }
        pingedAt = now
        return .ping
    }

    /// How often to tick so that neither time is missed by more than a quarter.
    var tickEvery: TimeAmount { .nanoseconds(max(1_000_000, min(pingAfter.nanoseconds, pingTimeout.nanoseconds) / 4)) }
}
