import Foundation
import VectorMath
import Vocabulary

/// Places items that nobody has had yet among a model's factors.
///
/// The vector of a new item is the mean of the factors of the model's items that have most in common with it: each text
/// that both have counts by how rare it is (the logarithm of items per item that has it), and the best `neighbourCount`
/// count in proportion. Where nothing is in common there is no vector.
package struct NewItemVectors {
    private static let neighbourCount = 20

    private let model: RetrievalModel
    private let factors: RetrievalModel.Factors?
    /// By item row; all 0 between uses.
    private var weights: [Float]

    package init(model: RetrievalModel) {
        self.model = model
        factors = model.addedSource.flatMap { model.factors(of: $0) }
        weights = Array(repeating: 0, count: factors == nil ? 0 : model.items.count)
    }

    /// Numbers of a vector; 0 where the model has no factors.
    package var rank: Int { factors?.model.rank ?? 0 }

    /// The vector of an item: its own, where it has one of the factors' rank, else one made from what it is like.
    ///
    /// - Returns: `rank` numbers, all zero where nothing is known.
    /// - Complexity: O(items that have one of the texts).
    package mutating func vector(of item: ItemDescription) -> [Float] {
        guard let factors else { return [] }
        if item.vector.count == rank { return item.vector }
        let tagsName = model.items.details.tagsName
        var texts = item.tags.map { (tagsName, $0) }
        for value in item.attributes { texts += value.texts.map { (value.attribute, $0) } }
        var touched: [UInt32] = []
        let count = Float(model.items.count)
        for (attribute, text) in texts {
            var found: [UInt32] = []
            let holders = model.attributes.forEachItem(with: text, of: attribute) { found.append($0) }
            // A text that every item has tells nothing.
            let weight = log(count / Float(max(holders, 1)))
            guard weight > 0 else { continue }
            for row in found {
                if weights[Int(row)] == 0 { touched.append(row) }
                weights[Int(row)] += weight
            }
        }
        var top = TopK(k: Self.neighbourCount)
        for row in touched { top.push(row: row, score: weights[Int(row)]) }
        for row in touched { weights[Int(row)] = 0 }
        var neighbours: [ScoredRow] = []
        top.drain(into: &neighbours)
        var vector = [Float](repeating: 0, count: rank)
        let sum = neighbours.reduce(0) { $0 + $1.score }
        guard sum > 0 else { return vector }
        for neighbour in neighbours {
            let factor = factors.model.itemFactors.row(Int(neighbour.row))
            for column in 0..<rank { vector[column] += neighbour.score / sum * factor[column] }
        }
        return vector
    }
}
