import NIOCore

/// One timer for many deadlines: set to the earliest, and set again by whoever it wakes.
///
/// Deadlines of calls mostly come in order, so that arming it costs a comparison.
struct DeadlineTimer {
    private var scheduled: Scheduled<Void>?
    private var firesAt: NIODeadline?

    /// Whether it would fire too late for `deadline`.
    func isLate(for deadline: NIODeadline) -> Bool { firesAt.map { $0 > deadline } ?? true }

    /// Fires at `deadline`. `fire` calls `fired()`, looks at its deadlines and arms again.
    mutating func arm(_ deadline: NIODeadline, on eventLoop: any EventLoop, _ fire: @escaping () -> Void) {
        scheduled?.cancel()
        firesAt = deadline
        scheduled = eventLoop.assumeIsolated().scheduleTask(deadline: deadline, fire)
    }

    mutating func fired() {
        scheduled = nil
        firesAt = nil
    }

    mutating func cancel() {
        scheduled?.cancel()
        fired()
    }
}
