/// Sums of products by letters, "bik,bjk->bij": of one tensor or two, with the result's letters said.
extension GraphEvaluator {
    mutating func einsum(_ node: ONNXModel.Node, _ inputs: GraphInputs) throws(ImportFault) -> GraphValue {
        let equation = node.text("equation", default: "").filter { $0 != " " }
        let refusal = ImportFault("its equation \"\(equation)\" is none like \"bik,bjk->bij\" that fits its inputs")
        guard let arrow = equation.firstRange(of: "->") else { throw refusal }
        let out = Array(equation[arrow.upperBound...])
        let terms = equation[..<arrow.lowerBound].split(separator: ",", omittingEmptySubsequences: false).map(
            Array.init)
        let values = inputs.all
        guard (1...2).contains(values.count), terms.count == values.count else { throw refusal }
        var sizes: [Character: Int] = [:]
        for (letters, value) in zip(terms, values) {
            guard letters.count == value.shape.count else { throw refusal }
            for (letter, extent) in zip(letters, value.shape) {
                guard letter.isLetter, sizes[letter, default: extent] == extent else { throw refusal }
                sizes[letter] = extent
            }
        }
        guard Set(out).count == out.count, out.allSatisfy({ sizes[$0] != nil }) else { throw refusal }
        let summed = sizes.keys.filter { !out.contains($0) }.sorted()
        func shape(_ letters: [Character]) -> [Int] { letters.map { sizes[$0] ?? 0 } }
        _ = try GraphShape.boundedCount(shape(out))
        _ = try GraphShape.boundedCount(shape(summed))
        let places = zip(terms, values).map { term, value in
            // A letter that a tensor has twice walks along its diagonal.
            let strides = GraphShape.strides(value.shape)
            func step(_ letter: Character) -> Int { zip(term, strides).reduce(0) { $0 + ($1.0 == letter ? $1.1 : 0) } }
            return (
                outer: GraphShape.places(shape(out), strides: out.map(step)),
                inner: GraphShape.places(shape(summed), strides: summed.map(step))
            )
        }
        let first = try Self.features(values[0])
        let second = values.count == 2 ? try Self.features(values[1]) : []
        var result: [Polynomial] = []
        for place in places[0].outer.indices {
            try spend(places[0].inner.count)
            var parts: [(Polynomial, Double)] = []
            for step in places[0].inner.indices {
                var part = first[places[0].outer[place] + places[0].inner[step]]
                if !second.isEmpty {
                    part = try product(part, second[places[1].outer[place] + places[1].inner[step]])
                }
                parts.append((part, 1))
            }
            result.append(try sum(parts))
        }
        return GraphValue(shape: shape(out), .features(result))
    }
}
