import Artifacts
import Vocabulary

/// How good a bundle's sources, and what it serves, are against held-out interactions.
package struct EvaluationReport: Sendable, Equatable {
    /// One source alone, or `served`: what the node answers with.
    package struct Row: Sendable, Equatable {
        package var source: String
        package var result: RankingResult
    }

    /// How much of the exact answer a graph search finds.
    package struct IndexRecall: Sendable, Equatable {
        package var kind: String
        package var k: Int
        package var efSearch: Int
        /// Share of the exact best `k` that the graph finds; nil when the bundle holds no graph.
        package var recall: Double?
        /// Users asked for.
        package var queries: Int
        /// Whether the node walks the graph for this catalogue (small ones are scanned).
        package var isServed: Bool
    }

    package var k: Int
    /// Users with a held-out item that could be recommended to them: those that are averaged over.
    package var users = 0
    /// Choices before each of which was asked, and which are averaged over in place of users; nil: each user was asked for once.
    package var choices: Int?
    /// Users of the test file that the bundle does not know: left out.
    package var unknownUsers = 0
    /// Known users with no held-out item left: left out.
    package var emptyUsers = 0
    /// Held-out interactions of known users.
    package var testInteractions = 0
    /// Those with an item that the bundle does not know: left out, as nothing could find them.
    package var unknownItems = 0
    /// Those with an item that is in the user's history already: left out, as it is never recommended again.
    package var seenItems = 0
    package var rows: [Row] = []
    package var index: [IndexRecall] = []
    /// Where the held-out interactions come from: a file, or the split.
    package var test = ""

    package init(k: Int) { self.k = k }

    /// The result of `source`, or nil.
    package subscript(source: String) -> RankingResult? { rows.first { $0.source == source }?.result }
}

extension EvaluationReport {
    /// The name of what the node answers with, beside the names of the sources.
    package static let servedName = "served"

    /// `{"k", "test", "users", ..., "sources": {"als": {"recall@20": ...}}, "served": {...}, "index": {"als": {...}}}`
    package var json: JSONValue {
        func object(_ result: RankingResult) -> JSONValue {
            .object(Dictionary(uniqueKeysWithValues: result.named.map { ($0.name, JSONValue.double($0.value)) }))
        }
        var sources: [String: JSONValue] = [:]
        for row in rows where row.source != EvaluationReport.servedName { sources[row.source] = object(row.result) }
        var indexes: [String: JSONValue] = [:]
        for entry in index {
            indexes[entry.kind] = [
                "recall@\(entry.k)": entry.recall.map { .double($0) } ?? .null,
                "ef_search": .int(Int64(entry.efSearch)),
                "queries": .int(Int64(entry.queries)), "served": .bool(entry.isServed),
            ]
        }
        return [
            "k": .int(Int64(k)), "test": .string(test), "users": .int(Int64(users)),
            "unknown_users": .int(Int64(unknownUsers)), "empty_users": .int(Int64(emptyUsers)),
            "test_interactions": .int(Int64(testInteractions)), "unknown_items": .int(Int64(unknownItems)),
            "seen_items": .int(Int64(seenItems)), "sources": .object(sources),
            "served": self[EvaluationReport.servedName].map(object) ?? .null, "index": .object(indexes),
            "choices": choices.map { .int(Int64($0)) } ?? .null,
        ]
    }

    /// An aligned table for people, the notes below it.
    package var table: String {
        let shown = [
            "recall", "ndcg", "precision", "hit_rate", "mrr", "map", "coverage", "gini", "popularity", "novelty",
        ]
        var lines = [["source"] + shown.map { "\($0)@\(k)" }]
        for row in rows {
            lines.append(
                [row.source]
                    + row.result.named.map { name, value in
                        name.hasPrefix("popularity") || name.hasPrefix("novelty")
                            ? value.text(digits: 2) : value.text(digits: 4)
                    })
        }
        var text = EvaluationReport.aligned(lines)
        text +=
            "\n\(users.counted("user")), \(testInteractions.counted("held-out interaction")) (\(test)), every item ranked, training items removed\n"
        if let choices { text += "asked before each of \(choices.counted("choice")), in the order of time\n" }
        if unknownUsers > 0 { text += "left out: \(unknownUsers) users that the bundle does not know\n" }
        if unknownItems > 0 {
            text += "left out: \(unknownItems) interactions with items that the bundle does not know\n"
        }
        if seenItems > 0 {
            text += "left out: \(seenItems) interactions with items that are in the user's history already\n"
        }
        if emptyUsers > 0 { text += "left out: \(emptyUsers) users with nothing held out that could be recommended\n" }
        for entry in index {
            let found = entry.recall.map {
                "recall@\(entry.k) \($0.text(digits: 4)) of exact search at efSearch \(entry.efSearch)"
            }
            let use = entry.isServed ? "served from the graph" : "served by exact search, the catalogue is small"
            text += "index \(entry.kind): \(found ?? "no graph in the bundle")"
            text += entry.recall == nil ? "\n" : " (\(entry.queries) users; \(use))\n"
        }
        return text
    }

    /// Columns side by side: the first to the left, numbers to the right.
    package static func aligned(_ rows: [[String]]) -> String {
        guard let columns = rows.map(\.count).max() else { return "" }
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ") + "\n"
        }.joined()
    }
}

extension Double {
    /// With a fixed number of digits after the point.
    package func text(digits: Int) -> String {
        guard isFinite, abs(self) < 1e15 else { return "\(self)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(self) * scale).rounded())
        let whole = scaled / Int64(scale)
        let rest = String(scaled % Int64(scale))
        let sign = self < 0 && scaled > 0 ? "-" : ""
        return digits == 0
            ? "\(sign)\(whole)" : "\(sign)\(whole)." + String(repeating: "0", count: digits - rest.count) + rest
    }
}
