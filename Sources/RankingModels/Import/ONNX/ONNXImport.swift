import Artifacts
import Features

/// Reads ONNX files of networks that this package has too.
package enum ONNXImport {
    /// - Parameters:
    ///   - path: The ONNX file.
    ///   - output: The graph's output to take; nil: the only one of floats.
    /// - Throws: `ArtifactError` that names what cannot be read, and what to do instead.
    /// - Complexity: O(file + weights), a few hundred bytes of memory for each weight of a layer.
    package static func ranker(
        _ path: String, schema: FeatureSchema, output: String? = nil
    ) throws(ArtifactError) -> NetworkRanker {
        let bytes = try WholeFile.read(path, bytesMax: ImportLimits.onnxBytesMax)
        return try ranker(bytes, path: path, schema: schema, output: output)
    }

    static func ranker(
        _ bytes: [UInt8], path: String, schema: FeatureSchema, output: String? = nil,
        termsMax: Int = ImportLimits.termsMax
    ) throws(ArtifactError) -> NetworkRanker {
        let weights: NetworkWeights
        do throws(ImportFault) {
            weights = try self.weights(try ONNXModel(bytes), FeatureLayout(schema), output: output, termsMax: termsMax)
        } catch {
            throw ArtifactError(.invalidContent, path: path, error.text)
        }
        return try NetworkRanker(schema: schema, weights: weights, path: path)
    }

    private static func weights(
        _ model: ONNXModel, _ layout: FeatureLayout, output: String?, termsMax: Int
    ) throws(ImportFault) -> NetworkWeights {
        let name = try self.output(model, output)
        let features = try GraphFeatures(model.inputs, layout)
        var evaluator = try GraphEvaluator(model, inputs: features.values, atoms: features.atoms, termsMax: termsMax)
        let scores = try evaluator.value(of: name)
        let logit = try logit(scores, rows: features.rows, evaluator)
        var form = NetworkForm(evaluator.atoms, layout, evaluator.tables)
        return try form.weights(logit)
    }

    private static func output(_ model: ONNXModel, _ wanted: String?) throws(ImportFault) -> String {
        let names = model.outputs.map(\.name)
        if let wanted {
            guard names.contains(wanted) else {
                throw ImportFault("it has no output \"\(wanted)\"; there are \(names)")
            }
            return wanted
        }
        // Labels are whole numbers or texts; a sequence of maps is what scikit-learn's converter makes of probabilities.
        let scores = model.outputs.filter { $0.isFloat || $0.elementType == nil }
        guard scores.count == 1 else {
            throw ImportFault("it has the outputs \(names); name the one that holds the score with --onnx-output")
        }
        return scores[0].name
    }

    /// What the sigmoid of the first row's score takes.
    private static func logit(
        _ scores: GraphValue, rows: Int, _ evaluator: GraphEvaluator
    ) throws(ImportFault) -> Polynomial {
        let values = try GraphEvaluator.features(scores)
        switch values.count {
        case rows: return evaluator.atoms.insideSigmoid(values[0]) ?? values[0]
        case 2 * rows where scores.shape.last == 2:
            let (a, b) = (values[0], values[1])
            // The probability of the second class.
            if let inner = evaluator.atoms.insideSigmoid(b) { return inner }
            if a == b.scaled(by: -1) { return b }
            throw ImportFault(
                "its two scores are no probabilities; end the model with a softmax or take their difference")
        default:
            throw ImportFault(
                "its output has the shape \(scores.shape) for \(rows) rows; one score or two probabilities a row can be read"
            )
        }
    }
}
