import Catalog
import VectorMath

/// The boosts of a configuration, by what they speak of, for one model.
///
/// An item's boosts are bits of a word: its values are read once for each attribute, whatever the number of boosts.
struct Boosts: Sendable {
    private var byRow: [UInt32: UInt64] = [:]
    private var byAttribute: [(name: String, values: ItemValues, bits: [UInt64: UInt64])] = []
    private var changes: [(factor: Float, add: Float)] = []

    var isEmpty: Bool { byRow.isEmpty && byAttribute.isEmpty }

    /// - Parameter missing: Gets the names that the items do not have.
    init(_ boosts: [RerankingConfiguration.Boost], of items: ItemCatalog, missing: inout [String]) {
        precondition(boosts.count <= RerankingConfiguration.boostsMax, "\(boosts.count) boosts")
        for (number, boost) in boosts.enumerated() {
            changes.append((boost.factor, boost.add))
            let bit: UInt64 = 1 << UInt64(number)
            switch boost.target {
            case .item(let item):
                guard let row = items.row(of: item) else {
                    missing.append("item '\(item)'")
                    continue
                }
                byRow[row, default: 0] |= bit
            case .value(let name, let value):
                guard let values = ItemValues(name, of: items) else {
                    missing.append("attribute '\(name)'")
                    continue
                }
                guard let key = values.key(of: value) else {
                    missing.append("value '\(value)' of '\(name)'")
                    continue
                }
                if let place = byAttribute.firstIndex(where: { $0.name == name }) {
                    byAttribute[place].bits[key, default: 0] |= bit
                } else {
                    byAttribute.append((name, values, [key: bit]))
                }
            }
        }
    }

    /// A candidate's score after all boosts that suit it, in the order of the configuration.
    ///
    /// - Parameter scratch: For values.
    func score(_ candidate: ScoredRow, _ scratch: inout [UInt64]) -> Float {
        var suiting = byRow.isEmpty ? 0 : byRow[candidate.row] ?? 0
        for attribute in byAttribute {
            scratch.removeAll(keepingCapacity: true)
            attribute.values.append(candidate.row, to: &scratch)
            for value in scratch { suiting |= attribute.bits[value] ?? 0 }
        }
        var score = candidate.score
        while suiting != 0 {
            let change = changes[suiting.trailingZeroBitCount]
            suiting &= suiting - 1
            // A factor above 1 lifts negative scores, too.
            score = score < 0 ? score / change.factor : score * change.factor
            score += change.add
        }
        return score.isFinite ? score : candidate.score
    }
}
