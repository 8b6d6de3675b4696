/// Drives a `Brownout` by the latencies of calls: a percentile of each interval of a tenth of a second.
///
/// An interval without calls counts as one with time to spare. Takes eight counts for each doubling of a latency, so a percentile is
/// off by a twelfth at most.
package struct QualityControl: Sendable {
    package static let interval: UInt64 = 100_000_000
    private static let perDoubling = 8
    /// Intervals without a call after which quality is whole again in any case.
    private static let idleMax = 64

    /// Share of the calls that are to be faster than the objective.
    package let percentile: Double
    private var brownout: Brownout
    private var counts = [UInt32](repeating: 0, count: 40 * perDoubling)
    private var total = 0
    private var ends: UInt64?

    /// - Parameter objective: Nanoseconds.
    package init(objective: UInt64, percentile: Double = 0.9) {
        precondition((0...1).contains(percentile), "percentile \(percentile)")
        self.percentile = percentile
        brownout = Brownout(objective: Double(objective))
    }

    package var quality: Double { brownout.quality }

    /// Takes in how long a call was in the node, nanoseconds.
    package mutating func observe(_ latency: UInt64, at now: UInt64) {
        advance(to: now)
        counts[Self.bucket(latency)] += 1
        total += 1
    }

    /// Ends intervals that are over.
    package mutating func advance(to now: UInt64) {
        guard let ends else {
            self.ends = now &+ Self.interval
            return
        }
        guard now >= ends else { return }
        _ = brownout.update(percentile: latency)
        let idle = min(Self.idleMax, Int((now &- ends) / Self.interval))
        for _ in 0..<idle where brownout.quality < 1 { _ = brownout.update(percentile: 0) }
        if total > 0 {
            for bucket in counts.indices { counts[bucket] = 0 }
            total = 0
        }
        self.ends = now &+ Self.interval
    }

    /// The percentile of this interval, nanoseconds; 0: no calls.
    private var latency: Double {
        if total == 0 { return 0 }
        let wanted = percentile * Double(total)
        var below = 0.0
        for (bucket, count) in counts.enumerated() where count > 0 {
            below += Double(count)
            if below >= wanted { return Self.value(bucket) }
        }
        return 0
    }

    private static func bucket(_ latency: UInt64) -> Int {
        if latency < UInt64(perDoubling) { return 0 }
        let doubling = UInt64.bitWidth - 1 - latency.leadingZeroBitCount
        let within = Int(latency >> UInt64(doubling - 3)) & (perDoubling - 1)
        return min(40 * perDoubling - 1, (doubling - 3) * perDoubling + within)
    }

    /// The middle of a bucket.
    private static func value(_ bucket: Int) -> Double {
        let (doubling, within) = bucket.quotientAndRemainder(dividingBy: perDoubling)
        return (Double(perDoubling + within) + 0.5) * Double(UInt64(1) << UInt64(doubling))
    }
}
