import Retrieval
import Serving

extension LoadedConfiguration {
    /// The effective configuration as YAML that can be read back, with a comment on each line: where it came from.
    package func yaml() -> String {
        var lines: [(text: String, comment: String)] = []
        var section = ""
        for setting in Setting.all {
            let parts = setting.key.split(separator: ".", maxSplits: 1).map(String.init)
            var indentation = ""
            if parts.count == 2 {
                if section != parts[0] { lines.append(("\(parts[0]):", "")) }
                section = parts[0]
                indentation = "  "
            } else {
                section = ""
            }
            let origin = "\(origins[setting.key] ?? .defaults)"
            if let text = setting.text(in: configuration) {
                lines.append(("\(indentation)\(parts[parts.count - 1]): \(Self.scalar(text))", origin))
            } else {
                lines.append(("# \(indentation)\(parts[parts.count - 1]):", "not set"))
            }
        }
        lines += Self.lines(configuration.events.types).map { ($0, "") }
        lines.append(("scenarios:", ""))
        for (name, scenario) in configuration.orderedScenarios {
            lines.append(("  \(Self.scalar(name)):", "\(origins["scenarios.\(name)"] ?? .defaults)"))
            lines.append(("    k: \(scenario.k)", ""))
            if let ttl = scenario.cacheTTL { lines.append(("    cache_ttl: \(SettingValue.text(duration: ttl))", "")) }
            lines.append(("    ranker: \(scenario.ranker.rawValue)", ""))
            if let count = scenario.rankCandidates {
                lines.append(("    rank_candidates: \(count)", ""))
            } else {
                lines.append(("    # rank_candidates:", "as the bundle's ranker says"))
            }
            if let share = scenario.slatesSample { lines.append(("    slates_sample: \(share)", "")) }
            if let rows = scenario.batchRows { lines.append(("    batch_rows: \(rows)", "")) }
            if let requests = scenario.batchRequests { lines.append(("    batch_requests: \(requests)", "")) }
            if let retrieval = scenario.retrieval {
                lines.append(("    retrieval:", ""))
                lines.append(("      normalisation: \(retrieval.normalisation.rawValue)", ""))
                lines.append(("      sources:", ""))
                for source in retrieval.sources {
                    let fields = "source: \(source.source.rawValue), limit: \(source.limit), weight: \(source.weight)"
                    lines.append(("        - {\(fields)}", ""))
                }
            } else {
                lines.append(("    # retrieval:", "as the bundle says"))
            }
            if let reranking = scenario.reranking { lines += Self.lines(reranking).map { ("    \($0)", "") } }
        }
        let width = min(60, lines.map(\.text.count).max() ?? 0)
        return lines.map { text, comment in
            guard !comment.isEmpty else { return text + "\n" }
            return text + String(repeating: " ", count: max(0, width - text.count)) + "  # \(comment)\n"
        }.joined()
    }

    /// What `ConfigurationFile` reads back.
    private static func lines(_ reranking: RerankingConfiguration) -> [String] {
        if reranking.isEmpty { return ["reranking: {}"] }
        var lines = ["reranking:"]
        if let pool = reranking.pool { lines.append("  pool: \(pool)") }
        if let diversity = reranking.diversity {
            switch diversity.by {
            case .factors: lines.append("  diversity: {by: factors, strength: \(diversity.strength)}")
            case .attribute(let name):
                lines.append(
                    "  diversity: {by: attribute, attribute: \(scalar(name)), strength: \(diversity.strength)}")
            }
        }
        func list(_ name: String, _ entries: [String]) {
            if entries.isEmpty { return }
            lines.append("  \(name):")
            lines += entries.map { "    - {\($0)}" }
        }
        list("caps", reranking.caps.map { "attribute: \(scalar($0.attribute)), most: \($0.most)" })
        list("pins", reranking.pins.map { "item: \(scalar($0.item)), place: \($0.place)" })
        list(
            "boosts",
            reranking.boosts.map { boost in
                let change = "factor: \(boost.factor), add: \(boost.add)"
                switch boost.target {
                case .item(let item): return "item: \(scalar(item)), \(change)"
                case .value(let attribute, let value):
                    return "attribute: \(scalar(attribute)), value: \(scalar(value)), \(change)"
                }
            })
        if let exploration = reranking.exploration {
            let method =
                switch exploration.method {
                case .epsilon(let epsilon): "method: epsilon, epsilon: \(epsilon)"
                case .softmax(let temperature): "method: softmax, temperature: \(temperature)"
                }
            lines.append(
                "  exploration: {\(method), protected: \(exploration.protected), among: \(exploration.among)}")
        }
        return lines
    }

    /// Quotes what YAML would read as something else than this text.
    static func scalar(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "._-/:".utf8.contains(byte)
        }
        if isPlain, let first = text.utf8.first, !"-:".utf8.contains(first), text.utf8.last != UInt8(ascii: ":") {
            return text
        }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let hex = String(scalar.value, radix: 16)
                quoted += "\\x" + (hex.count == 1 ? "0" : "") + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
