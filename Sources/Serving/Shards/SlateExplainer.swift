import Catalog
import Retrieval
import Vocabulary

/// Says why each item of a slate is there: which source found it, at what rank, and what that counted.
struct SlateExplainer {
    let model: RetrievalModel
    let generator: CandidateGenerator
    let mix: RetrievalMix

    /// - Complexity: O(sources * candidates + items * history * neighbours): for people who ask, not for every request.
    func explain(
        _ items: [SlateItem], history: [UInt32], eligible: Int, timings: [(stage: String, microseconds: Int)]
    ) -> Explanation {
        var places: [UInt32: Int] = [:]
        for (index, item) in items.enumerated() { places[item.row] = index }
        var shares: [SourceShare] = []
        for list in generator.lists {
            let scale = SourceList.Scale(list, mix.normalisation)
            for (position, row) in list.rows.enumerated() {
                guard let item = places[row.row] else { continue }
                shares.append(
                    SourceShare(
                        item: item, source: list.entry.source, rank: position + 1, score: row.score,
                        contribution: scale.contribution(position, row)))
            }
        }
        shares.sort { ($0.item, $0.rank, $0.source.rawValue) < ($1.item, $1.rank, $1.source.rawValue) }
        let reasons = items.indices.map { index in
            reason(items[index].row, shares.filter { $0.item == index }, history)
        }
        return Explanation(reasons: reasons, shares: shares, timings: timings, eligibleItems: eligible)
    }

    /// The sentence of the source that counted most.
    private func reason(_ row: UInt32, _ shares: [SourceShare], _ history: [UInt32]) -> String {
        guard let best = shares.max(by: { ($0.contribution, $1.rank) < ($1.contribution, $0.rank) }) else {
            return Int(row) < model.items.count ? "Popular with everyone, number \(row + 1) of all." : "New here."
        }
        if Int(row) >= model.items.count, best.source != .trending {
            return "New, and close to the taste that your history shows."
        }
        switch best.source {
        case .itemToItem:
            if let known = closestKnownItem(to: row, history) {
                return "Goes with \(model.items.label(known)), which is in your history."
            }
            return "Goes with what is in your history."
        case .als: return "Liked by people whose history is like yours (als, rank \(best.rank))."
        case .spectral: return "Close to the taste that your history shows (spectral, rank \(best.rank))."
        case .popular: return "Popular with everyone, number \(row + 1) of all."
        case .recent: return "Popular lately, number \(best.rank) of those new to you."
        case .trending: return "Clicked more than usual just now (trending, rank \(best.rank))."
        case .content:
            let shared = history.withUnsafeBufferPointer { model.content?.common(row, with: $0, most: 3) } ?? []
            if shared.isEmpty { return "Like what is in your history (content, rank \(best.rank))." }
            return "Like what is in your history: \(shared.joined(separator: ", "))."
        case .userToUser: return "Had by the people whose taste is closest to yours (user_to_user, rank \(best.rank))."
        }
    }

    /// The item of the history whose neighbours name `row` with the largest weight.
    private func closestKnownItem(to row: UInt32, _ history: [UInt32]) -> UInt32? {
        guard let neighbors = model.neighbors else { return nil }
        var best: (item: UInt32, weight: Float)?
        for item in history {
            let (rows, weights) = neighbors.neighbors(of: item)
            for position in rows.indices where rows[position] == row && weights[position] > (best?.weight ?? 0) {
                best = (item, weights[position])
            }
        }
        return best?.item
    }
}

extension ItemCatalog {
    /// The title in quotes, or the ID where there is no title.
    fileprivate func label(_ row: UInt32) -> String {
        let title = title(row)
        return title.isEmpty ? name(row) : "“\(title)”"
    }
}
