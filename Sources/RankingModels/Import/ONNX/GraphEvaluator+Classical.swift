/// Operators of ONNX's set for classical models (ai.onnx.ml), as scikit-learn's converter writes them.
extension GraphEvaluator {
    /// - Returns: The node's outputs; nil when it is none of these.
    mutating func classical(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> [GraphValue]? {
        switch node.type {
        // Only the names of the classes are added.
        case "ZipMap": return [try inputs(0)]
        case "Scaler":
            let value = try inputs(0)
            guard let columns = value.shape.last, let scale = try node.floats("scale"),
                let offset = try node.floats("offset"), scale.count == columns || scale.count == 1,
                offset.count == columns || offset.count == 1
            else { throw ImportFault("its scale and offset do not fit its input") }
            func scales(_ place: Int) -> Double { Double(scale[scale.count == 1 ? 0 : place % columns]) }
            return [
                try affine(
                    value, scale: scales,
                    shift: { -Double(offset[offset.count == 1 ? 0 : $0 % columns]) * scales($0) })
            ]
        case "ArrayFeatureExtractor":
            let value = try inputs(0)
            guard let columns = try inputs.integers(1), !value.shape.isEmpty else {
                throw ImportFault("it lacks columns")
            }
            return [try Self.take(value, columns, shape: [columns.count], axis: value.shape.count - 1)]
        case "LinearRegressor": return [try linear(node, inputs)]
        // The labels come before the scores, and no score needs them.
        case "LinearClassifier": return [GraphValue(ints: []), try linear(node, inputs)]
        case "Normalizer":
            let value = try inputs(0)
            let values = try Self.features(value)
            // Two probabilities that are one another's rest add up to 1 already.
            guard node.text("norm", default: "MAX") == "L1", value.shape.last == 2,
                stride(from: 0, to: values.count - 1, by: 2).allSatisfy({ isRest(values[$0], of: values[$0 + 1]) })
            else { throw ImportFault("it normalises something else than the probabilities of two classes") }
            return [value]
        default: return nil
        }
    }

    /// Whether one is the sigmoid of the other's negative.
    func isRest(_ a: Polynomial, of b: Polynomial) -> Bool {
        guard let x = atoms.insideSigmoid(a), let y = atoms.insideSigmoid(b) else { return false }
        return x == y.scaled(by: -1)
    }

    private mutating func linear(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let value = try inputs(0)
        let outputs = node.type == "LinearClassifier" ? 2 : 1
        guard value.shape.count == 2, let weights = try node.floats("coefficients"),
            try GraphShape.count([outputs, value.shape[1]]) == weights.count
        else { throw ImportFault("its coefficients are not those of \(outputs == 2 ? "two classes" : "one target")") }
        let bias = try node.floats("intercepts") ?? []
        guard bias.isEmpty || bias.count == outputs else { throw ImportFault("it has \(bias.count) intercepts") }
        let values = try Self.features(value)
        let columns = value.shape[1]
        var scores: [Polynomial] = []
        for row in 0..<value.shape[0] {
            for output in 0..<outputs {
                var score = try sum(
                    (0..<columns).map { (values[row * columns + $0], Double(weights[output * columns + $0])) })
                if !bias.isEmpty { score.constant += Double(bias[output]) }
                scores.append(score)
            }
        }
        let shape = [value.shape[0], outputs]
        switch node.text("post_transform", default: "NONE") {
        case "NONE": return GraphValue(shape: shape, .features(scores))
        case "LOGISTIC": return try sigmoids(scores, shape: shape)
        case "SOFTMAX" where outputs == 2: return try softmax(scores, shape: shape)
        case let other: throw ImportFault("its post_transform is \(other); NONE, LOGISTIC and SOFTMAX can be read")
        }
    }
}
