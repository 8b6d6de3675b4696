import Foundation

/// One panel of a drawing: lines over a common pair of axes.
package struct SVGChart {
    package struct Line {
        let name: String
        let colour: String
        /// In the axes' own units.
        package let points: [(x: Double, y: Double)]
        /// Whether each point has a dot, which a line of one point needs.
        let hasDots: Bool

        package init(name: String, colour: String, points: [(x: Double, y: Double)], hasDots: Bool = false) {
            (self.name, self.colour, self.points, self.hasDots) = (name, colour, points, hasDots)
        }
    }

    package struct Axis {
        let label: String
        /// Ticks with their texts, ascending; the first and the last are the ends of the axis.
        let ticks: [(value: Double, text: String)]
        let isLogarithmic: Bool

        package init(label: String, ticks: [(value: Double, text: String)], isLogarithmic: Bool = false) {
            (self.label, self.ticks, self.isLogarithmic) = (label, ticks, isLogarithmic)
        }

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

    package init(title: String, horizontal: Axis, vertical: Axis, lines: [Line]) {
        (self.title, self.horizontal, self.vertical, self.lines) = (title, horizontal, vertical, lines)
    }

    private static let margin = (left: 84.0, right: 24.0, top: 36.0, bottom: 48.0)

    /// The panel as SVG elements.
    package func elements(x: Double, y: Double, width: Double, height: Double) -> String {
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
            let places = series.points.filter { $0.x.isFinite && $0.y.isFinite }.map { point in
                (
                    x: number(left + horizontal.place(point.x) * (right - left)),
                    y: number(bottom - vertical.place(point.y) * (bottom - top))
                )
            }
            svg.append(
                "<polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"\(series.colour)\" "
                    + "points=\"\(places.map { "\($0.x),\($0.y)" }.joined(separator: " "))\"/>")
            for place in places where series.hasDots {
                svg.append("<circle cx=\"\(place.x)\" cy=\"\(place.y)\" r=\"2.6\" fill=\"\(series.colour)\"/>")
            }
            let legend = right - Double(lines.count - index) * 110 + 20
            line(legend, y + 16, legend + 18, y + 16, series.colour)
            text(legend + 23, y + 20, series.name, "")
        }
        return svg.joined(separator: "\n")
    }

    package static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
    }

    /// About `wanted` round ticks from zero to at least `high`.
    package static func linearTicks(upTo high: Double, wanted: Int = 5, _ text: (Double) -> String) -> [(
        Double, String
    )] {
        let rough = max(high, 1e-9) / Double(wanted)
        let magnitude = pow(10, log10(rough).rounded(.down))
        let step = [1, 2, 2.5, 5, 10].map { $0 * magnitude }.first { $0 >= rough * 0.999 } ?? rough
        let count = max(Int((high / step).rounded(.up)), 1)
        return (0...count).map { (Double($0) * step, text(Double($0) * step)) }
    }

    /// Powers of ten around `low...high`.
    package static func decadeTicks(from low: Double, to high: Double, _ text: (Double) -> String) -> [(Double, String)]
    {
        let first = Int(log10(max(low, 1e-9)).rounded(.down))
        let last = max(Int(log10(max(high, 1e-9)).rounded(.up)), first + 1)
        return (first...last).map { (pow(10, Double($0)), text(pow(10, Double($0)))) }
    }
}
