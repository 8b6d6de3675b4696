import Charts
import Foundation

extension IndexReport {
    private static let colours = ["#1f6fb2", "#c8511b", "#2e8b57", "#8a4fb0", "#7f7f7f", "#b8860b"]
    /// Recalls with a line on the axis, which is stretched towards 1.
    private static let recalls = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    private static let ninesMax = 3.4

    /// A drawing: recall against queries per second, a panel for each k, a curve for each index.
    ///
    /// Searches under a filter are left out: they answer another question.
    package var svg: String {
        let points = points.filter { ($0.eligible ?? 1) == 1 && $0.blocked == nil }
        let ks = Set(points.map(\.k)).sorted()
        let (width, head, panel) = (860.0, 46.0, 380.0)
        let height = Int(head + panel * Double(ks.count))
        var svg = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(width))\" height=\"\(height)\" "
                + "viewBox=\"0 0 \(Int(width)) \(height)\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>",
            "<text x=\"14\" y=\"22\" font-size=\"13\">\(SVGChart.escaped(header.data))</text>",
            "<text x=\"14\" y=\"40\">\(header.rows) rows x \(header.dimension), \(SVGChart.escaped(header.metric)), "
                + "one thread, kernels \(SVGChart.escaped(header.kernels))</text>",
        ]
        for (place, k) in ks.enumerated() {
            svg.append(
                Self.chart(k, points.filter { $0.k == k })
                    .elements(x: 0, y: head + panel * Double(place), width: width, height: panel))
        }
        return (svg + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private static func chart(_ k: Int, _ points: [IndexPoint]) -> SVGChart {
        var names: [String] = []
        for point in points where !names.contains(point.index) { names.append(point.index) }
        let rates = points.map(\.qps)
        return SVGChart(
            title: "k = \(k)",
            horizontal: .init(
                label: "recall",
                ticks: recalls.map { (nines($0), String(format: "%g", $0)) } + [(ninesMax, "1")]),
            vertical: .init(
                label: "queries/s",
                ticks: SVGChart.decadeTicks(from: rates.min() ?? 1, to: rates.max() ?? 10) {
                    String(format: $0 < 1e6 ? "%.0f" : "%g", $0)
                },
                isLogarithmic: true),
            lines: names.enumerated().map { place, name in
                .init(
                    name: name, colour: colours[place % colours.count],
                    points: points.filter { $0.index == name }.sorted { ($0.recall, $1.qps) < ($1.recall, $0.qps) }
                        .map { (nines($0.recall), $0.qps) },
                    hasDots: true)
            })
    }

    /// A place on an axis where every further nine takes the same room.
    private static func nines(_ recall: Double) -> Double {
        recall >= 1 ? ninesMax : min(-log10(1 - max(recall, 0)), ninesMax)
    }
}
