import Artifacts
import VectorMath

/// Reads LightGBM's text format (`Booster.save_model`, v3 and v4; the same lines stand in older files).
///
/// A header of `key=value` lines, one such block for each tree after `Tree=N`, and `end of trees`. What follows
/// (importances, parameters) is not read.
struct LightGBMFile {
    let path: String
    private let bytes: [UInt8]

    init(_ bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    func fail(_ fault: String) -> ArtifactError { ArtifactError(.malformed, path: path, fault) }

    func model() throws(ArtifactError) -> TreeModel {
        var position = 0
        let header = try block(from: &position, named: "the header")
        guard header.title == "tree" else {
            throw fail("it does not begin with the line 'tree'; is it a text model that LightGBM saved?")
        }
        let outputCount = try header.fields.integer("num_tree_per_iteration", 1...TreeLimits.outputsMax)
        let featureCount = try header.fields.integer("max_feature_idx", 0...TreeLimits.featuresMax - 1) + 1
        let names = try header.fields.words("feature_names")
        guard names.count == featureCount else {
            throw fail("feature_names has \(names.count) names; max_feature_idx says \(featureCount)")
        }
        let objective = header.fields.optional("objective").map { $0.split(separator: " ").map(String.init) } ?? []
        let transform = try transform(objective)
        if case .softmax = transform, outputCount < 2 { throw fail("objective multiclass of \(outputCount) class") }

        var sets = CategorySets()
        var trees: [DecisionTree] = []
        var leafCount = 0
        while true {
            let tree = try block(from: &position, named: "tree \(trees.count)")
            if tree.title == "end of trees" { break }
            guard tree.title == "Tree=\(trees.count)" else {
                throw fail("expected 'Tree=\(trees.count)' or 'end of trees', found '\(tree.title.prefix(40))'")
            }
            guard trees.count < TreeLimits.treesMax else { throw fail("more than \(TreeLimits.treesMax) trees") }
            trees.append(
                try LightGBMTree(tree.fields).tree(
                    output: trees.count % outputCount, featureCount: featureCount, sets: &sets))
            leafCount += trees[trees.count - 1].leaves.count
            guard leafCount <= TreeLimits.leavesMax else { throw fail("more than \(TreeLimits.leavesMax) leaves") }
        }
        if header.fields.optional("tree_sizes") != nil {
            let sizes = try header.fields.words("tree_sizes").count
            guard sizes == trees.count else { throw fail("tree_sizes has \(sizes) sizes for \(trees.count) trees") }
        }
        guard trees.count % outputCount == 0 else {
            throw fail("\(trees.count) trees; num_tree_per_iteration is \(outputCount)")
        }
        return TreeModel(
            objective: objective.first ?? "custom", transform: transform, featureNames: names, outputCount: outputCount,
            base: [Double](repeating: 0, count: outputCount), isSingle: false,
            divisor: header.averages ? Double(max(1, trees.count / outputCount)) : 1, trees: trees, words: sets.words)
    }

    /// What `objective=` asks for; LightGBM writes no such line for an objective of the user's own.
    private func transform(_ words: [String]) throws(ArtifactError) -> ScoreTransform {
        func scale() throws(ArtifactError) -> ScoreTransform {
            guard let word = words.first(where: { $0.hasPrefix("sigmoid:") }) else { return .sigmoid(scale: 1) }
            guard let scale = Double(word.dropFirst(8)), scale.isFinite, scale > 0 else {
                throw fail("objective: '\(word.prefix(40))' is not a positive number")
            }
            return .sigmoid(scale: scale)
        }
        switch words.first {
        case nil, "custom", "none": return .identity
        case "regression", "regression_l1", "huber", "fair", "quantile", "mape":
            return words.contains("sqrt") ? .signedSquare : .identity
        case "binary", "multiclassova": return try scale()
        case "poisson", "gamma", "tweedie": return .exponential
        case "cross_entropy": return .sigmoid(scale: 1)
        case "cross_entropy_lambda": return .logOfOnePlusExponential
        case "multiclass": return .softmax
        case "lambdarank", "rank_xendcg": return .identity
        case .some(let other):
            throw fail(
                "objective '\(other.prefix(60))' is not known; known: regression and its kin, binary, multiclass, "
                    + "multiclassova, cross_entropy, lambdarank, rank_xendcg")
        }
    }

    private struct Block {
        var title: String
        var fields: LightGBMFields
        var averages = false
    }

    /// A title line and the `key=value` lines up to the next title, which is left standing.
    private func block(from position: inout Int, named name: String) throws(ArtifactError) -> Block {
        var block: Block?
        while position < bytes.count {
            let start = position
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            var line = bytes[start..<end]
            if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
            if line.isEmpty {
                position = end + 1
                continue
            }
            let isTitle = line.starts(with: "Tree=".utf8) || line.elementsEqual("end of trees".utf8)
            if isTitle || block == nil {
                if let block { return block }
                let title = String(decoding: line, as: UTF8.self)
                block = Block(title: title, fields: LightGBMFields(path: path, place: name))
                position = end + 1
                if title == "end of trees" { break }
                continue
            }
            position = end + 1
            if line.elementsEqual("average_output".utf8) {
                block?.averages = true
            } else if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
                try block?.fields.add(String(decoding: line[..<equals], as: UTF8.self), line[(equals + 1)...])
            } else {
                throw fail("\(name): the line '\(String(decoding: line.prefix(40), as: UTF8.self))' is no 'key=value'")
            }
        }
        guard let block else { throw fail("it ends before 'end of trees'; it was cut short, save or copy it again") }
        guard position < bytes.count || block.title == "end of trees" else {
            throw fail("it ends within \(name); it was cut short, save or copy it again")
        }
        return block
    }
}
