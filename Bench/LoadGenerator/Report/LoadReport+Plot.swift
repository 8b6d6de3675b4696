import Charts
import Foundation

extension LoadReport {
    /// A drawing of the run: latency by percentile, throughput over time, latency over time.
    package var svg: String {
        let width = 860.0
        let summary =
            "\(modeText), \(connections) connections; \(grouped(Int(throughput.rounded()))) answers/s, "
            + "\(grouped(failed)) errors"
        let (header, panel) = (46.0, 270.0)
        let charts = [percentileChart, throughputChart, latencyChart]
        let height = header + panel * Double(charts.count)
        var svg = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(width))\" height=\"\(Int(height))\" "
                + "viewBox=\"0 0 \(Int(width)) \(Int(height))\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            "<text x=\"14\" y=\"22\" font-size=\"13\">\(SVGChart.escaped(node))</text>",
            "<text x=\"14\" y=\"40\">\(SVGChart.escaped(summary))</text>",
        ]
        for (index, chart) in charts.enumerated() {
            svg.append(chart.elements(x: 0, y: header + panel * Double(index), width: width, height: panel))
        }
        svg.append("</svg>")
        return svg.joined(separator: "\n") + "\n"
    }

    /// Percentiles on an axis where every further nine takes the same room.
    private var percentileChart: SVGChart {
        let nines = stride(from: 0.0, through: 5.0, by: 0.05).map { $0 }
        func points(_ figures: LatencyFigures) -> [(Double, Double)] {
            // The last percentile that the number of samples can tell.
            let most = log10(max(Double(figures.count), 1))
            return nines.filter { $0 <= most }.compactMap { nine in
                figures.valueAt(100 * (1 - pow(10, -nine))).map { (nine, $0) }
            }
        }
        let values = [client.valueAt(1), server.valueAt(1), client.max, server.max].compactMap { $0 }
        return SVGChart(
            title: "Latency by percentile",
            horizontal: .init(
                label: "percentile",
                ticks: [(0, "0"), (1, "90"), (2, "99"), (3, "99.9"), (4, "99.99"), (5, "99.999")]),
            vertical: .init(
                label: "time",
                ticks: SVGChart.decadeTicks(from: values.min() ?? 1e3, to: values.max() ?? 1e6) { LoadReport.tick($0) },
                isLogarithmic: true),
            lines: [
                .init(name: "client", colour: "#1f6fb2", points: points(client)),
                .init(name: "server", colour: "#c8511b", points: points(server)),
            ])
    }

    private var throughputChart: SVGChart {
        let highest = series.map(\.throughput).max() ?? 1
        return SVGChart(
            title: "Throughput over time", horizontal: timeAxis,
            vertical: .init(
                label: "answers/s", ticks: SVGChart.linearTicks(upTo: highest) { grouped(Int($0.rounded())) }),
            lines: [.init(name: "answers", colour: "#2e8b57", points: series.map { ($0.end, $0.throughput) })])
    }

    private var latencyChart: SVGChart {
        func line(_ name: String, _ colour: String, _ value: (LatencyFigures) -> Double?) -> SVGChart.Line {
            .init(
                name: name, colour: colour,
                points: series.compactMap { point in value(point.client).map { (point.end, $0) } })
        }
        let lines = [
            line("p50", "#1f6fb2") { $0.valueAt(50) }, line("p99", "#c8511b") { $0.valueAt(99) },
            line("max", "#8a4fb0") { $0.max },
        ]
        let values = lines.flatMap { $0.points.map(\.y) }
        return SVGChart(
            title: "Client latency over time", horizontal: timeAxis,
            vertical: .init(
                label: "time",
                ticks: SVGChart.decadeTicks(from: values.min() ?? 1e3, to: values.max() ?? 1e6) { LoadReport.tick($0) },
                isLogarithmic: true),
            lines: lines)
    }

    private var timeAxis: SVGChart.Axis {
        .init(
            label: "seconds, warm-up included",
            ticks: SVGChart.linearTicks(upTo: series.map(\.end).max() ?? 1, wanted: 8) { String(format: "%g", $0) })
    }

    /// A power of ten with its unit.
    private static func tick(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: String(format: "%g ns", nanoseconds)
        case ..<1e6: String(format: "%g us", nanoseconds / 1e3)
        case ..<1e9: String(format: "%g ms", nanoseconds / 1e6)
        default: String(format: "%g s", nanoseconds / 1e9)
        }
    }
}
