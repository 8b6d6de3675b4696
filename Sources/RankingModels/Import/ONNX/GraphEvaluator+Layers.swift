/// Matrix products, normalisation over a batch, and what stands at the end of a classifier.
extension GraphEvaluator {
    /// - Returns: The node's output; nil when it is none of these.
    mutating func layer(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue? {
        switch node.type {
        case "MatMul": return try matrixProduct(try inputs(0), try inputs(1))
        case "Gemm":
            var (a, b) = (try inputs(0), try inputs(1))
            guard a.shape.count == 2, b.shape.count == 2 else { throw ImportFault("its inputs are no matrices") }
            if try node.integer("transA", default: 0) != 0 { a = try Self.transposed(a) }
            if try node.integer("transB", default: 0) != 0 { b = try Self.transposed(b) }
            var product = try matrixProduct(a, b)
            let (alpha, beta) = (try node.float("alpha", default: 1), try node.float("beta", default: 1))
            if alpha != 1 { product = try affine(product, scale: { _ in Double(alpha) }, shift: { _ in 0 }) }
            guard let c = inputs.optional(2), let bias = try inputs.floats(2), beta != 0 else { return product }
            guard try GraphShape.broadcast(product.shape, c.shape) == product.shape else {
                throw ImportFault("the shape \(c.shape) is no bias for \(product.shape)")
            }
            let places = try GraphShape.places(of: c.shape, stretchedTo: product.shape)
            return try affine(product, scale: { _ in 1 }, shift: { Double(bias[places[$0]]) * Double(beta) })
        case "Einsum": return try einsum(node, inputs)
        case "BatchNormalization": return try batchNormalised(node, inputs)
        case "Sigmoid": return try sigmoids(try Self.features(try inputs(0)), shape: try inputs(0).shape)
        case "Softmax":
            let value = try inputs(0)
            let rank = value.shape.count
            let axis = try GraphShape.axis(try node.integer("axis", default: version < 13 ? 1 : -1), rank: rank)
            guard axis == rank - 1, value.shape[axis] == 2 else {
                throw ImportFault("a softmax over something else than two classes")
            }
            return try softmax(try Self.features(value), shape: value.shape)
        default: return nil
        }
    }

    /// The softmax over pairs of scores is the sigmoid of their differences.
    mutating func softmax(_ values: [Polynomial], shape: [Int]) throws(ImportFault) -> GraphValue {
        var differences: [Polynomial] = []
        for place in stride(from: 0, to: values.count - 1, by: 2) {
            try spend(2 * (values[place].size + values[place + 1].size))
            differences.append(values[place].adding(values[place + 1], times: -1))
            differences.append(values[place + 1].adding(values[place], times: -1))
        }
        return try sigmoids(differences, shape: shape)
    }

    mutating func sigmoids(_ values: [Polynomial], shape: [Int]) throws(ImportFault) -> GraphValue {
        var result: [Polynomial] = []
        for value in values {
            guard !value.isConstant else { throw ImportFault("a score that does not depend on the features") }
            result.append(atoms.sigmoid(value))
        }
        return GraphValue(shape: shape, .features(result))
    }

    /// `x * scale + shift`, by the place of the element.
    mutating func affine(
        _ value: GraphValue, scale: (Int) -> Double, shift: (Int) -> Double
    ) throws(ImportFault) -> GraphValue {
        var result: [Polynomial] = []
        for (place, element) in try Self.features(value).enumerated() {
            try spend(element.size)
            var moved = element.scaled(by: scale(place))
            moved.constant += shift(place)
            result.append(moved)
        }
        return GraphValue(shape: value.shape, .features(result))
    }

    private mutating func batchNormalised(
        _ node: ONNXModel.Node, _ inputs: GraphInputs
    ) throws(ImportFault) -> GraphValue {
        let value = try inputs(0)
        guard try node.integer("training_mode", default: 0) == 0 else {
            throw ImportFault("it normalises by the batch; export the model after model.eval()")
        }
        guard value.shape.count >= 2, let gamma = try inputs.floats(1), let beta = try inputs.floats(2),
            let mean = try inputs.floats(3), let variance = try inputs.floats(4)
        else { throw ImportFault("it lacks inputs") }
        let channels = value.shape[1]
        guard gamma.count == channels, beta.count == channels, mean.count == channels, variance.count == channels else {
            throw ImportFault("it has \(gamma.count) scales for \(channels) columns")
        }
        let epsilon = Double(try node.float("epsilon", default: 1e-5))
        let inner = value.shape[2...].reduce(1, *)
        let scales = zip(gamma, variance).map { Double($0) / (Double($1) + epsilon).squareRoot() }
        func channel(_ place: Int) -> Int { place / inner % channels }
        return try affine(
            value, scale: { scales[channel($0)] },
            shift: { Double(beta[channel($0)]) - Double(mean[channel($0)]) * scales[channel($0)] })
    }

    private static func transposed(_ value: GraphValue) throws(ImportFault) -> GraphValue {
        let (rows, columns) = (value.shape[0], value.shape[1])
        return value.taking(
            GraphShape.places([columns, rows], strides: [1, columns]), shape: [columns, rows])
    }

    // MARK: Products of matrices

    /// The product of matrices, or of stacks of them.
    private mutating func matrixProduct(_ a: GraphValue, _ b: GraphValue) throws(ImportFault) -> GraphValue {
        guard let inner = a.shape.last, !b.shape.isEmpty else { throw ImportFault("a product with a single number") }
        // A vector is a matrix of one row, or of one column.
        let left = a.shape.count == 1 ? [1, inner] : a.shape
        let right = b.shape.count == 1 ? [b.shape[0], 1] : b.shape
        guard right[right.count - 2] == inner else {
            throw ImportFault("the shapes \(a.shape) and \(b.shape) do not fit")
        }
        let (rows, columns) = (left[left.count - 2], right[right.count - 1])
        let batch = try GraphShape.broadcast(Array(left.dropLast(2)), Array(right.dropLast(2)))
        var shape = batch
        if a.shape.count > 1 { shape.append(rows) }
        if b.shape.count > 1 { shape.append(columns) }
        _ = try GraphShape.boundedCount(shape)
        let leftStacks = try GraphShape.places(of: Array(left.dropLast(2)), stretchedTo: batch)
        let rightStacks = try GraphShape.places(of: Array(right.dropLast(2)), stretchedTo: batch)
        var result: [Polynomial] = []
        result.reserveCapacity(try GraphShape.count(shape))
        guard case .floats(let weights) = b.elements else {
            let (x, y) = (try Self.features(a), try Self.features(b))
            for (p, q) in zip(leftStacks, rightStacks) {
                for row in 0..<rows {
                    for column in 0..<columns {
                        var parts: [(Polynomial, Double)] = []
                        for k in 0..<inner {
                            let one = x[(p * rows + row) * inner + k]
                            parts.append((try product(one, y[(q * inner + k) * columns + column]), 1))
                        }
                        result.append(try sum(parts))
                    }
                }
            }
            return GraphValue(shape: shape, .features(result))
        }
        let values = try Self.features(a)
        for (p, q) in zip(leftStacks, rightStacks) {
            for row in 0..<rows {
                let one = values[((p * rows + row) * inner)..<((p * rows + row + 1) * inner)]
                result += try mixtures(one, weights, at: q * inner * columns, columns: columns)
            }
        }
        return GraphValue(shape: shape, .features(result))
    }

    /// The sum of weighted values.
    mutating func sum(_ parts: [(Polynomial, Double)]) throws(ImportFault) -> Polynomial {
        guard var total = parts.first.map({ $0.0.scaled(by: $0.1) }) else { return Polynomial(0) }
        guard parts.contains(where: { !$0.0.products.isEmpty }) || parts.count < 8 else {
            return try mixtures(parts.map(\.0)[...], parts.map { Float($0.1) }, at: 0, columns: 1)[0]
        }
        // In pairs of equals: sums of many products would be copied again and again.
        var layer = parts.map { $0.0.scaled(by: $0.1) }
        while layer.count > 1 {
            var next: [Polynomial] = []
            for place in stride(from: 0, to: layer.count, by: 2) {
                guard place + 1 < layer.count else {
                    next.append(layer[place])
                    continue
                }
                try spend(layer[place].size + layer[place + 1].size)
                next.append(layer[place].adding(layer[place + 1]))
            }
            layer = next
        }
        total = layer.first ?? Polynomial(0)
        return total
    }

    /// `values` times the columns of a matrix of shape `[values, columns]` that begins at `first` of `weights`.
    ///
    /// - Complexity: O(columns times terms of all values).
    private mutating func mixtures(
        _ values: ArraySlice<Polynomial>, _ weights: [Float], at first: Int, columns: Int
    ) throws(ImportFault) -> [Polynomial] {
        guard values.allSatisfy(\.products.isEmpty) else {
            var result: [Polynomial] = []
            for column in 0..<columns {
                result.append(
                    try sum(values.enumerated().map { ($1, Double(weights[first + $0 * columns + column])) }))
            }
            return result
        }
        // All atoms that occur, so that sums are formed in plain arrays.
        let size = values.reduce(0) { $0 + $1.size }
        let (total, overflow) = size.multipliedReportingOverflow(by: columns)
        try spend(overflow ? .max : total)
        let occurring = Set(values.lazy.flatMap { $0.terms.lazy.map(\.atom) }).sorted()
        let places = Dictionary(uniqueKeysWithValues: occurring.enumerated().map { ($1, $0) })
        let compact = values.map { value in value.terms.map { (place: places[$0.atom] ?? 0, weight: $0.weight) } }
        let constants = values.map(\.constant)
        var sums = [Double](repeating: 0, count: occurring.count)
        return (0..<columns).map { column in
            for place in sums.indices { sums[place] = 0 }
            var result = Polynomial(0)
            for number in compact.indices {
                let weight = Double(weights[first + number * columns + column])
                if weight == 0 { continue }
                result.constant += weight * constants[number]
                for term in compact[number] { sums[term.place] += weight * term.weight }
            }
            result.terms.reserveCapacity(sums.count)
            for (place, sum) in sums.enumerated() where sum != 0 {
                result.terms.append(Polynomial.Term(atom: occurring[place], weight: sum))
            }
            return result
        }
    }
}
