/// A rate with bursts: tokens drip in at `perSecond` and at most `burst` of them are kept.
///
/// Counts in billionths of a token, so that no rate and no pattern of calls gains or loses any by rounding. A clock that steps back is
/// taken to stand still.
package struct TokenBucket: Sendable {
    package let perSecond: UInt64
    package let burst: UInt64
    /// In billionths of a token.
    private var level: UInt64
    private var last: UInt64

    private static let one: UInt64 = 1_000_000_000

    /// A full bucket.
    ///
    /// - Precondition: `burst` in 1...1 000 000 000.
    package init(perSecond: UInt64, burst: UInt64, at now: UInt64) {
        precondition((1...1_000_000_000).contains(burst), "a burst of \(burst)")
        self.perSecond = perSecond
        self.burst = burst
        level = burst * Self.one
        last = now
    }

    /// Whole tokens that are there.
    package mutating func available(at now: UInt64) -> UInt64 {
        fill(to: now)
        return level / Self.one
    }

    /// Takes all of `count` tokens or none.
    package mutating func take(_ count: UInt64 = 1, at now: UInt64) -> Bool {
        fill(to: now)
        guard count <= burst, level >= count * Self.one else { return false }
        level -= count * Self.one
        return true
    }

    /// Nanoseconds until `count` tokens are there if nobody else takes any; nil: never.
    package mutating func wait(for count: UInt64 = 1, at now: UInt64) -> UInt64? {
        fill(to: now)
        guard count <= burst else { return nil }
        let wanted = count * Self.one
        guard level < wanted else { return 0 }
        guard perSecond > 0 else { return nil }
        return (wanted - level + perSecond - 1) / perSecond
    }

    private mutating func fill(to now: UInt64) {
        guard now > last else { return }
        // Nanoseconds times tokens a second are billionths of a token.
        let (dripped, overflow) = (now - last).multipliedReportingOverflow(by: perSecond)
        let room = burst * Self.one - level
        level += overflow ? room : min(room, dripped)
        last = now
    }
}
