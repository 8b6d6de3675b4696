import Catalog
import Foundation

/// How common each value of an attribute is among everybody's interactions.
package final class AttributeShares: Sendable {
    let attribute: TextAttribute
    /// By value, the share of all interactions that are with an item that has it.
    private let shares: [Double]

    /// Interactions that a history is taken to hold beside its own, spread as everybody's: a short one says little.
    private static let prior = 5.0

    /// - Complexity: O(values of all items).
    init(_ attribute: TextAttribute, _ items: ItemCatalog) {
        self.attribute = attribute
        var (sums, whole) = ([Double](repeating: 0, count: attribute.valueCount), 0.0)
        for row in 0..<UInt32(items.count) {
            let count = Double(items.interactions(row))
            whole += count
            for value in attribute.numbers(row) { sums[Int(value)] += count }
        }
        shares = sums.map { max($0, 1) / max(whole, 1) }
    }

    /// The logarithm of a value's share of a history over its share of everybody's.
    ///
    /// - Parameters:
    ///   - count: Items of the history that have the value.
    ///   - history: Items of the history.
    func lift(_ value: UInt32, count: Int, history: Int) -> Double {
        let share = shares[Int(value)]
        return log((Double(count) + Self.prior * share) / ((Double(history) + Self.prior) * share))
    }
}
