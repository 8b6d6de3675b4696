import Features
import RankingModels

/// What each feature of candidates was, and what it did to their scores.
///
/// Of a network: the score less that with the feature unknown, both of whole rows, one feature a step. Contributions of
/// features that act together do not add up to the score. Of trees: Shapley values (`TreeAttributions`) and, under the name
/// `biasName`, what a row scores of which nothing is known; all of them add up to the score before the objective's transform.
package final class FeatureContributions {
    package let names: [String]
    /// Shape `[candidates, features]`: a number as the ranker takes it, NaN where trees take it as missing; of a category its
    /// row in the field's table, 0 for unknown; of the bias 0.
    package private(set) var values: [Float]
    /// Shape `[candidates, features]`.
    package private(set) var contributions: [Float]

    private let ranker: CandidateRanker
    private let rows: FeatureRows
    /// Scores of the rows as they are; made in a network's first step.
    private var logits: [Float] = []
    private lazy var scratch = RankerScratch(wholeRowsOf: ranker.model)
    private var next = 0
    /// Of the candidate under work, by feature of the trees.
    private var shares: [Double] = []
    private var seen: [Float] = []
    private var treeScratch = TreeAttributions.Scratch()

    /// Stands last; also where a schema's field has that name.
    package static let biasName = "(bias)"
    /// Multiplications of a step of trees: some 200 microseconds.
    private static let stepCost = 40_000

    /// The schema's fields in their order; of trees also the bias.
    package static func names(of ranker: CandidateRanker) -> [String] {
        let fields = ranker.plan.schema.fields.map(\.name)
        return switch ranker.model {
        case .network: fields
        case .trees: fields + [biasName]
        }
    }

    /// - Parameters:
    ///   - all: Features of candidates.
    ///   - places: Those of them that are looked at; they are copied.
    package init(_ ranker: CandidateRanker, _ all: FeatureRows, _ places: some Collection<Int>) {
        self.ranker = ranker
        let layout = ranker.plan.layout
        let rows = FeatureRows(layout, capacity: places.count)
        for place in places { rows.append(copying: place, of: all) }
        self.rows = rows
        names = Self.names(of: ranker)
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

    /// Works on; true when all is done.
    package func step() -> Bool {
        switch ranker.model {
        case .network: leaveOut()
        case .trees(let trees): attribute(trees)
        }
    }

    /// Goes through some trees with one candidate after the other.
    private func attribute(_ scorer: TreeScorer) -> Bool {
        let trees = scorer.attributions
        var cost = 0
        while next < rows.count * trees.treeCount, cost < Self.stepCost {
            let (row, tree) = next.quotientAndRemainder(dividingBy: trees.treeCount)
            if tree == 0 {
                seen = scorer.values(rows, row)
                shares = [Double](repeating: 0, count: scorer.fields.count)
            }
            trees.add(seen, tree: tree, &treeScratch, to: &shares)
            cost += trees.costs[tree] + 100
            next += 1
            guard tree == trees.treeCount - 1 else { continue }
            for (feature, field) in scorer.fields.enumerated() {
                contributions[row * names.count + field] = Float(shares[feature])
            }
        }
        guard next == rows.count * trees.treeCount else { return false }
        for row in 0..<rows.count { contributions[(row + 1) * names.count - 1] = Float(trees.bias) }
        return true
    }

    /// Leaves the next feature out.
    private func leaveOut() -> Bool {
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
            if let base = $0.baseAddress { ranker.model.score(rows, 0..<rows.count, scratch, into: base) }
        }
        return scores
    }
}
