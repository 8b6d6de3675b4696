import Foundation
import Histogram

/// A distribution of times: an HdrHistogram with three significant digits, read in nanoseconds.
package struct LatencyFigures: Sendable {
    private var histogram: Histogram<UInt64>
    /// Nanoseconds of one recorded unit.
    private let unit: Double

    /// Times up to two minutes in steps of 64 ns; longer ones count as two minutes.
    package static func inNanoseconds() -> LatencyFigures {
        LatencyFigures(
            histogram: Histogram(lowestDiscernibleValue: 64, highestTrackableValue: 120_000_000_000), unit: 1)
    }

    /// Times up to two minutes in microseconds.
    package static func inMicroseconds() -> LatencyFigures {
        LatencyFigures(histogram: Histogram(lowestDiscernibleValue: 1, highestTrackableValue: 120_000_000), unit: 1000)
    }

    private init(histogram: Histogram<UInt64>, unit: Double) {
        self.histogram = histogram
        self.unit = unit
    }

    /// Records a time in this distribution's own unit.
    @inline(__always)
    package mutating func record(_ value: UInt64) {
        histogram.record(min(value, histogram.highestTrackableValue))
    }

    /// - Precondition: both have the same unit.
    package mutating func add(_ other: LatencyFigures) { histogram.add(other.histogram) }
    package mutating func reset() { histogram.reset() }

    package var count: UInt64 { histogram.totalCount }
    package var isEmpty: Bool { histogram.totalCount == 0 }

    /// Nanoseconds; `nil` when nothing was recorded.
    package func valueAt(_ percentile: Double) -> Double? {
        isEmpty ? nil : Double(histogram.valueAtPercentile(percentile)) * unit
    }
    package var mean: Double? { isEmpty ? nil : histogram.mean * unit }
    package var min: Double? { isEmpty ? nil : Double(histogram.min) * unit }
    package var max: Double? { isEmpty ? nil : Double(histogram.max) * unit }

    /// A time of this distribution for people. One that was recorded as zero units is below one, not nothing.
    package func text(_ nanoseconds: Double?, moreDigits: Int = 0) -> String {
        if let nanoseconds, unit == 1000, nanoseconds < unit { return "<1 us" }
        return nanoseconds.map { TimeText.of($0, moreDigits: moreDigits) } ?? "-"
    }

    private func min(_ a: UInt64, _ b: UInt64) -> UInt64 { a < b ? a : b }
}

/// Times for people: three digits and the unit that fits.
package enum TimeText {
    package static func of(_ nanoseconds: Double, moreDigits more: Int = 0) -> String {
        switch nanoseconds {
        case ..<1e3: String(format: "%.\(more)f ns", nanoseconds)
        case ..<1e6: String(format: "%.\(1 + more)f us", nanoseconds / 1e3)
        case ..<1e9: String(format: "%.\(2 + more)f ms", nanoseconds / 1e6)
        default: String(format: "%.\(2 + more)f s", nanoseconds / 1e9)
        }
    }

    /// Seconds of a run: "5", "0.3".
    package static func seconds(_ seconds: Double) -> String {
        let tenths = (seconds * 10).rounded() / 10
        return String(format: tenths == tenths.rounded() ? "%.0f" : "%.1f", tenths)
    }

    package static func of(_ nanoseconds: Double?) -> String { nanoseconds.map { of($0) } ?? "-" }
}
