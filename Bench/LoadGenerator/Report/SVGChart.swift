import Foundation

/// One panel of a drawing: lines over a common pair of axes.
struct SVGChart {
    struct Line {
        let name: String
        let colour: String
        /// In the axes' own units.
        let points: [(x: Double, y: Double)]
    }

    struct Axis {
        let label: String
        /// Ticks with their texts, ascending; the first and the last are the ends of the axis.
        let ticks: [(value: Double, text: String)]
        var isLogarithmic = false

        /// `0...1` along the axis.
        func place(_ value: Double) -> Double {
            guard let first = ticks.first?.value, let last = ticks.last?.value, last > first else { return 0 }
            let (low, high) = (scale(first), scale(last))
            return min(max((scale(value) - low) / (high - low), 0), 1)
        }

        private func scale(_ value: Double) -> Double { isLogarithmic ? log10(max(value, 1e-9)) : value }
    }

    let title: String
    let horizontal: Axis
    let vertical: Axis
    let lines: [Line]

    private static let margin = (left: 84.0, right: 24.0, top: 36.0, bottom: 48.0)

    /// The panel as SVG elements.
    func elements(x: Double, y: Double, width: Double, height: Double) -> String {
        let left = x + Self.margin.left
        let right = x + width - Self.margin.right
        let top = y + Self.margin.top
        let bottom = y + height - Self.margin.bottom
        func number(_ value: Double) -> String { String(format: "%.1f", value) }
        var svg: [String] = []
        func text(_ x: Double, _ y: Double, _ text: String, _ attributes: String) {
            svg.append("<text x=\"\(number(x))\" y=\"\(number(y))\" \(attributes)>\(SVGChart.escaped(text))</text>")
        }
        func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String) {
            svg.append(
                "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" "
                    + "stroke=\"\(colour)\"/>")
        }
        text(left, y + 20, title, "font-size=\"14\" font-weight=\"bold\"")
        for tick in vertical.ticks {
            let place = bottom - vertical.place(tick.value) * (bottom - top)
            line(left, place, right, place, "#e4e4e4")
            text(left - 6, place + 4, tick.text, "text-anchor=\"end\"")
        }
        for tick in horizontal.ticks {
            let place = left + horizontal.place(tick.value) * (right - left)
            line(place, bottom, place, bottom + 4, "#888888")
            text(place, bottom + 17, tick.text, "text-anchor=\"middle\"")
        }
        line(left, bottom, right, bottom, "#888888")
        line(left, top, left, bottom, "#888888")
        text((left + right) / 2, bottom + 36, horizontal.label, "text-anchor=\"middle\"")
        text(
            x + 14, (top + bottom) / 2, vertical.label,
            "text-anchor=\"middle\" transform=\"rotate(-90 \(number(x + 14)) \(number((top + bottom) / 2)))\"")
        for (index, series) in lines.enumerated() {
            let points = series.points.filter { $0.x.isFinite && $0.y.isFinite }.map { point in
                number(left + horizontal.place(point.x) * (right - left)) + ","
                    + number(bottom - vertical.place(point.y) * (bottom - top))
            }
            svg.append(
                "<polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"\(series.colour)\" "
                    + "points=\"\(points.joined(separator: " "))\"/>")
            let legend = right - Double(lines.count - index) * 110 + 20
            line(legend, y + 16, legend + 18, y + 16, series.colour)
            text(legend + 23, y + 20, series.name, "")
        }
        return svg.joined(separator: "\n")
    }

    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }

    /// About `wanted` round ticks from zero to at least `high`.
    static func linearTicks(upTo high: Double, wanted: Int = 5, _ text: (Double) -> String) -> [(Double, String)] {
        let rough = max(high, 1e-9) / Double(wanted)
        let magnitude = pow(10, log10(rough).rounded(.down))
        let step = [1, 2, 2.5, 5, 10].map { $0 * magnitude }.first { $0 >= rough * 0.999 } ?? rough
        let count = max(Int((high / step).rounded(.up)), 1)
        return (0...count).map { (Double($0) * step, text(Double($0) * step)) }
    }

    /// Powers of ten around `low...high`.
    static func decadeTicks(from low: Double, to high: Double, _ text: (Double) -> String) -> [(Double, String)] {
        let first = Int(log10(max(low, 1e-9)).rounded(.down))
        let last = max(Int(log10(max(high, 1e-9)).rounded(.up)), first + 1)
        return (first...last).map { (pow(10, Double($0)), text(pow(10, Double($0)))) }
    }
}
