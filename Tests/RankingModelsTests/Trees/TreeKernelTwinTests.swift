import TestSupport
import Testing
import VectorMath

@testable import Artifacts
@testable import RankingModels

/// Random ensembles: every instruction set and every way through them against a plain walk over the trees, bit for bit.
@Suite(.ownThreads) struct TreeKernelTwinTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        let leaves: ClosedRange<Int>
        let trees: Int
        let features: Int
        let outputs: Int
        var single = false
        var categories = true
        var testDescription: String { "\(trees) trees of \(leaves) leaves, \(features) features, \(outputs) outputs" }
    }

    static let shapes = [
        Shape(leaves: 1...1, trees: 3, features: 2, outputs: 1),
        Shape(leaves: 2...32, trees: 40, features: 7, outputs: 1, categories: false),
        Shape(leaves: 1...32, trees: 37, features: 12, outputs: 1),
        Shape(leaves: 1...32, trees: 33, features: 50, outputs: 3, single: true),
        Shape(leaves: 20...70, trees: 20, features: 100, outputs: 1),
        Shape(leaves: 30...300, trees: 9, features: 200, outputs: 20, single: true),
        Shape(leaves: 1...33, trees: 21, features: 40, outputs: 2),
    ]

    static func tree(
        _ shape: Shape, output: Int, _ random: inout SeededGenerator, _ sets: inout CategorySets
    ) throws -> DecisionTree {
        var left: [Int] = [-1]
        var right: [Int] = [-1]
        var open = [0]
        let leaves = Int.random(in: shape.leaves, using: &random)
        while open.count < leaves {
            let at = open.remove(at: Int.random(in: 0..<open.count, using: &random))
            left[at] = left.count
            right[at] = left.count + 1
            open += [left[at], right[at]]
            left += [-1, -1]
            right += [-1, -1]
        }
        return try DecisionTree.build(
            output: output, count: left.count, fail: { ArtifactError(.malformed, path: "", $0) }
        ) {
            (at: Int) throws(ArtifactError) in
            guard left[at] >= 0 else { return .leaf(Double.random(in: -1...1, using: &random), cover: 1) }
            let kinds: [TreeParts.ColumnKind] =
                shape.categories ? [.plain, .plain, .zeroIsMissing, .category, .truncatedCategory] : [.plain]
            let kind = kinds[Int.random(in: 0..<kinds.count, using: &random)]
            let feature = Int.random(in: 0..<shape.features, using: &random)
            let nan = Bool.random(using: &random)
            var test = TreeParts.NodeTest.threshold(
                Float(Int.random(in: -4...4, using: &random)) / 2, nanGoesRight: nan)
            if kind >= .truncatedCategory {
                let set = (0..<Int.random(in: 0...9, using: &random)).map { _ in Int.random(in: 0..<70, using: &random)
                }
                guard let made = sets.add(set, nan: nan) else { throw ArtifactError(.malformed, path: "", "sets") }
                test = made
            } else if Int.random(in: 0..<20, using: &random) == 0 {
                test = .threshold(.nan, nanGoesRight: false)
            }
            return .node(feature: feature, kind: kind, test: test, left: left[at], right: right[at])
        }
    }

    static func model(_ shape: Shape, seed: UInt64) throws -> TreeModel {
        var random = SeededGenerator(seed: seed)
        var sets = CategorySets()
        var trees: [DecisionTree] = []
        for index in 0..<shape.trees {
            trees.append(try tree(shape, output: index % shape.outputs, &random, &sets))
            if shape.single { trees[index].leaves = trees[index].leaves.map { Double(Float($0)) } }
        }
        return TreeModel(
            objective: "custom", transform: .identity, featureNames: (0..<shape.features).map { "f\($0)" },
            outputCount: shape.outputs, base: (0..<shape.outputs).map { Double($0) / 4 }, isSingle: shape.single,
            trees: trees, words: sets.words)
    }

    /// What a reader of the comments would compute.
    static func oracle(_ model: TreeModel, _ row: ArraySlice<Float>) -> [Double] {
        var sums = model.base
        for tree in model.trees {
            var at: Int32 = tree.nodes.isEmpty ? -1 : 0
            while at >= 0 {
                let node = tree.nodes[Int(at)]
                var value = row[row.startIndex + Int(node.feature)]
                if node.kind == .zeroIsMissing, abs(value) <= 1e-35 { value = .nan }
                let goesRight: Bool
                switch node.test {
                case .threshold(let threshold, let nan): goesRight = value.isNaN ? nan : value >= threshold
                case .categories(let first, let bits):
                    var code: Int? = 0
                    if !value.isNaN {
                        let whole = Double(value).rounded(.towardZero)
                        let isOne = node.kind == .category ? value >= 0 : whole >= 0
                        code = isOne && whole < 1e6 ? Int(whole) + 1 : nil
                    }
                    goesRight =
                        code.map { $0 < Int(bits) && model.words[Int(first) + $0 / 32] >> UInt32($0 % 32) & 1 == 1 }
                        ?? false
                }
                at = goesRight ? node.right : node.left
            }
            let leaf = tree.leaves[Int(-1 - at)]
            sums[tree.output] =
                model.isSingle ? Double(Float(sums[tree.output]) + Float(leaf)) : sums[tree.output] + leaf
        }
        return sums
    }

    static func rows(_ count: Int, _ features: Int, seed: UInt64) -> [Float] {
        var random = SeededGenerator(seed: seed)
        let strange: [Float] = [.nan, .infinity, -.infinity, 0, -0.0, 1e-36, -0.5, -1, 3e9, 69, 70, 31, 32, 33]
        return (0..<count * features).map { _ in
            switch Int.random(in: 0..<4, using: &random) {
            case 0: strange[Int.random(in: 0..<strange.count, using: &random)]
            case 1: Float(Int.random(in: 0..<80, using: &random))
            default: Float(Int.random(in: -8...8, using: &random)) / 4
            }
        }
    }

    @Test(arguments: shapes)
    func `every way through an ensemble gives what a plain walk gives`(shape: Shape) throws {
        for seed: UInt64 in 1...3 {
            let model = try Self.model(shape, seed: seed)
            for rowCount in [1, 2, 15, 16, 17, 64, 65, 150] {
                let rows = Self.rows(rowCount, shape.features, seed: seed &* 1000 &+ UInt64(rowCount))
                let wanted = (0..<rowCount).flatMap {
                    Self.oracle(model, rows[$0 * shape.features..<($0 + 1) * shape.features])
                }
                for isa in treeISAs {
                    let ensemble = try #require(TreeEnsemble(model, from: .xgboost, isa: isa))
                    for form in TreeForm.allCases.map(Optional.some) + [nil] {
                        var scores = [Double](repeating: .nan, count: rowCount * shape.outputs)
                        ensemble.rawScores(rows: rows, columns: shape.features, form: form, into: &scores)
                        #expect(
                            scores == wanted, "seed \(seed), \(rowCount) rows, \(isa), \(form.map { "\($0)" } ?? "any")"
                        )
                    }
                }
            }
        }
    }

    @Test func `trees too large for bitvectors are walked`() throws {
        // A chain to the left: node after node holds all leaves before it.
        let count = 3000
        let tree = try DecisionTree.build(
            output: 0, count: 2 * count + 1, fail: { ArtifactError(.malformed, path: "", $0) }
        ) { (at: Int) throws(ArtifactError) in
            at % 2 == 1 || at == 2 * count
                ? .leaf(Double(at), cover: 1)
                : .node(
                    feature: 0, kind: .plain, test: .threshold(Float(count - at / 2), nanGoesRight: false),
                    left: at + 2, right: at + 1)
        }
        let model = TreeModel(
            objective: "custom", transform: .identity, featureNames: ["f"], outputCount: 1, base: [0], isSingle: false,
            trees: [DecisionTree](repeating: tree, count: 60), words: [])
        #expect(TreeLayout.entryCount(model.trees) > TreeLimits.entriesMax)
        #expect(TreeLayout.parts(model).bitvectors == nil)
        let ensemble = TreeEnsemble(model, from: .lightGBM)
        let rows: [Float] = [0, 1, 2.5, 2999, 5000, .nan]
        var scores = [Double](repeating: 0, count: rows.count)
        for form in [nil, TreeForm.rowsTogether, .rowAlone] {
            ensemble.rawScores(rows: rows, columns: 1, form: form, into: &scores)
            #expect(scores == rows.map { Self.oracle(model, [$0])[0] })
        }
    }
}
