import Features

/// Turns a score that is a sum of products into the weights of a network, where there are such weights.
struct NetworkForm {
    let atoms: Atoms
    let layout: FeatureLayout
    let tables: [GraphEvaluator.Table]

    /// The embedding entries of each categorical field, in the order of its columns.
    var entries: [[Atom.Entry]] = []
    /// Rectified units of each layer, by their numbers in `atoms.units`.
    private var layers: [[Int]] = []
    /// By what pairs are multiplied in the score.
    var pairScale = 1.0
    var hasPairs = false
    /// Where the rows of a table begin for a field, whose IDs count over all tables: those of the schema.
    var globalTables: Set<Int> = []

    init(_ atoms: Atoms, _ layout: FeatureLayout, _ tables: [GraphEvaluator.Table]) {
        self.atoms = atoms
        self.layout = layout
        self.tables = tables
    }

    /// - Parameter logit: What the sigmoid takes, of the first row.
    /// - Throws: `ImportFault` when the score is none of a network's.
    mutating func weights(_ logit: Polynomial) throws(ImportFault) -> NetworkWeights {
        layers = try layers(of: logit)
        let inputs = layers.first?.map { atoms.units[$0] } ?? []
        try checkTables([logit] + inputs)
        try findEmbeddings(logit, inputs)
        let width = entries.map(\.count).max() ?? 0
        try ImportLimits.checkTable(rows: layout.tableRows, width: width)
        let hasLinear = logit.terms.contains {
            switch atoms[$0.atom] {
            case .number, .entry: true
            default: false
            }
        }
        let shape = NetworkShape(
            embeddingWidth: width, hidden: layers.map(\.count), hasLinear: hasLinear, hasPairs: hasPairs)
        if let fault = shape.fault() { throw ImportFault("it makes a network that cannot be: \(fault)") }
        var weights = NetworkWeights(
            shape: shape, table: table(width), linear: [Float](repeating: 0, count: hasLinear ? layout.tableRows : 0),
            denseLinear: [Float](repeating: 0, count: hasLinear ? layout.dense.count : 0),
            layers: try layers.indices.map { (number) throws(ImportFault) in try layer(number, width: width) },
            output: [Float](repeating: 0, count: shape.hidden.last ?? 0), bias: Float(logit.constant))
        let outputs = numbers(layers.last ?? [])
        for term in logit.terms {
            switch atoms[term.atom] {
            case .number(let number, _): weights.denseLinear[number] += Float(term.weight)
            case .entry(let entry, _): addLinear(entry, term.weight, to: &weights.linear)
            case .rectified(let unit): weights.output[outputs[unit] ?? 0] = Float(term.weight)
            case .code, .sigmoid: break
            }
        }
        return weights
    }

    private func numbers(_ units: [Int]) -> [Int: Int] {
        Dictionary(units.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Layers

    /// The rectified units that the score needs, by layer.
    private func layers(of logit: Polynomial) throws(ImportFault) -> [[Int]] {
        try checkAtoms(logit, "the score")
        var needed: Set<Int> = []
        // A unit is made of units before it, so going backwards meets each after all that need it.
        func note(_ sum: Polynomial) {
            for term in sum.terms { if case .rectified(let unit) = atoms[term.atom] { needed.insert(unit) } }
        }
        note(logit)
        for unit in atoms.units.indices.reversed() where needed.contains(unit) {
            try checkAtoms(atoms.units[unit], "a layer")
            note(atoms.units[unit])
        }
        var layers: [[Int]] = []
        var levels: [Int: Int] = [:]
        for unit in needed.sorted() {
            let inner = atoms.units[unit]
            guard inner.products.isEmpty else {
                throw ImportFault(
                    "its layers take products of features, which no network here does (pairs go to the score alone)")
            }
            let level = try level(inner, levels) { "a layer takes outputs of \($0), which no network here does" }
            levels[unit] = level
            if level == layers.count { layers.append([]) }
            layers[level].append(unit)
        }
        let last = try level(rectifiedPart(logit), levels) {
            "the score takes outputs of \($0), which no network here does"
        }
        guard last == layers.count else { throw ImportFault("layers of different depth lead to the score") }
        return layers
    }

    private func rectifiedPart(_ sum: Polynomial) -> Polynomial {
        var part = Polynomial(0)
        part.terms = sum.terms.filter { if case .rectified = atoms[$0.atom] { true } else { false } }
        return part
    }

    /// The layer that a sum over features, or over units of one layer, belongs to.
    private func level(
        _ sum: Polynomial, _ levels: [Int: Int], _ fault: (String) -> String
    ) throws(ImportFault) -> Int {
        var found: Set<Int> = []
        for term in sum.terms {
            if case .rectified(let unit) = atoms[term.atom] {
                found.insert((levels[unit] ?? 0) + 1)
            } else {
                found.insert(0)
            }
        }
        guard found.count <= 1 else {
            throw ImportFault(fault(found.contains(0) ? "features and of a layer together" : "several layers"))
        }
        return found.first ?? 0
    }

    private func checkAtoms(_ sum: Polynomial, _ place: String) throws(ImportFault) {
        func check(_ atom: Int32) throws(ImportFault) {
            switch atoms[atom] {
            case .number(_, let row), .entry(_, let row):
                if row != 0 { throw ImportFault("\(place) of a row depends on other rows of the batch") }
            case .code(let field, _):
                throw ImportFault(
                    "\(place) takes the table row of \"\(layout.categorical[field].name)\" as a number; make it dense in the schema"
                )
            case .sigmoid: throw ImportFault("\(place) takes a sigmoid; only the score itself may go through one")
            case .rectified: break
            }
        }
        for term in sum.terms { try check(term.atom) }
        for product in sum.products {
            try check(product.first)
            try check(product.second)
        }
    }

    private func layer(_ number: Int, width: Int) throws(ImportFault) -> NetworkWeights.Layer {
        let units = layers[number]
        let inputs = number == 0 ? layout.categorical.count * width + layout.dense.count : layers[number - 1].count
        let before = number == 0 ? [:] : numbers(layers[number - 1])
        let (count, overflow) = units.count.multipliedReportingOverflow(by: inputs)
        guard !overflow, count <= ImportLimits.termsMax else {
            throw ImportFault("a layer of \(units.count) x \(inputs)")
        }
        var weights = [Float](repeating: 0, count: count)
        let places = entries.map { field in
            Dictionary(field.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        }
        // What pairs multiply, layers see too.
        let scale = 1 / pairScale.squareRoot()
        for (row, unit) in units.enumerated() {
            for term in atoms.units[unit].terms {
                switch atoms[term.atom] {
                case .number(let place, _):
                    weights[row * inputs + layout.categorical.count * width + place] = Float(term.weight)
                case .entry(let entry, _):
                    let column = entry.field * width + (places[entry.field][entry] ?? 0)
                    weights[row * inputs + column] = Float(term.weight * scale)
                case .rectified(let unit): weights[row * inputs + (before[unit] ?? 0)] = Float(term.weight)
                case .code, .sigmoid: break
                }
            }
        }
        return NetworkWeights.Layer(weights: weights, bias: units.map { Float(atoms.units[$0].constant) })
    }
}
