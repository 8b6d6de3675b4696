import Features
import RankingModels

/// What each feature of scored candidates was, and what it did to their scores.
///
/// Of a network: the score less that with the feature unknown, one feature a step. Contributions of features that act
/// together do not add up to the score. Of trees: Shapley values (`TreeAttributions`) and, under the name `biasName`, what a
/// row scores of which nothing is known; all of them add up to the score before the objective's transform.
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
    private let scratch: RankerScratch
    private var next = 0
    /// Of the candidate under work, by feature of the trees.
    private var shares: [Double] = []
    private var seen: [Float] = []
    private var treeScratch = TreeAttributions.Scratch()

    /// No field's name: those of schemas may hold it, and it stands last.
    package static let biasName = "(bias)"
    /// Multiplications of a step of trees: some 200 microseconds.
    private static let stepCost = 40_000

    /// - Parameters:
    ///   - rows: The candidates' features, which are copied.
    ///   - logits: Their scores.
    package init(_ ranker: CandidateRanker, _ rows: FeatureRows, logits: [Float]) {
        precondition(rows.count == logits.count, "\(rows.count) rows and \(logits.count) scores")
        self.ranker = ranker
        self.logits = logits
        scratch = RankerScratch(ranker.model)
        let layout = ranker.plan.layout
        self.rows = FeatureRows(layout, capacity: rows.count)
        for row in 0..<rows.count { self.rows.append(copying: row, of: rows) }
        var names = ranker.plan.schema.fields.map(\.name)
        if case .trees = ranker.model { names.append(Self.biasName) }
        self.names = names
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
        case .network(let network): leaveOut(network)
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
    private func leaveOut(_ network: Network) -> Bool {
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
            if let base = $0.baseAddress { ranker.model.score(without, 0..<rows.count, scratch, into: base) }
        }
        for row in 0..<rows.count { contributions[row * names.count + next] = logits[row] - scores[row] }
        next += 1
        return next == names.count
    }
}
