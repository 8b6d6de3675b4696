/// Quantiles of the last latencies in 208 counters: eight to an octave, from a microsecond to a minute.
///
/// A quantile is off by at most 6 %. Old samples fade: when `samplesMax` are held, all counts are halved. Latencies outside of
/// the range count as its ends.
package struct LatencyHistogram: Sendable {
    private static let firstExponent = 10  // 2^10 ns, a microsecond
    private static let octaves = 26
    private static let buckets = octaves * 8

    private var counts = [UInt32](repeating: 0, count: Self.buckets)
    /// Samples held, after halving.
    package private(set) var count = 0
    /// Samples after which all are halved.
    package let samplesMax: Int

    package init(samplesMax: Int = 2048) { self.samplesMax = samplesMax }

    /// - Parameter latency: Nanoseconds.
    package mutating func record(_ latency: UInt64) {
        counts[Self.bucket(latency)] += 1
        count += 1
        if count >= samplesMax { halve() }
    }

    /// The latency that a share of the samples does not exceed, in nanoseconds; nil when there is no sample.
    ///
    /// - Complexity: O(208).
    package func quantile(_ share: Double) -> UInt64? {
        guard count > 0 else { return nil }
        let rank = max(1, Int((share * Double(count)).rounded(.up)))
        var seen = 0
        for bucket in counts.indices where counts[bucket] > 0 {
            seen += Int(counts[bucket])
            if seen >= rank { return Self.middle(bucket) }
        }
        return Self.middle(Self.buckets - 1)
    }

    /// Adds another's samples; for a view of several, which is not recorded into.
    package mutating func add(_ other: LatencyHistogram) {
        for bucket in counts.indices { counts[bucket] += other.counts[bucket] }
        count += other.count
    }

    package mutating func removeAll() {
        for bucket in counts.indices { counts[bucket] = 0 }
        count = 0
    }

    private mutating func halve() {
        count = 0
        for bucket in counts.indices where counts[bucket] > 0 {
            counts[bucket] /= 2
            count += Int(counts[bucket])
        }
    }

    /// The three bits below the highest one say which eighth of the octave it is.
    private static func bucket(_ latency: UInt64) -> Int {
        let exponent = 63 - max(latency, 1).leadingZeroBitCount
        guard exponent >= firstExponent else { return 0 }
        let eighth = Int((latency >> UInt64(exponent - 3)) & 7)
        return min((exponent - firstExponent) * 8 + eighth, buckets - 1)
    }

    private static func middle(_ bucket: Int) -> UInt64 {
        let width = UInt64(1) << UInt64(firstExponent + bucket / 8 - 3)
        return width * UInt64(8 + bucket % 8) + width / 2
    }
}
