import Foundation
import LoadGenerator

/// What a `LiveRun` measured. Pairs: with events in the background, and without.
package struct LiveReport: Sendable {
    let configuration: LiveRun.Configuration
    let seconds: Double
    let windows: Int
    let background: LatencyFigures
    package let eventsTaken: Int
    package let eventsRefused: Int
    /// Calls that were due when too many were in flight.
    package let unsent: Int
    let slates: [[LatencyFigures]]
    package let slatesFailed: Int
    let acknowledged: [LatencyFigures]
    let visible: [LatencyFigures]
    /// Slates that still showed an item whose event had been acknowledged.
    package let still: Int
    /// Probes that gave up waiting for another slate.
    package let never: Int
    package let probesFailed: Int

    package var probes: Int { visible.reduce(0) { $0 + Int($1.count) } }
    package var isBad: Bool { still > 0 || never > 0 || probes == 0 }

    private func all(_ figures: [LatencyFigures]) -> LatencyFigures {
        var sum = LatencyFigures.inNanoseconds()
        for one in figures { sum.add(one) }
        return sum
    }

    /// The ratios of neighbouring windows, with events by without: the middle one, and how far they are apart.
    private func ratios(_ percentile: Double) -> String {
        let ratios = zip(slates[0], slates[1]).compactMap { with, without in
            with.valueAt(percentile).flatMap { with in without.valueAt(percentile).map { with / $0 } }
        }.sorted()
        guard let first = ratios.first, let last = ratios.last else { return "-" }
        return String(format: "%.2f (%.2f to %.2f)", ratios[ratios.count / 2], first, last)
    }

    package var text: String {
        let rate = grouped(Int(configuration.eventsRate))
        var table = TextTable(["", "count", "p50", "p99", "max"])
        func add(_ name: String, _ figures: LatencyFigures) {
            table.add(
                [name, grouped(figures.count)]
                    + [figures.valueAt(50), figures.valueAt(99), figures.max].map { TimeText.of($0) })
        }
        for (side, words) in ["beside \(rate) events/s", "without"].enumerated() {
            add("event -> acknowledged, \(words)", acknowledged[side])
            add("event -> visible, \(words)", visible[side])
            add("slate, \(words)", all(slates[side]))
        }
        add("background events, from when they were due", background)
        return [
            String(format: "%.1f s, %d windows of %.1f s in turn", seconds, windows, configuration.window),
            table.text,
            "slates, with events by without, in each pair of windows: p50 \(ratios(50)), p99 \(ratios(99))",
            "slates that still showed an item after its event was acknowledged: \(still); never another slate: \(never)",
            "background: \(grouped(eventsTaken)) events taken, \(grouped(eventsRefused)) refused; calls failed: "
                + "\(slatesFailed) slates, \(probesFailed) probes; not sent in time: \(unsent)",
        ].joined(separator: "\n")
    }
}
