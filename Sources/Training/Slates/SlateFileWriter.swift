import Artifacts
import EventLog

/// Writes slates as text: one JSON object a slate, or one line of CSV or TSV an item, without features.
package struct SlateFileWriter {
    static let header =
        "request_id,user,scenario,time,generation,model,arm,cached,position,item,score,place,sources,propensity,"
        + "pinned,explored"

    private let format: EventFileFormat
    /// Whether what users answered stands beside the items.
    private let isJoined: Bool

    package init(_ format: EventFileFormat, isJoined: Bool) {
        self.format = format
        self.isJoined = isJoined
    }

    /// What stands before the first slate.
    package var beginning: String {
        guard format != .jsonl else { return "" }
        return (Self.header + (isJoined ? ",answer,open" : "") + "\n")
            .replacing(",", with: format == .csv ? "," : "\t")
    }

    /// A slate, with its line ends.
    package func text(_ joined: JoinedSlate) -> String {
        format == .jsonl ? JSONText.print(json(joined), indented: false) + "\n" : lines(joined)
    }

    private func lines(_ joined: JoinedSlate) -> String {
        let slate = joined.slate
        let separator = format == .csv ? "," : "\t"
        let head = [
            slate.requestID, slate.user, slate.scenario, "\(slate.timeMilliseconds)", "\(slate.generation)",
            slate.model, slate.arm, slate.marks.contains(.cached) ? "1" : "0",
        ].map(csvField)
        var text = ""
        for index in slate.items.indices {
            let isShown = index < slate.shownCount
            func mark(_ mark: LoggedSlate.ItemMarks) -> String {
                isShown ? slate.itemMarks[index].contains(mark) ? "1" : "0" : ""
            }
            var fields = [
                isShown ? "\(index + 1)" : "", csvField(slate.items[index]), "\(slate.scores[index])",
                slate.places[index] == 0 ? "" : "\(slate.places[index])",
                csvField(sources(slate, index).joined(separator: "|")),
                isShown ? "\(slate.propensities[index])" : "", mark(.pinned), mark(.explored),
            ]
            if isJoined { fields += [isShown ? "\(joined.answers[index])" : "", joined.isOpen ? "1" : "0"] }
            text += (head + fields).joined(separator: separator) + "\n"
        }
        return text
    }

    private func sources(_ slate: LoggedSlate, _ item: Int) -> [String] {
        slate.sources.indices.filter { $0 < 32 && slate.itemSources[item] & (1 << UInt32($0)) != 0 }
            .map { slate.sources[$0] }
    }

    private func json(_ joined: JoinedSlate) -> JSONValue {
        let slate = joined.slate
        func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
        func floats(_ values: [Float]) -> JSONValue {
            .array(values.map { $0.isFinite ? .double(Double($0)) : .null })
        }
        func whole(_ values: [UInt32]) -> JSONValue { .array(values.map { .int(Int64($0)) }) }
        var object: [String: JSONValue] = [
            "request_id": .string(slate.requestID), "user": .string(slate.user), "scenario": .string(slate.scenario),
            "time": .int(Int64(clamping: slate.timeMilliseconds)),
            "generation": .int(Int64(clamping: slate.generation)), "model": .string(slate.model),
            "arm": .string(slate.arm), "cached": .bool(slate.marks.contains(.cached)),
            "ranked": .bool(slate.marks.contains(.ranked)), "further_page": .bool(slate.marks.contains(.furtherPage)),
            "fallback": .int(Int64(slate.fallback)), "degraded": .int(Int64(slate.degraded)),
            "context": .object(slate.context.mapValues { .string($0) }), "shown": .int(Int64(slate.shownCount)),
            "candidates": .int(Int64(slate.candidateCount)), "best": .int(Int64(slate.bestCount)),
            "drawn_among": .int(Int64(slate.drawnAmong)), "protected": .int(Int64(slate.protectedPlaces)),
            "items": texts(slate.items), "scores": floats(slate.scores), "places": whole(slate.places),
            "sources": .array(slate.items.indices.map { texts(sources(slate, $0)) }),
            "propensities": floats(slate.propensities),
            "pinned": .array(slate.itemMarks.map { .bool($0.contains(.pinned)) }),
            "explored": .array(slate.itemMarks.map { .bool($0.contains(.explored)) }),
        ]
        if !slate.original.isEmpty { object["original"] = .string(slate.original) }
        if isJoined {
            object["answers"] = floats(joined.answers)
            object["open"] = .bool(joined.isOpen)
        }
        if let features = slate.features {
            object["features"] = [
                "schema": .string(features.schema), "items": whole(features.items),
                "numbers": .array(features.numbers.map(floats)),
                "categories": .array(features.categories.map(whole)),
                "lists": .array(features.lists.map { .array($0.map(whole)) }),
            ]
        }
        return .object(object)
    }
}
