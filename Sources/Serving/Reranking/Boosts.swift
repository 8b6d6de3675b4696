import Catalog
import Retrieval
import VectorMath

/// The boosts of a configuration, by what they speak of, for one model.
///
/// An item's boosts are bits of a word: its values are read once for each attribute, whatever the number of boosts.
struct Boosts: Sendable {
    private var byRow: [UInt32: UInt64] = [:]
    private var byAttribute: [(name: String, values: ItemValues, numbers: ValueNumbers, bits: [UInt64])] = []
    private var changes: [(factor: Float, add: Float)] = []

    var isEmpty: Bool { byRow.isEmpty && byAttribute.isEmpty }

    /// - Parameter missing: Gets the names that the items do not have.
    init(
        _ boosts: [RerankingConfiguration.Boost], of items: ItemCatalog, _ changed: ChangedItems = ChangedItems(),
        missing: inout [String]
    ) {
        precondition(boosts.count <= RerankingConfiguration.boostsMax, "\(boosts.count) boosts")
        for (number, boost) in boosts.enumerated() {
            changes.append((boost.factor, boost.add))
            let bit: UInt64 = 1 << UInt64(number)
            switch boost.target {
            case .item(let item):
                guard let row = items.row(of: item) ?? changed.added?.row(of: item) else {
                    missing.append("item '\(item)'")
                    continue
                }
                byRow[row, default: 0] |= bit
            case .value(let name, let value):
                guard let values = ItemValues(name, of: items, changed) else {
                    missing.append("attribute '\(name)'")
                    continue
                }
                guard let key = values.key(of: value) else {
                    missing.append("value '\(value)' of '\(name)'")
                    continue
                }
                var place = byAttribute.count
                if let known = byAttribute.firstIndex(where: { $0.name == name }) {
                    place = known
                } else {
                    byAttribute.append((name, values, ValueNumbers(), []))
                }
                let number = byAttribute[place].numbers.insert(key)
                if number == byAttribute[place].bits.count { byAttribute[place].bits.append(0) }
                byAttribute[place].bits[number] |= bit
            }
        }
    }

    /// The candidates' scores after all boosts that suit them, in the order of the configuration.
    func scores(of candidates: [ScoredRow]) -> [Float] {
        var suiting = candidates.map { byRow.isEmpty ? 0 : byRow[$0.row] ?? 0 }
        for attribute in byAttribute {
            let (numbers, bits) = (attribute.numbers, attribute.bits)
            attribute.values.forEach(candidates.lazy.map(\.row)) { place, value in
                if let number = numbers.number(value) { suiting[place] |= bits[number] }
            }
        }
        return candidates.indices.map { place in
            var score = candidates[place].score
            var left = suiting[place]
            while left != 0 {
                let change = changes[left.trailingZeroBitCount]
                left &= left - 1
                // A factor above 1 lifts negative scores, too.
                score = score < 0 ? score / change.factor : score * change.factor
                score += change.add
            }
            return score.isFinite ? score : candidates[place].score
        }
    }
}
