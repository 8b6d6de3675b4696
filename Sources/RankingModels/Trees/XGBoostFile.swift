import Artifacts
import VectorMath

/// Reads XGBoost's JSON and UBJSON models (`Booster.save_model`, 1.2 to 3.x).
struct XGBoostFile {
    let path: String
    private let root: ModelField

    init(_ bytes: [UInt8], path: String) throws(ArtifactError) {
        self.path = path
        root = ModelField(value: try Self.parse(bytes, path: path), path: path, place: "")
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(ArtifactError) -> ModelValue {
        guard bytes.first == UInt8(ascii: "{"), bytes.count >= 2 else {
            throw ArtifactError(
                .malformed, path: path,
                "neither JSON nor UBJSON; save the model anew with save_model(\"model.json\") or (\"model.ubj\")")
        }
        // In JSON a quote or a space follows; in UBJSON a type.
        if "\" \t\r\n".utf8.contains(bytes[1]) {
            // Some versions write NaN where a field has no meaning.
            do { return ModelValue(try JSONText.parse(bytes, allowsNonFinite: true)) } catch {
                throw ArtifactError(.malformed, path: path, "\(error)")
            }
        }
        var reader = UBJSONReader(bytes)
        do { return try reader.document() } catch {
            throw ArtifactError(.malformed, path: path, "\(error.reason) (at byte \(error.offset))")
        }
    }

    func model() throws(ArtifactError) -> TreeModel {
        let learner = root["learner"]
        guard learner.isThere else { throw root.fail("there is no 'learner'; is it a model that XGBoost saved?") }
        let parameters = learner["learner_model_param"]
        let featureCount = try parameters["num_feature"].integer(1...TreeLimits.featuresMax)
        let classes = try parameters["num_class"].integer(0...TreeLimits.outputsMax)
        let targets =
            parameters["num_target"].isThere ? try parameters["num_target"].integer(0...TreeLimits.outputsMax) : 1
        let outputCount = max(1, classes, targets)
        let version = root["version"].isThere ? try root["version"].integers(0...Int(Int32.max)) : []
        let (objective, transform, link) = try Self.objective(learner["objective"]["name"], version: version)

        let (trees, words) = try trees(learner["gradient_booster"], featureCount, outputCount)
        var base: [Double] = []
        for score in try baseScores(parameters["base_score"], outputCount) {
            guard let margin = link.margin(score) else {
                throw parameters["base_score"].fail("\(score) cannot be a prediction of \(objective)")
            }
            base.append(Double(margin))
        }
        return TreeModel(
            objective: objective, transform: transform,
            featureNames: try featureNames(learner["feature_names"], featureCount), outputCount: outputCount,
            base: base, isSingle: true, trees: trees, words: words)
    }

    private func featureNames(_ field: ModelField, _ count: Int) throws(ArtifactError) -> [String] {
        let names = field.isThere ? try field.texts() : []
        if names.isEmpty { return (0..<count).map { "f\($0)" } }
        guard names.count == count else { throw field.fail("\(names.count) names for \(count) features") }
        return names
    }

    /// A number in a text; since 3.1 a list of them, one for each output or one for all.
    private func baseScores(_ field: ModelField, _ outputCount: Int) throws(ArtifactError) -> [Float] {
        var scores: [Float] = []
        if case .number(let number)? = field.value {
            scores = [Float(number)]
        } else if case .numbers(let numbers)? = field.value {
            scores = numbers.map { Float($0) }
        } else {
            let text = try field.text()
            let words = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
            for word in words.split(separator: ",") {
                guard let score = Float(word) else { throw field.fail("'\(word.prefix(40))' is no number") }
                scores.append(score)
            }
        }
        guard scores.allSatisfy(\.isFinite) else { throw field.fail("a score is not finite") }
        if scores.count == 1 { return [Float](repeating: scores[0], count: outputCount) }
        guard scores.count == outputCount else {
            throw field.fail("\(scores.count) scores for \(outputCount) outputs")
        }
        return scores
    }

    private func trees(
        _ booster: ModelField, _ featureCount: Int, _ outputCount: Int
    ) throws(ArtifactError) -> ([DecisionTree], [UInt32]) {
        let name = try booster["name"].text()
        guard name == "gbtree" || name == "dart" else {
            throw booster["name"].fail("the booster '\(name.prefix(40))' is not evaluated; gbtree and dart are")
        }
        let model = name == "dart" ? booster["gbtree"]["model"] : booster["model"]
        let elements = try model["trees"].elements()
        guard elements.count <= TreeLimits.treesMax else {
            throw model["trees"].fail("\(elements.count) trees; at most \(TreeLimits.treesMax) are read")
        }
        let said = try model["gbtree_model_param"]["num_trees"].integer(0...Int(Int32.max))
        guard said == elements.count else {
            throw model["gbtree_model_param"]["num_trees"].fail("\(said), but there are \(elements.count) trees")
        }
        let outputs = try model["tree_info"].integers(count: elements.count, 0...outputCount - 1)
        let weights = name == "dart" ? try booster["weight_drop"].numbers(count: elements.count) : []
        var sets = CategorySets()
        var trees: [DecisionTree] = []
        var leafCount = 0
        for (index, element) in elements.enumerated() {
            var tree = try XGBoostTree(element).tree(output: outputs[index], featureCount: featureCount, sets: &sets)
            if !weights.isEmpty {
                let weight = Float(weights[index])
                guard weight.isFinite else { throw booster["weight_drop"].fail("weight \(index) is not finite") }
                tree.leaves = tree.leaves.map { Double(Float($0) * weight) }
            }
            leafCount += tree.leaves.count
            guard leafCount <= TreeLimits.leavesMax else {
                throw model["trees"].fail("more than \(TreeLimits.leavesMax) leaves")
            }
            trees.append(tree)
        }
        return (trees, sets.words)
    }
}
