import Glibc

/// Turns calls away that would have to wait too long, the less important the sooner, before they wait.
///
/// The node sees its own queue, so it need not guess from latencies what the queue does, nor empty itself now and then to learn
/// what latency would be without one (the windows of Envoy's adaptive concurrency, which its users see as rejected calls). It
/// measures how often a waiting call begins while calls wait, over all and for each priority; the calls before a new one times
/// that is the new one's wait. Work is taken in the order of priorities: of more important calls those that wait now count, and
/// those that will overtake are in the pace of its own priority. A priority of which none begins any more has the pace of its wait.
///
/// What is measured of the waits corrects the bound: when even the shortest wait of a tenth of a second was above it (a standing
/// queue, CoDel's sign), the estimate is wrong, and the bounds shrink until it is not.
///
/// - Note: Nichols & Jacobson 2012 (CoDel); Zhou et al. 2018 (DAGOR: shedding by priority at the door); Cho et al. 2020 (Breakwater:
///   queueing delay as the signal).
package struct WaitBound: Sendable {
    package struct Configuration: Sendable {
        /// The longest estimated wait of a normal call, nanoseconds.
        package var target: UInt64 = 20_000_000
        /// Times the target, by priority. A critical call is turned away by its deadline or `waitingMax` only.
        package var factors = [Double.infinity, 1, 0.5, 0.25]
        /// Calls that may wait, whatever their priority.
        package var waitingMax = 4096

        package init() {}
    }

    package let configuration: Configuration
    /// Calls that wait, by priority.
    private var waiting = [0, 0, 0, 0]
    /// Nanoseconds from one waiting call's begin to the next one's, smoothed; 0: no call ever waited.
    package private(set) var interval = 0.0
    /// When the last call began while others waited; nil: none waited then.
    private var lastBegin: UInt64?
    /// The same for each priority alone; 0: not known.
    private var paces = [0.0, 0.0, 0.0, 0.0]
    /// When the last call of the priority began, or the first one that waits came.
    private var since: [UInt64] = [0, 0, 0, 0]
    /// `0.1...1`: what the bounds are multiplied with.
    package private(set) var correction = 1.0
    private var shortest = UInt64.max
    private var spanEnds: UInt64 = 0
    package private(set) var rejected = [0, 0, 0, 0]

    package static let span: UInt64 = 100_000_000

    package init(_ configuration: Configuration = .init()) { self.configuration = configuration }

    package var waitingCalls: Int { waiting.reduce(0, +) }

    /// How long a call that came now would wait, in nanoseconds.
    package func estimate(_ priority: CallPriority, at now: UInt64) -> Double {
        let rank = priority.rawValue
        var above = 0
        for other in 0..<rank { above += waiting[other] }
        guard waiting[rank] > 0 else { return Double(above) * interval }
        let stuck = Double(now &- min(now, since[rank]))
        let pace = max(interval, paces[rank], stuck)
        return Double(above) * interval + Double(waiting[rank]) * pace
    }

    /// Whether a call that cannot begin at once may wait; it is counted if so.
    ///
    /// - Parameter patience: Nanoseconds that are left until its deadline.
    package mutating func admit(_ priority: CallPriority, patience: UInt64 = .max, at now: UInt64) -> Bool {
        let wait = estimate(priority, at: now)
        let bound = Double(configuration.target) * configuration.factors[priority.rawValue] * correction
        guard waitingCalls < configuration.waitingMax, wait <= bound, wait < Double(patience) else {
            rejected[priority.rawValue] += 1
            return false
        }
        if waiting[priority.rawValue] == 0 { since[priority.rawValue] = now }
        waiting[priority.rawValue] += 1
        return true
    }

    /// A call waits that was waiting elsewhere; it is not asked again.
    package mutating func rejoin(_ priority: CallPriority, at now: UInt64) {
        if waiting[priority.rawValue] == 0 { since[priority.rawValue] = now }
        waiting[priority.rawValue] += 1
    }

    /// Whether a call that waited this long is not worth beginning: its place is given to one that is still in time.
    ///
    /// Then it is `dropped`. Critical calls are begun as long as anybody waits for them.
    package func isTooLate(_ priority: CallPriority, waited: UInt64) -> Bool {
        priority != .critical && waited > 2 * configuration.target
    }

    /// A call that waited begins.
    package mutating func began(_ priority: CallPriority, waited: UInt64, at now: UInt64) {
        waiting[priority.rawValue] = max(0, waiting[priority.rawValue] - 1)
        if let lastBegin {
            let gap = Double(now &- min(now, lastBegin))
            interval = interval == 0 ? gap : interval + (gap - interval) / 64
        }
        lastBegin = waitingCalls > 0 ? now : nil
        let rank = priority.rawValue
        let pause = Double(now &- min(now, since[rank]))
        paces[rank] = paces[rank] == 0 ? max(interval, pause) : paces[rank] + (pause - paces[rank]) / 16
        since[rank] = now
        // Critical calls overtake; their waits say nothing about the queue's length.
        if priority == .normal || priority == .sheddable { shortest = min(shortest, waited) }
        if now >= spanEnds { endSpan(at: now) }
    }

    /// A call that waited is gone: cancelled, or too late.
    package mutating func dropped(_ priority: CallPriority) {
        waiting[priority.rawValue] = max(0, waiting[priority.rawValue] - 1)
    }

    private mutating func endSpan(at now: UInt64) {
        if shortest != .max {
            let isStanding = Double(shortest) > 1.25 * Double(configuration.target)
            correction = isStanding ? max(0.1, correction * 0.8) : min(1, correction * 1.05)
        }
        shortest = .max
        spanEnds = now &+ Self.span
    }
}
