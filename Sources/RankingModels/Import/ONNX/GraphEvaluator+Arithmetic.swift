/// Operators that compute element by element, and sums.
extension GraphEvaluator {
    /// - Returns: The node's output; nil when it is none of these.
    mutating func arithmetic(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue? {
        switch node.type {
        case "Add", "Sub", "Mul", "Div", "Pow", "Equal":
            return try combined(node.type, try inputs(0), try inputs(1))
        case "Max":
            guard inputs.all.count == 2 else {
                throw ImportFault("it has \(inputs.all.count) inputs; the maximum with 0 can be read")
            }
            let zero = inputs.all.firstIndex { $0.isZero }
            guard let zero else { throw ImportFault("only the maximum with 0 can be read") }
            let value = inputs.all[1 - zero]
            guard try GraphShape.broadcast(value.shape, inputs.all[zero].shape) == value.shape else {
                throw ImportFault("its zeros have the shape \(inputs.all[zero].shape)")
            }
            return try rectified(value)
        case "Sum":
            guard var sum = inputs.all.first else { throw ImportFault("it has no inputs") }
            for value in inputs.all.dropFirst() { sum = try combined("Add", sum, value) }
            return sum
        case "Neg": return try combined("Mul", try inputs(0), GraphValue(shape: [], .floats([-1])))
        case "Sqrt":
            guard let values = try inputs.floats(0) else { throw ImportFault("it has no input") }
            return GraphValue(shape: try inputs(0).shape, .floats(values.map { $0.squareRoot() }))
        case "Relu": return try rectified(try inputs(0))
        case "Clip":
            let low = try node.attributes["min"] == nil ? inputs.floats(1)?.first : node.float("min", default: 0)
            let high = try node.attributes["max"] == nil ? inputs.floats(2)?.first : node.float("max", default: 0)
            guard low == 0, high == nil || high == .infinity else {
                throw ImportFault(
                    "it clips to \(low ?? -.infinity)...\(high ?? .infinity); 0 without an upper end can be read")
            }
            return try rectified(try inputs(0))
        case "Where":
            guard let truths = try inputs.integers(0) else { throw ImportFault("it has no condition") }
            let (condition, a, b) = (try inputs(0), try inputs(1), try inputs(2))
            let shape = try GraphShape.broadcast(condition.shape, GraphShape.broadcast(a.shape, b.shape))
            guard case .ints(let x) = a.elements, case .ints(let y) = b.elements else {
                throw ImportFault("only shapes can be chosen between")
            }
            let places = try GraphShape.places(of: condition.shape, stretchedTo: shape)
            let (p, q) = (
                try GraphShape.places(of: a.shape, stretchedTo: shape),
                try GraphShape.places(of: b.shape, stretchedTo: shape)
            )
            return GraphValue(shape: shape, .ints(places.indices.map { truths[places[$0]] != 0 ? x[p[$0]] : y[q[$0]] }))
        case "Cast": return try cast(try inputs(0), to: try node.integer("to", default: 1))
        case "ReduceSum", "ReduceMean", "ReduceSumSquare": return try reduced(node, inputs)
        default: return nil
        }
    }

    // MARK: Two tensors

    private mutating func combined(_ type: String, _ a: GraphValue, _ b: GraphValue) throws(ImportFault) -> GraphValue {
        let shape = try GraphShape.broadcast(a.shape, b.shape)
        let x = try GraphShape.places(of: a.shape, stretchedTo: shape)
        let y = try GraphShape.places(of: b.shape, stretchedTo: shape)
        switch (a.elements, b.elements) {
        case (.ints(let p), .ints(let q)):
            var result: [Int64] = []
            for (i, j) in zip(x, y) { result.append(try Self.whole(type, p[i], q[j])) }
            return GraphValue(shape: shape, .ints(result))
        case (.ids(let ids), .ints(let q)) where type == "Add" || type == "Sub":
            return GraphValue(
                shape: shape,
                .ids(try zip(x, y).map { (i, j) throws(ImportFault) in try ids[i].moved(q[j], minus: type == "Sub") }))
        case (.ints(let p), .ids(let ids)) where type == "Add":
            return GraphValue(
                shape: shape,
                .ids(try zip(x, y).map { (i, j) throws(ImportFault) in try ids[j].moved(p[i], minus: false) }))
        case (.floats(let p), .floats(let q)):
            var result: [Float] = []
            for (i, j) in zip(x, y) { result.append(try Self.number(type, p[i], q[j])) }
            return GraphValue(shape: shape, .floats(result))
        default:
            let (p, q) = (try Self.features(a), try Self.features(b))
            var result: [Polynomial] = []
            result.reserveCapacity(x.count)
            for (i, j) in zip(x, y) { result.append(try feature(type, p[i], q[j])) }
            return GraphValue(shape: shape, .features(result))
        }
    }

    private static func whole(_ type: String, _ a: Int64, _ b: Int64) throws(ImportFault) -> Int64 {
        switch type {
        case "Add": return a &+ b
        case "Sub": return a &- b
        case "Mul": return a &* b
        case "Div" where b != 0 && b != -1: return a / b
        case "Equal": return a == b ? 1 : 0
        default: throw ImportFault("it cannot be done with the whole numbers \(a) and \(b)")
        }
    }

    private static func number(_ type: String, _ a: Float, _ b: Float) throws(ImportFault) -> Float {
        switch type {
        case "Add": return a + b
        case "Sub": return a - b
        case "Mul": return a * b
        case "Div": return a / b
        case "Pow" where b == 2: return a * a
        case "Pow" where b == 0.5: return a.squareRoot()
        case "Pow" where b == 1: return a
        default: throw ImportFault("it cannot be done with the numbers \(a) and \(b)")
        }
    }

    private mutating func feature(_ type: String, _ a: Polynomial, _ b: Polynomial) throws(ImportFault) -> Polynomial {
        switch type {
        case "Add", "Sub":
            try spend(a.size + b.size)
            return a.adding(b, times: type == "Add" ? 1 : -1)
        case "Mul": return try product(a, b)
        case "Div":
            guard b.isConstant, b.constant != 0 else {
                throw ImportFault("it divides by something that depends on the features, or by 0")
            }
            try spend(a.size)
            return a.scaled(by: 1 / b.constant)
        case "Pow":
            guard b.isConstant, b.constant == 1 || b.constant == 2 else {
                throw ImportFault("a power of the features that is not their square")
            }
            return b.constant == 1 ? a : try product(a, a)
        default: throw ImportFault("it compares features")
        }
    }

    mutating func product(_ a: Polynomial, _ b: Polynomial) throws(ImportFault) -> Polynomial {
        try spend(a.terms.count * b.terms.count + a.size + b.size)
        guard let product = a.multiplied(by: b) else {
            throw ImportFault("it makes products of more than two features, which no ranker here has")
        }
        return product
    }

    // MARK: One tensor

    /// The elements as sums over features.
    static func features(_ value: GraphValue) throws(ImportFault) -> [Polynomial] {
        switch value.elements {
        case .features(let values): return values
        case .floats(let values): return values.map { Polynomial(Double($0)) }
        case .ints(let values): return values.map { Polynomial(Double($0)) }
        case .ids: throw ImportFault("it computes with table rows; only a constant may be added to them")
        }
    }

    private mutating func rectified(_ value: GraphValue) throws(ImportFault) -> GraphValue {
        if case .floats(let values) = value.elements {
            return GraphValue(shape: value.shape, .floats(values.map { max($0, 0) }))
        }
        var result: [Polynomial] = []
        for element in try Self.features(value) { result.append(atoms.rectified(element)) }
        return GraphValue(shape: value.shape, .features(result))
    }

    private mutating func cast(_ value: GraphValue, to number: Int) throws(ImportFault) -> GraphValue {
        guard let type = ONNXTensor.ElementType(rawValue: number) else {
            throw ImportFault("it casts to the element type \(number)")
        }
        switch value.elements {
        case .floats(let values) where !type.isFloat:
            return GraphValue(shape: value.shape, .ints(values.map { Int64(exactly: $0.rounded(.towardZero)) ?? 0 }))
        case .ints(let values) where type.isFloat:
            return GraphValue(shape: value.shape, .floats(values.map { Float($0) }))
        case .ids(let ids) where type.isFloat:
            var result: [Polynomial] = []
            for id in ids {
                let atom = atoms.number(.code(id.field, row: id.row))
                result.append(Polynomial(atom: atom).adding(Polynomial(Double(id.offset))))
            }
            return GraphValue(shape: value.shape, .features(result))
        case .features(let values) where !type.isFloat:
            let ids = try values.map { (value) throws(ImportFault) -> GraphValue.ID in
                let offset = Int(exactly: value.constant)
                guard value.products.isEmpty, value.terms.count == 1, value.terms[0].weight == 1, let offset,
                    case .code(let field, let row) = atoms[value.terms[0].atom]
                else { throw ImportFault("it rounds something else than the IDs of categorical fields") }
                return GraphValue.ID(field: field, row: row, offset: offset)
            }
            return GraphValue(shape: value.shape, .ids(ids))
        default: return value
        }
    }

    private mutating func reduced(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        var value = try inputs(0)
        let rank = value.shape.count
        let named = try node.integers("axes", orInput: 1, inputs) ?? []
        if named.isEmpty, try node.integer("noop_with_empty_axes", default: 0) == 1 { return value }
        let axes = named.isEmpty ? Set(0..<rank) : try GraphShape.axes(named, rank: rank)
        if node.type == "ReduceSumSquare" { value = try combined("Mul", value, value) }
        let strides = GraphShape.strides(value.shape)
        let kept = value.shape.indices.filter { !axes.contains($0) }
        let gone = value.shape.indices.filter { axes.contains($0) }
        let inner = GraphShape.places(gone.map { value.shape[$0] }, strides: gone.map { strides[$0] })
        let outer = GraphShape.places(kept.map { value.shape[$0] }, strides: kept.map { strides[$0] })
        let share = node.type == "ReduceMean" ? 1 / Double(max(inner.count, 1)) : 1
        let shape =
            try node.integer("keepdims", default: 1) == 1
            ? value.shape.indices.map { axes.contains($0) ? 1 : value.shape[$0] } : kept.map { value.shape[$0] }
        switch value.elements {
        case .floats(let values):
            return GraphValue(
                shape: shape,
                .floats(outer.map { at in Float(inner.reduce(0.0) { $0 + Double(values[at + $1]) } * share) }))
        case .ints(let values) where share == 1:
            return GraphValue(shape: shape, .ints(outer.map { at in inner.reduce(0) { $0 &+ values[at + $1] } }))
        default:
            let values = try Self.features(value)
            var result: [Polynomial] = []
            for at in outer { result.append(try sum(inner.map { (values[at + $0], share) })) }
            return GraphValue(shape: shape, .features(result))
        }
    }
}

extension GraphValue {
    fileprivate var isZero: Bool {
        switch elements {
        case .floats(let values): values.allSatisfy { $0 == 0 }
        case .ints(let values): values.allSatisfy { $0 == 0 }
        default: false
        }
    }
}

extension GraphValue.ID {
    fileprivate func moved(_ by: Int64, minus: Bool) throws(ImportFault) -> GraphValue.ID {
        guard abs(by.clamped) < 1 << 40, abs(offset) < 1 << 40 else {
            throw ImportFault("it moves table rows by \(by)")
        }
        var result = self
        result.offset += Int(minus ? -by : by)
        return result
    }
}

extension Int64 {
    /// Without the one number that has no absolute value.
    fileprivate var clamped: Int64 { Swift.max(self, -.max) }
}
