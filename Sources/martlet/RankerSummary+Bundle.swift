import Artifacts
import Features
import RankingModels
import Vocabulary

/// What `martlet model inspect` says of a bundle's ranker.
extension RankerSummary {
    /// Lines for a terminal, indented.
    func section(_ manifest: Manifest) -> String {
        var lines = table.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let candidates =
            fitted.map {
                "\($0.count) of each user, of \($0.sources.joined(separator: ", ")), when it was fitted or judged"
            }
        lines.insert("candidates   " + (candidates ?? "not recorded"), at: 1)
        if let text = partsText(items: manifest.counts.items) { lines.insert("item parts   \(text)", at: 2) }
        return lines.map { $0.isEmpty ? "" : "  \($0)" }.joined(separator: "\n")
    }

    /// What a node may hold of each item; nil of trees.
    private func partsText(items: Int) -> String? {
        guard network != nil else { return nil }
        guard let bytes = partsBytes(items: items) else { return "none: it has no first layer that can be cut by side" }
        return
            "\(bytes.half) bytes (f16) or \(bytes.whole) (f32), where that is cheaper and ranker_item_bytes allows it"
    }

    private func partsBytes(items: Int) -> (half: Int, whole: Int)? {
        guard let (shape, layout) = network, SplitNetwork.isPossible(shape, layout) else { return nil }
        return (
            SplitNetwork.byteCount(shape, itemCount: items, isHalf: true),
            SplitNetwork.byteCount(shape, itemCount: items, isHalf: false)
        )
    }

    func json(items: Int) -> JSONValue {
        var members = json.objectValue ?? [:]
        if let fitted {
            members["candidates"] = .int(Int64(fitted.count))
            members["sources"] = .array(fitted.sources.map { .string($0) })
        }
        if let bytes = partsBytes(items: items) {
            members["item_parts"] = ["f16_bytes": .int(Int64(bytes.half)), "f32_bytes": .int(Int64(bytes.whole))]
        }
        return .object(members)
    }
}
