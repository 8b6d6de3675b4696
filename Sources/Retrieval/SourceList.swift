import VectorMath
import Vocabulary

/// What one source brought for one request: eligible items, best first.
package struct SourceList {
    package let entry: RetrievalMix.Entry
    package var rows: [ScoredRow] = []
    /// How the rows were searched, for sources that search factors.
    package var plan: SearchPlan?

    /// Rows from this one on are of added items, which the other sources cannot know: what they are worth here counts
    /// `addedFactor` times, as if those agreed.
    var addedFrom = UInt32.max
    var addedFactor: Float = 1

    package init(entry: RetrievalMix.Entry, rows: [ScoredRow] = []) {
        self.entry = entry
        self.rows = rows
    }

    /// The part of an item's final score that stands at `position` of the list.
    ///
    /// - Complexity: O(1) after `Scale` is made, which is O(length).
    package struct Scale {
        let normalisation: RetrievalMix.Normalisation
        let weight: Float
        let lowest: Float
        let perUnit: Float
        let length: Float
        let addedFrom: UInt32
        let addedFactor: Float

        package init(_ list: SourceList, _ normalisation: RetrievalMix.Normalisation) {
            self.normalisation = normalisation
            weight = list.entry.weight
            addedFrom = list.addedFrom
            addedFactor = list.addedFactor
            length = Float(max(list.rows.count, 1))
            // What is not among those that trend trends by nothing: a list of one says as much as one of many.
            let isFromZero = list.entry.source == .trending
            lowest = isFromZero ? 0 : list.rows.last?.score ?? 0
            if normalisation == .zscore, isFromZero {
                let squares = list.rows.reduce(Double(0)) { $0 + Double($1.score) * Double($1.score) }
                let deviation = (squares / Double(length)).squareRoot()
                perUnit = deviation > 1e-12 ? Float(1 / deviation) : 0
            } else if normalisation == .zscore, list.rows.count > 1 {
                var sum: Double = 0
                var squares: Double = 0
                for row in list.rows {
                    sum += Double(row.score)
                    squares += Double(row.score) * Double(row.score)
                }
                let mean = sum / Double(list.rows.count)
                let deviation = max(0, squares / Double(list.rows.count) - mean * mean).squareRoot()
                perUnit = deviation > 1e-12 ? Float(1 / deviation) : 0
            } else {
                perUnit = 0
            }
        }

        /// The same, where the row may be of an added item.
        package func contribution(_ position: Int, _ row: ScoredRow) -> Float {
            contribution(position, row.score) * (row.row < addedFrom ? 1 : addedFactor)
        }

        package func contribution(_ position: Int, _ score: Float) -> Float {
            switch normalisation {
            case .zscore: weight * (score - lowest) * perUnit
            case .rank: weight * (1 - Float(position) / length)
            case .none: weight * score
            }
        }
    }
}
