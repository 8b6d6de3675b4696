import TestSupport
import Testing
import VectorMath

@testable import Artifacts
@testable import RankingModels

/// What features did, against the definition of Shapley values, and against the scores that they add up to.
@Suite(.ownThreads) struct TreeAttributionsTests {
    private func contributions(_ model: TreeModel, _ row: [Float]) -> (values: [Double], bias: Double) {
        let attributions = TreeAttributions(model)
        var found = [Double](repeating: 0, count: row.count)
        var scratch = TreeAttributions.Scratch()
        for tree in 0..<attributions.treeCount { attributions.add(row, tree: tree, &scratch, to: &found) }
        return (found, attributions.bias)
    }

    @Test(arguments: TreeFixture.all)
    func `they add up to the score of every kind of tree`(_ fixture: TreeFixture) throws {
        let model = try read(fixture.bytes, lightGBM: fixture.isLightGBM)
        guard model.outputCount == 1 else { return }
        let width = model.featureNames.count
        for (place, raw) in fixture.raw.enumerated() {
            let (values, bias) = contributions(model, Array(fixture.rows[place * width..<(place + 1) * width]))
            let sum = values.reduce(bias, +)
            // Fixtures hold what the libraries give; a forest's is its mean.
            #expect(abs(sum - raw) < 1e-5 * max(1, abs(raw)) || abs(sum * model.divisor - raw) < 1e-5, "\(place)")
        }
    }

    /// A tree over `features` numbers, every test at 0, grown by chance.
    private func tree(_ features: Int, depth: Int, _ random: inout SeededGenerator) throws -> DecisionTree {
        var records: [DecisionTree.Record] = []
        func grow(_ depth: Int, _ random: inout SeededGenerator) -> Int {
            let place = records.count
            records.append(
                .leaf(Double.random(in: -3...3, using: &random), cover: Double.random(in: 1...9, using: &random)))
            guard depth > 0, Int.random(in: 0..<8, using: &random) > 0 else { return place }
            let left = grow(depth - 1, &random)
            let right = grow(depth - 1, &random)
            records[place] = .node(
                feature: Int.random(in: 0..<features, using: &random), kind: .plain,
                test: .threshold(0, nanGoesRight: Bool.random(using: &random)), left: left, right: right)
            return place
        }
        _ = grow(depth, &random)
        return try DecisionTree.build(
            output: 0, count: records.count, fail: { ArtifactError(.malformed, path: "", $0) }, record: { records[$0] })
    }

    private func model(_ trees: [DecisionTree], _ features: Int) -> TreeModel {
        TreeModel(
            objective: "custom", transform: .identity, featureNames: (0..<features).map { "x\($0)" }, outputCount: 1,
            base: [0.5], isSingle: false, trees: trees, words: [])
    }

    /// The mean of a tree where only the features of `known` are looked at.
    private func mean(_ tree: DecisionTree, _ place: Int32, _ row: [Float], known: Int) -> (
        value: Double, cover: Double
    ) {
        guard place >= 0 else { return (tree.leaves[Int(-1 - place)], tree.covers[Int(-1 - place)]) }
        let node = tree.nodes[Int(place)]
        let left = mean(tree, node.left, row, known: known)
        let right = mean(tree, node.right, row, known: known)
        let cover = left.cover + right.cover
        guard known >> Int(node.feature) & 1 == 1 else {
            return ((left.value * left.cover + right.value * right.cover) / cover, cover)
        }
        guard case .threshold(let threshold, let nanGoesRight) = node.test else { return (0, cover) }
        let value = row[Int(node.feature)]
        return ((value.isNaN ? nanGoesRight : value >= threshold) ? right.value : left.value, cover)
    }

    @Test func `they are the Shapley values by definition`() throws {
        var random = SeededGenerator(seed: 4)
        let features = 5
        let factorials = [1.0, 1, 2, 6, 24, 120]
        for _ in 0..<40 {
            let tree = try tree(features, depth: 7, &random)
            let row = (0..<features).map { _ -> Float in
                Int.random(in: 0..<6, using: &random) == 0 ? .nan : Float.random(in: -1...1, using: &random)
            }
            let (found, bias) = contributions(model([tree], features), row)
            let root: Int32 = tree.nodes.isEmpty ? -1 : 0
            let worth = (0..<1 << features).map { mean(tree, root, row, known: $0).value }
            #expect(abs(bias - 0.5 - worth[0]) < 1e-9)
            for feature in 0..<features {
                var expected = 0.0
                for known in worth.indices where known >> feature & 1 == 0 {
                    let size = known.nonzeroBitCount
                    expected +=
                        factorials[size] * factorials[features - size - 1] / factorials[features]
                        * (worth[known | 1 << feature] - worth[known])
                }
                #expect(abs(found[feature] - expected) < 1e-9, "feature \(feature)")
            }
        }
    }

    @Test func `a very deep tree is followed along the way, and adds up too`() throws {
        // A chain: each node a leaf to the left and the rest to the right.
        let levels = 5000
        let tree = try DecisionTree.build(
            output: 0, count: 2 * levels + 1, fail: { ArtifactError(.malformed, path: "", $0) }
        ) { number in
            number < levels
                ? .node(
                    feature: number % 3, kind: .plain, test: .threshold(Float(number / 3), nanGoesRight: false),
                    left: levels + number, right: number + 1 < levels ? number + 1 : 2 * levels)
                : .leaf(Double(number % 7), cover: 2)
        }
        let model = model([tree], 3)
        for row in [[1e9, 1e9, 1e9], [10, 200, 40], [-1, 0, 0], [.nan, 5, 5]] as [[Float]] {
            let (found, bias) = contributions(model, row)
            var score = [0.0]
            TreeEnsemble(model, from: .lightGBM).rawScores(rows: row, columns: 3, into: &score)
            #expect(abs(found.reduce(bias, +) - score[0]) < 1e-9)
        }
    }
}
