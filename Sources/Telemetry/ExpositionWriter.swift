/// Writes one scrape: a family at a time, in either format.
package struct ExpositionWriter {
    package let format: ExpositionFormat
    package private(set) var bytes: [UInt8] = []
    private var current: Metric?

    package init(_ format: ExpositionFormat) {
        self.format = format
        bytes.reserveCapacity(64 << 10)
    }

    /// Starts a family: its help, type and unit.
    package mutating func begin(_ metric: Metric) {
        current = metric
        let name = format == .openMetrics ? metric.family : metric.name
        append("# HELP \(name) ")
        appendEscaped(metric.help, quotes: format == .openMetrics)
        append("\n# TYPE \(name) ")
        switch (metric.kind, format) {
        case (.info, .prometheusText): append("gauge\n")
        default: append("\(metric.kind.rawValue)\n")
        }
        if format == .openMetrics, metric.unit != .none { append("# UNIT \(name) \(metric.unit.rawValue)\n") }
    }

    /// One sample of the family begun last. `labels` are the values, in the order of the catalogue line.
    package mutating func sample(_ labels: [String] = [], _ value: UInt64) {
        line(suffix: "", labels, extra: nil, value: String(value))
    }

    package mutating func sample(_ labels: [String] = [], _ value: Double) {
        line(suffix: "", labels, extra: nil, value: "\(value)")
    }

    /// One histogram of the family begun last.
    ///
    /// - Parameters:
    ///   - counts: Observations of each bucket (not cumulative), the bucket for the rest last.
    ///   - bounds: Upper bounds as text, one fewer than `counts`.
    package mutating func histogram(_ labels: [String], counts: [UInt64], bounds: [String], sum: Double) {
        precondition(counts.count == bounds.count + 1, "\(counts.count) counts, \(bounds.count) bounds")
        var cumulative: UInt64 = 0
        for (i, count) in counts.enumerated() {
            cumulative += count
            line(
                suffix: "_bucket", labels, extra: ("le", i < bounds.count ? bounds[i] : "+Inf"),
                value: String(cumulative))
        }
        line(suffix: "_sum", labels, extra: nil, value: "\(sum)")
        line(suffix: "_count", labels, extra: nil, value: String(cumulative))
    }

    /// Ends the text; nothing may follow.
    package consuming func finished() -> [UInt8] {
        if format == .openMetrics { append("# EOF\n") }
        return bytes
    }

    private mutating func line(suffix: String, _ values: [String], extra: (String, String)?, value: String) {
        guard let metric = current else { preconditionFailure("a sample without a family") }
        precondition(
            values.count == metric.labels.count,
            "\(metric.name) has \(metric.labels.count) labels, \(values.count) given")
        append(metric.name)
        append(suffix)
        if !values.isEmpty || extra != nil {
            append("{")
            var separator = ""
            for (name, value) in zip(metric.labels, values) {
                append("\(separator)\(name)=\"")
                appendEscaped(value, quotes: true)
                append("\"")
                separator = ","
            }
            if let extra { append("\(separator)\(extra.0)=\"\(extra.1)\"") }
            append("}")
        }
        append(" \(value)\n")
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func appendEscaped(_ text: String, quotes: Bool) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\"") where quotes: append("\\\"")
            default: bytes.append(byte)
            }
        }
    }
}
