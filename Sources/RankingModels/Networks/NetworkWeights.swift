import Features

/// The numbers of a network, as they are trained and stored.
///
/// What a shape lacks is empty here. Shapes are PyTorch's, row-major.
package struct NetworkWeights: Sendable, Equatable {
    package struct Layer: Sendable, Equatable {
        /// Shape `[outputs, inputs]`.
        package var weights: [Float]
        /// Shape `[outputs]`.
        package var bias: [Float]

        package init(weights: [Float], bias: [Float]) {
            self.weights = weights
            self.bias = bias
        }

        package var inputs: Int { weights.count / max(bias.count, 1) }
    }

    package var shape: NetworkShape
    /// Shape `[table rows, embedding width]`.
    package var table: [Float]
    /// Shape `[table rows]`.
    package var linear: [Float]
    /// Shape `[dense fields]`.
    package var denseLinear: [Float]
    package var layers: [Layer]
    /// Shape `[last layer]`.
    package var output: [Float]
    package var bias: Float

    package init(
        shape: NetworkShape, table: [Float], linear: [Float], denseLinear: [Float], layers: [Layer], output: [Float],
        bias: Float
    ) {
        self.shape = shape
        self.table = table
        self.linear = linear
        self.denseLinear = denseLinear
        self.layers = layers
        self.output = output
        self.bias = bias
    }

    /// What does not fit a layout or is no number, naming the tensor; nil: nothing.
    package func fault(_ layout: FeatureLayout) -> String? {
        if let fault = shape.fault() { return fault }
        func wrong(_ name: String, _ found: Int, _ wanted: Int) -> String? {
            found == wanted ? nil : "\(name) has \(found) values where the schema makes it \(wanted)"
        }
        var inputs = shape.inputs(layout)
        if let fault = wrong("embedding.weight", table.count, layout.tableRows * shape.embeddingWidth)
            ?? wrong("linear.weight", linear.count, shape.hasLinear ? layout.tableRows : 0)
            ?? wrong("dense_linear.weight", denseLinear.count, shape.hasLinear ? layout.dense.count : 0)
            ?? wrong("the perceptron", layers.count, shape.hidden.count)
            ?? wrong("output.weight", output.count, shape.hidden.last ?? 0)
        {
            return fault
        }
        if shape.isDeep && inputs == 0 { return "a perceptron without inputs" }
        for (number, layer) in layers.enumerated() {
            if let fault = wrong("mlp.\(number).weight", layer.weights.count, inputs * shape.hidden[number])
                ?? wrong("mlp.\(number).bias", layer.bias.count, shape.hidden[number])
            {
                return fault
            }
            inputs = shape.hidden[number]
        }
        return notFinite()
    }

    private func notFinite() -> String? {
        func check(_ name: String, _ values: [Float]) -> String? {
            values.firstIndex { !$0.isFinite }.map { "\(name) holds \(values[$0]) at \($0)" }
        }
        if let fault = check("embedding.weight", table) ?? check("linear.weight", linear)
            ?? check("dense_linear.weight", denseLinear) ?? check("output.weight", output) ?? check("bias", [bias])
        {
            return fault
        }
        for (number, layer) in layers.enumerated() {
            if let fault = check("mlp.\(number).weight", layer.weights) ?? check("mlp.\(number).bias", layer.bias) {
                return fault
            }
        }
        return nil
    }
}
