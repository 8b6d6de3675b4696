/// The two texts that a scraper may ask for.
package enum ExpositionFormat: Sendable, Equatable {
    /// Prometheus' text format 0.0.4.
    case prometheusText
    /// OpenMetrics 1.0.
    case openMetrics

    package var contentType: String {
        switch self {
        case .prometheusText: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// Chooses by an Accept header: OpenMetrics where it is wanted at least as much as plain text.
    ///
    /// Without a header, and for one that names neither, plain text: a person with a browser or curl reads it.
    package static func negotiate(accept: String?) -> ExpositionFormat {
        guard let accept else { return .prometheusText }
        var open = 0.0
        var plain = 0.0
        for range in accept.split(separator: ",") {
            let parts = range.split(separator: ";").map { trimmed($0).lowercased() }
            guard let type = parts.first else { continue }
            var quality = 1.0
            var version: String?
            for parameter in parts.dropFirst() {
                if parameter.hasPrefix("q=") { quality = Double(parameter.dropFirst(2)) ?? 0 }
                if parameter.hasPrefix("version=") { version = String(parameter.dropFirst("version=".count)) }
            }
            switch type {
            case "application/openmetrics-text" where version == nil || version == "1.0.0" || version == "0.0.1":
                open = max(open, quality)
            case "text/plain" where version == nil || version == "0.0.4": plain = max(plain, quality)
            default: break
            }
        }
        return open > 0 && open >= plain ? .openMetrics : .prometheusText
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
