/// What the sums of a graph are made of.
///
/// A graph is followed for one or two rows of a batch; `row` says whose value an atom is, so that a graph that mixes rows is
/// found out.
enum Atom: Hashable {
    /// A number of the schema, normalised.
    case number(Int, row: Int)
    /// The table row of a categorical field, as a number.
    case code(Int, row: Int)
    /// `table[offset + table row of the field, column]`.
    case entry(Entry, row: Int)
    /// `max(0, unit)`.
    case rectified(Int)
    /// `1 / (1 + exp(-unit))`.
    case sigmoid(Int)

    struct Entry: Hashable {
        var table: Int
        /// Number of the categorical field.
        var field: Int
        var offset: Int
        var column: Int
    }
}

/// All atoms of a graph, by number. A unit's own atoms have smaller numbers than its atom.
struct Atoms {
    private(set) var all: [Atom] = []
    private var numbers: [Atom: Int32] = [:]
    /// What is rectified or squashed.
    private(set) var units: [Polynomial] = []

    subscript(number: Int32) -> Atom { all[Int(number)] }

    mutating func number(_ atom: Atom) -> Int32 {
        if let number = numbers[atom] { return number }
        let number = Int32(all.count)
        all.append(atom)
        numbers[atom] = number
        return number
    }

    mutating func rectified(_ inner: Polynomial) -> Polynomial {
        if inner.isConstant { return Polynomial(max(0, inner.constant)) }
        units.append(inner)
        return Polynomial(atom: number(.rectified(units.count - 1)))
    }

    mutating func sigmoid(_ inner: Polynomial) -> Polynomial {
        units.append(inner)
        return Polynomial(atom: number(.sigmoid(units.count - 1)))
    }

    /// What stands inside a sigmoid that is alone; nil for anything else.
    func insideSigmoid(_ value: Polynomial) -> Polynomial? {
        guard let atom = value.soleAtom, case .sigmoid(let unit) = self[atom] else { return nil }
        return units[unit]
    }
}
