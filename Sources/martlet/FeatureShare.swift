import CandidateRanking
import Foundation
import MartletClient

/// One feature of an item, as JSON.
struct FeatureShare: Encodable {
    var feature: String
    /// A number as the ranker takes it; of a category its row in the field's table, 0 for unknown. Absent where trees take it
    /// as missing, which JSON has no number for.
    var value: Float?
    /// How much higher the score is than with the feature unknown; of trees a Shapley value.
    var contribution: Float

    /// All features of an item, from the columns of an answer.
    static func all(_ features: [String], _ values: [Float], _ contributions: [Float], of item: Int) -> [FeatureShare] {
        let first = item * features.count
        return features.indices.map {
            let value = values[first + $0]
            return FeatureShare(
                feature: features[$0], value: value.isNaN ? nil : value, contribution: contributions[first + $0])
        }
    }
}

extension RankerFeatures {
    /// For each item of the slate that is told of, its place among these.
    var places: [UInt32: Int] { Dictionary(items.enumerated().map { ($1, $0) }) { first, _ in first } }
}

extension AnswerOutput {
    /// The features that did most to an item's score: "rank +0.42, genres -0.13". Without the bias of trees, which is the same
    /// for all items.
    static func contributions(_ features: [String], _ contributions: [Float], of item: Int, most: Int = 4) -> String {
        let own = contributions[(item * features.count)..<((item + 1) * features.count)]
        return zip(features, own).filter { abs($0.1) >= 0.0005 && $0.0 != FeatureContributions.biasName }
            .sorted { abs($0.1) > abs($1.1) }.prefix(most)
            .map { AnswerTable.printable($0.0) + String(format: " %+.3f", Double($0.1)) }.joined(separator: ", ")
    }
}
