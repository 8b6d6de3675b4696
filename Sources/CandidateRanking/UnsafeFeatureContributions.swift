import Features
import RankingModels

/// What each feature of candidates was, and what it did to their scores: the score less that with the feature unknown, both of
/// whole rows.
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
    /// Scores of the rows as they are; made in the first step.
    private var logits: [Float] = []
    private let scratch: NetworkScratch
    private var next = 0

    /// - Parameters:
    ///   - all: Features of candidates.
    ///   - places: Those of them that are looked at; they are copied.
    package init(_ ranker: CandidateRanker, _ all: FeatureRows, _ places: some Collection<Int>) {
        self.ranker = ranker
        scratch = NetworkScratch(ranker.network)
        let layout = ranker.plan.layout
        let rows = FeatureRows(layout, capacity: places.count)
        for place in places { rows.append(copying: place, of: all) }
        self.rows = rows
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
        guard next < names.count, rows.count > 0 else { return true }
        if logits.isEmpty { logits = scores(of: rows) }
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
        let scores = scores(of: without)
        for row in 0..<rows.count { contributions[row * names.count + next] = logits[row] - scores[row] }
        next += 1
        return next == names.count
    }

    private func scores(of rows: FeatureRows) -> [Float] {
        var scores = [Float](repeating: 0, count: rows.count)
        scores.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { ranker.network.score(rows, 0..<rows.count, scratch, into: base) }
        }
        return scores
    }
}
