import Catalog

#if canImport(Glibc)
    import Glibc
#endif

/// What an item is, for the content source: the values that it has, before they have weights.
package struct ItemValues: Sendable, Equatable {
    package var tags: [String]
    /// By attribute. Names that the catalogue lacks, and values that none of its items has, tell nothing.
    package var texts: [String: [String]]
    package var numbers: [String: Double]

    package init(tags: [String] = [], texts: [String: [String]] = [:], numbers: [String: Double] = [:]) {
        self.tags = tags
        self.texts = texts
        self.numbers = numbers
    }
}

/// Numbers everything that an item can have in common with another: a **term** is a tag, a value of a text attribute, or a
/// class of an attribute of numbers, whose classes hold about as many items each.
struct ContentTerms: Sendable {
    private struct Column: Sendable {
        enum Values: Sendable {
            case text(TextAttribute)
            /// Class `c` holds the numbers from `bounds[c - 1]` up to, but not including, `bounds[c]`.
            case number(NumberAttribute, bounds: [Double])
        }

        let name: String
        let values: Values
        /// Term of value 0.
        let first: Int

        var count: Int {
            switch values {
            case .text(let text): text.valueCount
            case .number(_, let bounds): bounds.count + 1
            }
        }
    }

    private let columns: [Column]
    /// Terms there are.
    let count: Int
    private let tagsName: String

    /// Classes of an attribute of numbers.
    static let classes = 16

    init(_ items: ItemCatalog) {
        var columns: [Column] = []
        var count = 0
        func add(_ name: String, _ values: Column.Values) {
            let column = Column(name: name, values: values, first: count)
            columns.append(column)
            count += column.count
        }
        add("", .text(items.tagValues))
        for attribute in items.details.attributes {
            switch attribute.content {
            case .text(let text): add(attribute.name, .text(text))
            case .number(let number): add(attribute.name, .number(number, bounds: Self.bounds(of: number)))
            }
        }
        self.columns = columns
        self.count = count
        tagsName = items.details.tagsName
    }

    /// What parts the numbers into classes of about equally many; fewer where numbers repeat.
    private static func bounds(of number: NumberAttribute) -> [Double] {
        let sorted = number.values.filter { !$0.isNaN }.sorted()
        guard let least = sorted.first else { return [] }
        var bounds: [Double] = []
        for part in 1..<classes {
            let bound = sorted[sorted.count * part / classes]
            if bound > bounds.last ?? least { bounds.append(bound) }
        }
        return bounds
    }

    private static func place(of value: Double, in bounds: [Double]) -> Int {
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Hands the terms of an item to `body`, each once.
    func forEach(of row: UInt32, _ body: (Int) -> Void) {
        for column in columns {
            switch column.values {
            case .text(let text): for value in text.numbers(row) { body(column.first + Int(value)) }
            case .number(let number, let bounds):
                if let value = number.value(row) { body(column.first + Self.place(of: value, in: bounds)) }
            }
        }
    }

    /// The terms of an item that is not in the catalogue, each once, ascending.
    func terms(of values: ItemValues) -> [Int] {
        var terms: Set<Int> = []
        for column in columns {
            switch column.values {
            case .text(let text):
                // The tags may be named as the attribute they can be filtered as, too.
                let named =
                    column.name.isEmpty ? values.tags + (values.texts[tagsName] ?? []) : values.texts[column.name]
                for value in named ?? [] {
                    if let number = text.number(of: value) { terms.insert(column.first + Int(number)) }
                }
            case .number(_, let bounds):
                if let value = values.numbers[column.name], value.isFinite {
                    terms.insert(column.first + Self.place(of: value, in: bounds))
                }
            }
        }
        return terms.sorted()
    }

    /// A term in words: the value, with its attribute's name unless it is a tag.
    func name(_ term: Int) -> String {
        guard let column = column(of: term) else { return "" }
        switch column.values {
        case .text(let text):
            let value = text.value(UInt32(term - column.first))
            return column.name.isEmpty ? value : "\(column.name) \(value)"
        case .number(_, let bounds):
            let place = term - column.first
            if bounds.isEmpty { return column.name }
            if place == 0 { return "\(column.name) below \(bounds[0])" }
            if place == bounds.count { return "\(column.name) from \(bounds[place - 1])" }
            return "\(column.name) \(bounds[place - 1]) to \(bounds[place])"
        }
    }

    private func column(of term: Int) -> Column? { columns.last { $0.first <= term && term < $0.first + $0.count } }
}
