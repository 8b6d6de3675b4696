/// How long to wait before the next try: each wait is `factor` times the one before, up to a maximum, and partly drawn.
///
/// The drawn part keeps callers that failed together from coming back together. With `jitter` 0.5 a wait lies between half of its
/// length and all of it, so it is never longer than `maximum` and never nothing.
///
/// - Note: The reasons for drawing are in "Exponential backoff and jitter", AWS Architecture Blog, 2015.
package struct Backoff: Sendable {
    package let first: Duration
    package let maximum: Duration
    package let factor: Double
    /// Share of a wait that is drawn, 0...1.
    package let jitter: Double
    /// Waits since the last reset.
    package private(set) var attempt = 0

    /// - Precondition: `0 < first <= maximum`, `factor >= 1`, `jitter` in 0...1.
    package init(first: Duration, maximum: Duration, factor: Double = 2, jitter: Double = 0.5) {
        precondition(
            first > .zero && maximum >= first && factor >= 1 && factor.isFinite && (0...1).contains(jitter),
            "a backoff from \(first) to \(maximum) by \(factor) with jitter \(jitter)")
        self.first = first
        self.maximum = maximum
        self.factor = factor
        self.jitter = jitter
    }

    /// The length of wait number `attempt` (from 0) before anything is drawn, in nanoseconds.
    package func length(_ attempt: Int) -> UInt64 {
        var length = Double(first.nanoseconds)
        let end = Double(maximum.nanoseconds)
        var step = 0
        while step < attempt, length < end, factor > 1 {
            length *= factor
            step += 1
        }
        return length >= end ? maximum.nanoseconds : UInt64(length)
    }

    /// The next wait in nanoseconds, at least 1.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> UInt64 {
        let whole = length(attempt)
        if attempt < .max { attempt += 1 }
        let drawn = UInt64(Double(whole) * jitter)
        guard drawn > 0 else { return max(1, whole) }
        return max(1, whole - min(whole, drawn) + UInt64.random(in: 0...drawn, using: &generator))
    }

    /// The next wait is the first again.
    package mutating func reset() { attempt = 0 }
}

extension Duration {
    /// In nanoseconds; 0 where it is negative, `UInt64.max` where it is longer than that holds.
    package var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return overflow || carry ? .max : sum
    }
}
