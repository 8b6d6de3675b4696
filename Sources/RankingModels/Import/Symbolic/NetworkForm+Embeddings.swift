import Features

/// The tables of a score: which rows they need, what of them is an embedding, what a linear weight.
extension NetworkForm {
    // MARK: Tables

    /// Whether the tables have the rows that the schema's fields reach.
    mutating func checkTables(_ sums: [Polynomial]) throws(ImportFault) {
        var users: [Int: Set<Atom.Entry>] = [:]
        for sum in sums {
            for atom in sum.terms.map(\.atom) + sum.products.flatMap({ [$0.first, $0.second] }) {
                guard case .entry(var entry, _) = atoms[atom] else { continue }
                entry.column = 0
                users[entry.table, default: []].insert(entry)
            }
        }
        for (number, entries) in users.sorted(by: { $0.key < $1.key }) {
            let rows = tables[number].value.shape[0]
            let fields = Set(entries.map(\.field))
            if entries.allSatisfy({ $0.offset == 0 }), fields.count > 1, rows == layout.tableRows {
                globalTables.insert(number)
                continue
            }
            for entry in entries.sorted(by: { ($0.field, $0.offset) < ($1.field, $1.offset) }) {
                let end = entry.offset + layout.categorical[entry.field].tableRows
                guard entry.offset >= 0, end <= rows else {
                    throw ImportFault(
                        "the table \"\(tables[number].name)\" has \(rows) rows; the field \"\(layout.categorical[entry.field].name)\" takes \(entry.offset) to \(end - 1)"
                    )
                }
            }
            let end = entries.map { $0.offset + layout.categorical[$0.field].tableRows }.max() ?? 0
            guard end == rows else {
                throw ImportFault(
                    "the table \"\(tables[number].name)\" has \(rows) rows; the schema's fields (\(fields.sorted().map { layout.categorical[$0].name }.joined(separator: ", "))) have \(end), the row of unknown values counted"
                )
            }
        }
    }

    /// Calls `body` with the schema's row of the one table and the value, for each row of a field.
    private func forEachRow(_ entry: Atom.Entry, _ body: (Int, Float) -> Void) {
        let field = layout.categorical[entry.field]
        let table = tables[entry.table].value
        guard case .floats(let values) = table.elements else { return }
        let first = entry.offset + (globalTables.contains(entry.table) ? field.tableOffset : 0)
        for row in 0..<field.tableRows {
            body(field.tableOffset + row, values[(first + row) * table.shape[1] + entry.column])
        }
    }

    func addLinear(_ entry: Atom.Entry, _ weight: Double, to linear: inout [Float]) {
        forEachRow(entry) { row, value in linear[row] += Float(weight * Double(value)) }
    }

    func table(_ width: Int) -> [Float] {
        var table = [Float](repeating: 0, count: layout.tableRows * width)
        let scale = Float(pairScale.squareRoot())
        for field in entries {
            for (place, entry) in field.enumerated() {
                forEachRow(entry) { row, value in table[row * width + place] = value * scale }
            }
        }
        return table
    }

    // MARK: Embeddings

    /// Finds which entries are the embeddings of each field, and that the products are those of all pairs.
    mutating func findEmbeddings(_ logit: Polynomial, _ inputs: [Polynomial]) throws(ImportFault) {
        var deep = [Set<Atom.Entry>](repeating: [], count: layout.categorical.count)
        for sum in inputs {
            for term in sum.terms {
                if case .entry(let entry, _) = atoms[term.atom] { deep[entry.field].insert(entry) }
            }
        }
        var paired = [Set<Atom.Entry>](repeating: [], count: layout.categorical.count)
        for product in logit.products {
            guard case .entry(let a, _) = atoms[product.first], case .entry(let b, _) = atoms[product.second],
                a.field != b.field
            else {
                throw ImportFault(
                    "it multiplies features in another way than the embeddings of pairs of categorical fields (\(name(product.first)) by \(name(product.second)))"
                )
            }
            paired[a.field].insert(a)
            paired[b.field].insert(b)
        }
        hasPairs = !logit.products.isEmpty
        entries = zip(deep, paired).map { deep, paired in
            (hasPairs ? paired : deep).sorted { ($0.table, $0.offset, $0.column) < ($1.table, $1.offset, $1.column) }
        }
        guard hasPairs else { return }
        if let field = deep.indices.first(where: { !deep[$0].isSubset(of: paired[$0]) }) {
            throw ImportFault(
                "its layers take embeddings of \"\(layout.categorical[field].name)\" that are not among those of the pairs; a network here has one embedding for both"
            )
        }
        let fields = entries.indices.filter { !entries[$0].isEmpty }
        let width = fields.map { entries[$0].count }.max() ?? 0
        pairScale = logit.products[0].weight
        let expected = fields.count * (fields.count - 1) / 2 * width
        let isAll =
            fields.allSatisfy { entries[$0].count == width } && logit.products.count == expected
            && logit.products.allSatisfy { abs($0.weight - pairScale) <= 1e-6 * abs(pairScale) && isAligned($0) }
        guard isAll, pairScale > 0 else {
            throw ImportFault(
                "it multiplies embeddings, but not each pair of fields once and alike (\(logit.products.count) products of \(fields.count) fields with \(width) columns)"
            )
        }
    }

    /// Whether a product is of the same column of two fields.
    private func isAligned(_ product: Polynomial.Product) -> Bool {
        guard case .entry(let a, _) = atoms[product.first], case .entry(let b, _) = atoms[product.second] else {
            return false
        }
        return entries[a.field].firstIndex(of: a) == entries[b.field].firstIndex(of: b)
    }

    /// For messages.
    private func name(_ atom: Int32) -> String {
        switch atoms[atom] {
        case .number(let number, _): "the number \"\(layout.dense[number].name)\""
        case .code(let field, _): "\"\(layout.categorical[field].name)\""
        case .entry(let entry, _): "\"\(layout.categorical[entry.field].name)\""
        case .rectified, .sigmoid: "the output of a layer"
        }
    }
}
