import Features
import RankingModels

/// What each feature of scored candidates was, and what it did to their scores: the score less that with the feature unknown.
///
/// One feature a step. Contributions of features that act together do not add up to the score.
package final class FeatureContributions {
    package let names: [String]
    /// Shape `[candidates, features]`: a number as the ranker takes it; of a category its row in the field's table, 0 for
    /// unknown.
    package private(set) var values: [Float]
    /// Shape `[candidates, features]`.
    package private(set) var contributions: [Float]

    private let ranker: CandidateRanker
    private let rows: FeatureRows
    private let logits: [Float]
    private let scratch: NetworkScratch
    private var next = 0

    /// - Parameters:
    ///   - rows: The candidates' features, which are copied.
    ///   - logits: Their scores.
    package init(_ ranker: CandidateRanker, _ rows: FeatureRows, logits: [Float]) {
        precondition(rows.count == logits.count, "\(rows.count) rows and \(logits.count) scores")
        self.ranker = ranker
        self.logits = logits
        scratch = NetworkScratch(ranker.network)
        let layout = ranker.plan.layout
        self.rows = FeatureRows(layout, capacity: rows.count)
        for row in 0..<rows.count { self.rows.append(copying: row, of: rows) }
        names = ranker.plan.schema.fields.map(\.name)
        values = [Float](repeating: 0, count: rows.count * names.count)
        contributions = values
        for row in 0..<rows.count {
            for (number, field) in layout.categorical.enumerated() {
                let id = rows.ids[row * layout.categorical.count + number]
                values[row * names.count + field.field] = Float(Int(id) - field.tableOffset)
            }
            for (number, field) in layout.dense.enumerated() {
                values[row * names.count + field.field] = rows.dense[row * layout.dense.count + number]
            }
        }
    }

    /// Leaves the next feature out; true when all were.
    package func step() -> Bool {
        guard next < names.count else { return true }
        let layout = ranker.plan.layout
        let without = FeatureRows(layout, capacity: rows.count)
        let categorical = layout.categorical.firstIndex { $0.field == next }
        let isBag = categorical.map { layout.categorical[$0].isMultivalued } ?? false
        let unknown = categorical.map { UInt32(layout.categorical[$0].tableOffset) } ?? 0
        let bags = isBag ? categorical.map { [$0: [unknown]] } ?? [:] : [:]
        for row in 0..<rows.count {
            let copy = without.append(copying: row, of: rows, bags: bags)
            if let categorical, !isBag { without.set(copy, categorical: categorical, to: unknown) }
            if let number = layout.dense.firstIndex(where: { $0.field == next }) {
                let encoder = FieldEncoder(ranker.plan.schema.fields[next], tableOffset: 0)
                without.set(copy, dense: number, to: encoder.number(nil))
            }
        }
        var scores = [Float](repeating: 0, count: rows.count)
        scores.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { ranker.network.score(without, 0..<rows.count, scratch, into: base) }
        }
        for row in 0..<rows.count { contributions[row * names.count + next] = logits[row] - scores[row] }
        next += 1
        return next == names.count
    }
}
