import Features

/// Encoded examples with their labels. Not changed once it is filled.
package final class LabelledRows {
    package let rows: FeatureRows
    /// 0 or 1, one a row.
    package private(set) var labels: [Float] = []
    /// How much each example counts, one a row; 1 where nothing else was said.
    package private(set) var weights: [Float] = []
    /// Where lists end, ascending: each holds the rows since the last end. Empty where examples stand for themselves.
    package private(set) var listEnds: [Int] = []

    package init(_ layout: FeatureLayout) { rows = FeatureRows(layout) }

    package var count: Int { labels.count }

    /// Adds an example of which `fill` sets the features.
    package func append(label: Bool, weight: Float = 1, _ fill: (FeatureRows, Int) -> Void) {
        let row = rows.append()
        fill(rows, row)
        labels.append(label ? 1 : 0)
        weights.append(weight)
    }

    /// Adds an example with the features of a row of another set.
    package func append(label: Bool, weight: Float = 1, copying row: Int, of other: FeatureRows) {
        rows.append(copying: row, of: other)
        labels.append(label ? 1 : 0)
        weights.append(weight)
    }

    package func append(contentsOf other: LabelledRows) {
        let first = count
        for row in 0..<other.count {
            append(label: other.labels[row] > 0.5, weight: other.weights[row], copying: row, of: other.rows)
        }
        for end in other.listEnds { listEnds.append(first + end) }
    }

    /// Ends a list of the rows that were added since the last, where there are any.
    package func endList() { if count > (listEnds.last ?? 0) { listEnds.append(count) } }

    /// The rows of each list.
    var lists: [Range<Int>] { zip([0] + listEnds, listEnds).map { $0..<$1 } }

    /// Two parts, dealt by chance: the second has about `share` of the examples.
    package func split(share: Double, seed: UInt64) -> (LabelledRows, LabelledRows) {
        var random = SplitMix64(seed: seed)
        let parts = (LabelledRows(rows.layout), LabelledRows(rows.layout))
        for row in 0..<count {
            let part = random.unit() < share ? parts.1 : parts.0
            part.append(label: labels[row] > 0.5, weight: weights[row], copying: row, of: rows)
        }
        return parts
    }
}
