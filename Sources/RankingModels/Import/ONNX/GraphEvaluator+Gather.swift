/// Operators that look elements up: columns by fixed numbers, rows of tables by features.
extension GraphEvaluator {
    mutating func gather(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let (data, indices) = (try inputs(0), try inputs(1))
        let axis = try GraphShape.axis(try node.integer("axis", default: 0), rank: data.shape.count)
        if case .ids(let ids) = indices.elements {
            guard axis == 0 else { throw ImportFault("features look up columns of a table; rows are possible") }
            return try lookUp(node.inputs.first ?? "", data, ids, shape: indices.shape)
        }
        guard let places = try inputs.integers(1) else { throw ImportFault("it has no indices") }
        return try Self.take(data, places, shape: indices.shape, axis: axis)
    }

    /// Elements along an axis by their numbers, negative ones counted from the end.
    static func take(
        _ data: GraphValue, _ indices: [Int], shape indexShape: [Int], axis: Int
    ) throws(ImportFault) -> GraphValue {
        let extent = data.shape[axis]
        guard let wrong = indices.first(where: { !(-extent..<extent).contains($0) }) else {
            let shape = Array(data.shape[..<axis]) + indexShape + Array(data.shape[(axis + 1)...])
            _ = try GraphShape.boundedCount(shape)
            let inner = try GraphShape.count(Array(data.shape[(axis + 1)...]))
            let outer = try GraphShape.count(Array(data.shape[..<axis]))
            var places: [Int] = []
            for row in 0..<outer {
                for index in indices {
                    let first = (row * extent + (index < 0 ? index + extent : index)) * inner
                    places.append(contentsOf: first..<(first + inner))
                }
            }
            return data.taking(places, shape: shape)
        }
        throw ImportFault("it takes the element \(wrong) of \(extent)")
    }

    private mutating func lookUp(
        _ name: String, _ data: GraphValue, _ ids: [GraphValue.ID], shape: [Int]
    ) throws(ImportFault) -> GraphValue {
        guard case .floats = data.elements, (1...2).contains(data.shape.count), let rows = data.shape.first else {
            throw ImportFault("features look up rows of something else than a table of floats")
        }
        let columns = data.shape.count == 2 ? data.shape[1] : 1
        let out = shape + data.shape.dropFirst()
        _ = try GraphShape.boundedCount(out)
        let number = table(name, data.reshaped([rows, columns]))
        var values: [Polynomial] = []
        values.reserveCapacity(ids.count * columns)
        for id in ids {
            for column in 0..<columns {
                let entry = Atom.Entry(table: number, field: id.field, offset: id.offset, column: column)
                values.append(Polynomial(atom: atoms.number(.entry(entry, row: id.row))))
            }
        }
        return GraphValue(shape: out, .features(values))
    }

    func gatherPoints(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let (data, points) = (try inputs(0), try inputs(1))
        guard try node.integer("batch_dims", default: 0) == 0, let indices = try inputs.integers(1),
            let depth = points.shape.last, (1...max(data.shape.count, 1)).contains(depth), depth <= data.shape.count
        else { throw ImportFault("its indices depend on the features, or do not fit the data") }
        let shape = Array(points.shape.dropLast()) + Array(data.shape[depth...])
        _ = try GraphShape.boundedCount(shape)
        let inner = try GraphShape.count(Array(data.shape[depth...]))
        let strides = GraphShape.strides(data.shape)
        var places: [Int] = []
        for point in stride(from: 0, to: indices.count, by: depth) {
            var first = 0
            for place in 0..<depth {
                let (index, extent) = (indices[point + place], data.shape[place])
                guard (-extent..<extent).contains(index) else {
                    throw ImportFault("it takes the element \(index) of \(extent)")
                }
                first += (index < 0 ? index + extent : index) * strides[place]
            }
            places.append(contentsOf: first..<(first + inner))
        }
        return data.taking(places, shape: shape)
    }
}
