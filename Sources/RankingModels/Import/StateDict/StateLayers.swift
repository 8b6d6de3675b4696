/// Reads the layers of a perceptron: `mlp.N.*` in the order of N, with gaps where a module has no weights, and `output.*`.
///
/// Batch norms are folded into the layers beside them: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta.
enum StateLayers {
    private enum Module {
        case linear(NetworkWeights.Layer)
        case norm(scale: [Double], shift: [Double])
    }

    /// - Returns: The layers with rectifiers, the weights of the last one without, and its bias.
    static func read(
        _ state: inout StateDictionary, _ columns: InputColumns, _ options: StateImportOptions
    ) throws(ImportFault) -> (layers: [NetworkWeights.Layer], output: [Float], bias: Float) {
        let numbers = try moduleNumbers(state)
        var modules: [(number: Int, module: Module)] = []
        var width = columns.columns.count
        for number in numbers {
            let module = try module(number, &state, width: width, options)
            if case .linear(let layer) = module { width = layer.bias.count }
            modules.append((number, module))
        }
        if state.has("output.weight") {
            let values = try state.take("output.weight", [[1, width], [width]])
            let bias = try state.takeIfThere("output.bias", [[1], []])?[0] ?? 0
            modules.append((.max, .linear(.init(weights: values, bias: [bias]))))
        } else if width != 1 || numbers.isEmpty {
            throw ImportFault(
                "it lacks the tensor \"output.weight\" of shape [1, \(width)], or a last layer \"mlp.N.weight\" with one output; it has \(state.sample)"
            )
        }
        var layers = try folded(modules, options)
        guard layers.count > 1, let last = layers.popLast() else {
            throw ImportFault("it has one layer alone; that is --ranker lr, or needs a hidden layer \"mlp.0.weight\"")
        }
        layers[0].weights = columns.moved(layers[0].weights, outputs: layers[0].bias.count)
        return (layers, last.weights, last.bias[0])
    }

    private static func moduleNumbers(_ state: StateDictionary) throws(ImportFault) -> [Int] {
        var numbers: Set<Int> = []
        for name in state.ownNames where name.hasPrefix("mlp.") {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, let number = Int(parts[1]), (0..<1_000_000).contains(number) else {
                throw ImportFault(
                    "the tensor \(state.label(name)) is no \"mlp.NUMBER.weight\" or the like; rename it with --names")
            }
            numbers.insert(number)
        }
        return numbers.sorted()
    }

    private static func module(
        _ number: Int, _ state: inout StateDictionary, width: Int, _ options: StateImportOptions
    ) throws(ImportFault) -> Module {
        let name = "mlp.\(number)"
        if state.has("\(name).running_mean") || state.has("\(name).running_var") {
            let mean = try state.take("\(name).running_mean", [[width]])
            let variance = try state.take("\(name).running_var", [[width]])
            let gamma = try state.takeIfThere("\(name).weight", [[width]]) ?? [Float](repeating: 1, count: width)
            let beta = try state.takeIfThere("\(name).bias", [[width]]) ?? [Float](repeating: 0, count: width)
            state.skip("\(name).num_batches_tracked")
            if let place = variance.firstIndex(where: { $0 < 0 }) {
                throw ImportFault(
                    "the tensor \(state.label("\(name).running_var")) holds \(variance[place]) at \(place)")
            }
            let scale = zip(gamma, variance).map { Double($0) / (Double($1) + options.batchNormEpsilon).squareRoot() }
            let shift = beta.indices.map { Double(beta[$0]) - Double(mean[$0]) * scale[$0] }
            return .norm(scale: scale, shift: shift)
        }
        if let shape = state.shape("\(name).weight"), shape.count != 2 {
            throw ImportFault(
                "the tensor \(state.label("\(name).weight")) is \(shape); expected [outputs, \(width)] of a linear layer, or \"running_mean\" beside it (other norms and activations with weights cannot be imported)"
            )
        }
        let weights = try state.take("\(name).weight", [[nil, width]])
        let outputs = width > 0 ? weights.count / width : 0
        let bias = try state.takeIfThere("\(name).bias", [[outputs]])
        guard outputs > 0, width > 0 else { throw ImportFault("the tensor \(state.label("\(name).weight")) is empty") }
        return .linear(.init(weights: weights, bias: bias ?? [Float](repeating: 0, count: outputs)))
    }

    // MARK: Folding

    private static func folded(
        _ modules: [(number: Int, module: Module)], _ options: StateImportOptions
    ) throws(ImportFault) -> [NetworkWeights.Layer] {
        var layers: [NetworkWeights.Layer] = []
        /// What the next layer's inputs still have to go through.
        var waiting: (scale: [Double], shift: [Double])?
        for (place, (number, module)) in modules.enumerated() {
            switch module {
            case .linear(var layer):
                if let (scale, shift) = waiting { layer.takeInputs(scale, shift) }
                waiting = nil
                layers.append(layer)
            case .norm(let scale, let shift):
                guard waiting == nil else { throw ImportFault("mlp.\(number) is a second batch norm in a row") }
                guard place > 0, case .linear = modules[place - 1].module else {
                    if place > 0 { throw ImportFault("mlp.\(number) is a second batch norm in a row") }
                    waiting = (scale, shift)
                    continue
                }
                let isLast = place == modules.count - 1
                let after = isLast ? nil : modules[place + 1].number - number - 1
                let side = try side(
                    number, gapBefore: number - modules[place - 1].number - 1, gapAfter: after, options)
                // Behind the last layer stands no rectifier.
                if side == .before || isLast {
                    layers[layers.count - 1].giveOutputs(scale, shift)
                } else {
                    waiting = (scale, shift)
                }
            }
        }
        return layers
    }

    /// On which side of the rectifier a batch norm stands: the rectifier takes a number of its own in a `Sequential`.
    private static func side(
        _ number: Int, gapBefore: Int, gapAfter: Int?, _ options: StateImportOptions
    ) throws(ImportFault) -> StateImportOptions.BatchNormPlace {
        if let side = options.batchNorm { return side }
        switch (gapBefore, gapAfter) {
        case (0, nil): return .before
        case (0, let after?) where after > 0: return .before
        case (1..., 0): return .after
        default:
            throw ImportFault(
                "whether the batch norm mlp.\(number) stands before or after the rectifier cannot be told by the numbers beside it; say --batch-norm before or --batch-norm after"
            )
        }
    }
}

extension NetworkWeights.Layer {
    /// Its inputs are scaled and shifted first.
    fileprivate mutating func takeInputs(_ scale: [Double], _ shift: [Double]) {
        let inputs = scale.count
        for row in bias.indices {
            var sum = Double(bias[row])
            for place in 0..<inputs {
                let weight = Double(weights[row * inputs + place])
                sum += weight * shift[place]
                weights[row * inputs + place] = Float(weight * scale[place])
            }
            bias[row] = Float(sum)
        }
    }

    /// Its outputs are scaled and shifted afterwards.
    fileprivate mutating func giveOutputs(_ scale: [Double], _ shift: [Double]) {
        let inputs = self.inputs
        for row in bias.indices {
            for place in (row * inputs)..<((row + 1) * inputs) {
                weights[place] = Float(Double(weights[place]) * scale[row])
            }
            bias[row] = Float(Double(bias[row]) * scale[row] + shift[row])
        }
    }
}
