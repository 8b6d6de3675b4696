/// Operators that put elements elsewhere, and those that work on shapes alone.
extension GraphEvaluator {
    /// - Returns: The node's outputs; nil when it is none of these.
    mutating func movement(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> [GraphValue]? {
        switch node.type {
        case "Identity", "Dropout": return [try inputs(0)]
        case "Constant": return [try constant(node)]
        case "Shape":
            let shape = try inputs(0).shape
            let start = try edge(node.integer("start", default: 0), shape.count)
            let end = try edge(node.integer("end", default: shape.count), shape.count)
            return [GraphValue(ints: start < end ? shape[start..<end].map { Int64($0) } : [])]
        case "Reshape": return [try reshape(node, inputs)]
        case "Flatten":
            let value = try inputs(0)
            let axis = try edge(node.integer("axis", default: 1), value.shape.count)
            let outer = try GraphShape.count(Array(value.shape[..<axis]))
            return [value.reshaped([outer, try GraphShape.count(Array(value.shape[axis...]))])]
        case "Squeeze":
            let value = try inputs(0)
            if let axes = try node.integers("axes", orInput: 1, inputs) {
                let axes = try GraphShape.axes(axes, rank: value.shape.count)
                guard axes.allSatisfy({ value.shape[$0] == 1 }) else {
                    throw ImportFault("it takes away dimensions of the shape \(value.shape) that are not 1")
                }
                return [value.reshaped(value.shape.indices.filter { !axes.contains($0) }.map { value.shape[$0] })]
            }
            return [value.reshaped(value.shape.filter { $0 != 1 })]
        case "Unsqueeze":
            let value = try inputs(0)
            guard let axes = try node.integers("axes", orInput: 1, inputs) else { throw ImportFault("it has no axes") }
            let rank = value.shape.count + axes.count
            guard rank <= ImportLimits.rankMax else { throw ImportFault("it makes \(rank) dimensions") }
            let places = try GraphShape.axes(axes, rank: rank)
            guard places.count == axes.count else { throw ImportFault("its axes \(axes) name one twice") }
            var rest = value.shape[...]
            return [value.reshaped((0..<rank).map { places.contains($0) ? 1 : rest.popFirst() ?? 1 })]
        case "Transpose":
            let value = try inputs(0)
            let order = try node.integers("perm") ?? value.shape.indices.reversed()
            guard order.sorted() == Array(value.shape.indices) else { throw ImportFault("its perm is \(order)") }
            let strides = GraphShape.strides(value.shape)
            return [try take(value, order.map { value.shape[$0] }, strides: order.map { strides[$0] })]
        case "Expand":
            let value = try inputs(0)
            guard let wanted = try inputs.integers(1) else { throw ImportFault("it has no shape") }
            let shape = try GraphShape.broadcast(value.shape, wanted)
            return [value.taking(try GraphShape.places(of: value.shape, stretchedTo: shape), shape: shape)]
        case "ConstantOfShape":
            guard let shape = try inputs.integers(0) else { throw ImportFault("it has no shape") }
            let count = try GraphShape.boundedCount(shape)
            if case .tensor(let value) = node.attributes["value"], value.count == 1 {
                return [value.taking([Int](repeating: 0, count: count), shape: shape)]
            }
            return [GraphValue(shape: shape, .floats([Float](repeating: 0, count: count)))]
        case "Range":
            guard let start = try inputs.integers(0)?.first, let limit = try inputs.integers(1)?.first,
                let step = try inputs.integers(2)?.first, step != 0,
                abs(limit / 2 - start / 2) < ImportLimits.elementsMax
            else { throw ImportFault("its ends have to be whole numbers") }
            return [GraphValue(ints: stride(from: start, to: limit, by: step).map { Int64($0) })]
        case "Concat": return [try concatenate(node, inputs.all)]
        case "Slice": return [try slice(inputs)]
        case "Split": return try split(node, inputs)
        case "Gather": return [try gather(node, inputs)]
        case "GatherND": return [try gatherPoints(node, inputs)]
        default: return nil
        }
    }

    /// A place between dimensions, held within them.
    private func edge(_ place: Int, _ rank: Int) throws(ImportFault) -> Int {
        min(max(place < 0 ? place + rank : place, 0), rank)
    }

    private func take(
        _ value: GraphValue, _ shape: [Int], strides: [Int], start: Int = 0
    ) throws(ImportFault) -> GraphValue {
        _ = try GraphShape.boundedCount(shape)
        return value.taking(GraphShape.places(shape, strides: strides, start: start), shape: shape)
    }

    private func constant(_ node: ONNXModel.Node) throws(ImportFault) -> GraphValue {
        for (name, attribute) in node.attributes {
            switch (name, attribute) {
            case ("value", .tensor(let value)): return value
            case ("value_float", .float(let value)): return GraphValue(shape: [], .floats([value]))
            case ("value_floats", .floats(let values)): return GraphValue(shape: [values.count], .floats(values))
            case ("value_int", .int(let value)): return GraphValue(shape: [], .ints([value]))
            case ("value_ints", .ints(let values)): return GraphValue(ints: values)
            default: continue
            }
        }
        throw ImportFault("it has no value of numbers")
    }

    private func reshape(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let value = try inputs(0)
        guard var shape = try inputs.integers(1) else { throw ImportFault("it has no shape") }
        if try node.integer("allowzero", default: 0) == 0 {
            for place in shape.indices where shape[place] == 0 && place < value.shape.count {
                shape[place] = value.shape[place]
            }
        }
        if let open = shape.firstIndex(of: -1) {
            shape[open] = 1
            let rest = try GraphShape.count(shape)
            shape[open] = rest > 0 ? value.count / rest : 0
        }
        guard try GraphShape.count(shape) == value.count else {
            throw ImportFault("it turns the shape \(value.shape) into \(shape)")
        }
        return value.reshaped(shape)
    }

    private mutating func concatenate(_ node: ONNXModel.Node, _ parts: [GraphValue]) throws(ImportFault) -> GraphValue {
        guard let first = parts.first else { throw ImportFault("it has no inputs") }
        let axis = try GraphShape.axis(try node.integer("axis", default: 0), rank: first.shape.count)
        var shape = first.shape
        shape[axis] = 0
        for part in parts {
            var other = part.shape
            guard other.count == shape.count else {
                throw ImportFault("its inputs have different numbers of dimensions")
            }
            shape[axis] += other[axis]
            other[axis] = first.shape[axis]
            guard other == first.shape else {
                throw ImportFault("the shapes \(first.shape) and \(part.shape) do not fit")
            }
        }
        let all = try Self.alike(parts)
        let outer = try GraphShape.count(Array(shape[..<axis]))
        let inner = try GraphShape.count(Array(shape[(axis + 1)...]))
        _ = try GraphShape.boundedCount(shape)
        func joined<Element>(_ lists: [[Element]]) -> [Element] {
            var result: [Element] = []
            for row in 0..<outer {
                for (part, list) in zip(parts, lists) {
                    let count = part.shape[axis] * inner
                    result.append(contentsOf: list[(row * count)..<((row + 1) * count)])
                }
            }
            return result
        }
        switch all {
        case .floats(let lists): return GraphValue(shape: shape, .floats(joined(lists)))
        case .ints(let lists): return GraphValue(shape: shape, .ints(joined(lists)))
        case .features(let lists): return GraphValue(shape: shape, .features(joined(lists)))
        case .ids(let lists): return GraphValue(shape: shape, .ids(joined(lists)))
        }
    }

    private enum Lists {
        case floats([[Float]])
        case ints([[Int64]])
        case features([[Polynomial]])
        case ids([[GraphValue.ID]])
    }

    /// The elements of several tensors as one kind.
    private static func alike(_ parts: [GraphValue]) throws(ImportFault) -> Lists {
        var (floats, ints, ids): ([[Float]], [[Int64]], [[GraphValue.ID]]) = ([], [], [])
        for part in parts {
            switch part.elements {
            case .floats(let values): floats.append(values)
            case .ints(let values): ints.append(values)
            case .ids(let values): ids.append(values)
            case .features: break
            }
        }
        if floats.count == parts.count { return .floats(floats) }
        if ints.count == parts.count { return .ints(ints) }
        if ids.count == parts.count { return .ids(ids) }
        return .features(try parts.map { (part) throws(ImportFault) in try features(part) })
    }

    private func slice(_ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let value = try inputs(0)
        guard let starts = try inputs.integers(1), let ends = try inputs.integers(2), starts.count == ends.count else {
            throw ImportFault("it has no starts and ends")
        }
        let axes = try inputs.integers(3) ?? Array(0..<starts.count)
        let steps = try inputs.integers(4) ?? [Int](repeating: 1, count: starts.count)
        guard axes.count == starts.count, steps.count == starts.count,
            try GraphShape.axes(axes, rank: value.shape.count).count == axes.count
        else { throw ImportFault("its lists differ in length, or name an axis twice") }
        var shape = value.shape
        var strides = GraphShape.strides(value.shape)
        var first = 0
        for (number, axis) in axes.enumerated() {
            let axis = try GraphShape.axis(axis, rank: shape.count)
            guard steps[number] >= 1, steps[number] < 1 << 31 else { throw ImportFault("its step is \(steps[number])") }
            let start = try edge(starts[number], value.shape[axis])
            let end = try edge(ends[number], value.shape[axis])
            shape[axis] = start < end ? (end - start - 1) / steps[number] + 1 : 0
            first += start * strides[axis]
            strides[axis] *= steps[number]
        }
        return try take(value, shape, strides: strides, start: first)
    }

    private func split(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> [GraphValue] {
        let value = try inputs(0)
        let axis = try GraphShape.axis(try node.integer("axis", default: 0), rank: value.shape.count)
        let extent = value.shape[axis]
        let parts = max(node.outputs.count, 1)
        let each = (extent + parts - 1) / parts
        let sizes =
            try node.integers("split", orInput: 1, inputs)
            ?? (0..<parts).map { min(each, max(extent - $0 * each, 0)) }
        guard sizes.allSatisfy({ (0...extent).contains($0) }), sizes.count == node.outputs.count,
            sizes.reduce(0, +) == extent
        else { throw ImportFault("it splits \(extent) into \(sizes)") }
        let strides = GraphShape.strides(value.shape)
        var (first, results): (Int, [GraphValue]) = (0, [])
        for size in sizes {
            var shape = value.shape
            shape[axis] = size
            results.append(try take(value, shape, strides: strides, start: first * strides[axis]))
            first += size
        }
        return results
    }
}
