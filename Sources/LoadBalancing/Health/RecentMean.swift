/// The mean of what was seen in the last second or so: four spans of time, the oldest of which is forgotten whole.
///
/// Not a fading mean: what a node did in a rush, thousands of answers ago, must not speak for one that has had no call since.
package struct RecentMean: Sendable {
    private var sums = (0.0, 0.0, 0.0, 0.0)
    private var counts = (0.0, 0.0, 0.0, 0.0)
    /// Number of the span that is being filled, since the clock's zero.
    private var current: UInt64 = 0
    private let span: UInt64

    /// - Parameter window: Nanoseconds; what is seen counts for three quarters of it at least.
    package init(window: UInt64 = 1_600_000_000) { span = max(1, window / 4) }

    package mutating func observe(_ value: Double, at now: UInt64) {
        advance(to: now)
        sums.0 += value
        counts.0 += 1
    }

    /// Values that the mean is of.
    package func count(at now: UInt64) -> Double {
        switch age(at: now) {
        case 0: counts.0 + counts.1 + counts.2 + counts.3
        case 1: counts.0 + counts.1 + counts.2
        case 2: counts.0 + counts.1
        case 3: counts.0
        default: 0
        }
    }

    /// Count and sum of the present span and the one before.
    package func newest(at now: UInt64) -> (count: Double, sum: Double) {
        switch age(at: now) {
        case 0: (counts.0 + counts.1, sums.0 + sums.1)
        case 1: (counts.0, sums.0)
        default: (0, 0)
        }
    }

    /// Not a number when nothing was seen.
    package func mean(at now: UInt64) -> Double {
        let sum =
            switch age(at: now) {
            case 0: sums.0 + sums.1 + sums.2 + sums.3
            case 1: sums.0 + sums.1 + sums.2
            case 2: sums.0 + sums.1
            case 3: sums.0
            default: 0.0
            }
        return sum / count(at: now)
    }

    private func age(at now: UInt64) -> UInt64 {
        let number = now / span
        return number > current ? number - current : 0
    }

    private mutating func advance(to now: UInt64) {
        for _ in 0..<min(age(at: now), 4) {
            sums = (0, sums.0, sums.1, sums.2)
            counts = (0, counts.0, counts.1, counts.2)
        }
        current = max(current, now / span)
    }
}
