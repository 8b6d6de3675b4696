/// The times at which the calls of a constant-rate load are meant to be sent.
///
/// Latency is counted from these times, not from the moment of sending: a node that stalls delays calls that could not
/// even be sent meanwhile, and their wait must show. Pure; the clock is passed in.
package struct OpenLoopSchedule: Sendable {
    /// Nanoseconds.
    package let start: UInt64
    package let end: UInt64
    package let interval: Double
    /// Calls taken so far.
    package private(set) var taken: UInt64 = 0

    /// - Parameters:
    ///   - rate: Calls a second.
    ///   - phase: Share of one interval by which this schedule is late, so that several threads do not send at once.
    package init(start: UInt64, end: UInt64, rate: Double, phase: Double = 0) {
        precondition(rate > 0 && end >= start, "rate \(rate) from \(start) to \(end)")
        interval = 1e9 / rate
        self.start = start + UInt64(interval * phase)
        self.end = end
    }

    /// When call `index` is meant to be sent.
    @inline(__always)
    package func intendedTime(_ index: UInt64) -> UInt64 { start + UInt64(Double(index) * interval) }

    /// The intended time of the next call; `nil` when the schedule has ended.
    @inline(__always)
    package var nextTime: UInt64? {
        let next = intendedTime(taken)
        return next < end ? next : nil
    }

    /// Takes the next call if its time has come.
    @inline(__always)
    package mutating func take(at now: UInt64) -> UInt64? {
        let next = intendedTime(taken)
        guard next <= now, next < end else { return nil }
        taken += 1
        return next
    }

    /// Calls with an intended time in `range` that were not taken.
    package func untaken(in range: Range<UInt64>) -> UInt64 {
        let upper = min(range.upperBound, end)
        func callsBefore(_ time: UInt64) -> UInt64 {
            guard time > start else { return 0 }
            var count = UInt64((Double(time - start) / interval).rounded(.up))
            while count > 0, intendedTime(count - 1) >= time { count -= 1 }
            while intendedTime(count) < time { count += 1 }
            return count
        }
        let last = callsBefore(upper)
        let first = max(callsBefore(range.lowerBound), taken)
        return last > first ? last - first : 0
    }
}
