import Catalog
import Retrieval

/// What is said of items beside a model.
package struct ChangedItems: Sendable {
    /// Beside the model's items.
    package var added: AddedItems?
    /// The model's, described anew.
    package var restated: RestatedItems?

    package init(added: AddedItems? = nil, restated: RestatedItems? = nil) {
        self.added = added
        self.restated = restated
    }

    package init(_ overlay: ItemOverlay) { self.init(added: overlay.added, restated: overlay.restated) }

    func isSame(as other: ChangedItems) -> Bool { added === other.added && restated === other.restated }
}

/// The values that items have of one attribute, as numbers that can be compared: those of the model, those described anew,
/// and those beside it.
struct ItemValues: Sendable {
    private let content: ItemAttribute.Content
    /// Of the rows from `rowCount` on.
    private let added: AddedValues?
    /// In place of `content`.
    private let restated: (items: RestatedItems, values: AddedValues)?
    /// Items of the model.
    private let rowCount: Int

    /// - Returns: Nil when the model's items have no attribute of that name.
    init?(_ name: String, of items: ItemCatalog, _ changed: ChangedItems = ChangedItems()) {
        if let attribute = items.details.attributes.first(where: { $0.name == name }) {
            content = attribute.content
        } else if name == items.details.tagsName, items.tagCount > 0 {
            content = .text(items.tagValues)
        } else {
            return nil
        }
        added = changed.added?.values[name]
        restated = changed.restated.flatMap { items in items.values[name].map { (items, $0) } }
        rowCount = items.count
    }

    /// Where the values of an item stand; nil: in `content`.
    @inline(__always)
    private func elsewhere(_ row: UInt32) -> (values: AddedValues?, index: UInt32)? {
        if Int(row) >= rowCount { return (added, UInt32(Int(row) - rowCount)) }
        guard let restated, let index = restated.items.index(of: row) else { return nil }
        return (restated.values, index)
    }

    /// Appends the item's values, ascending, each once.
    func append(_ row: UInt32, to values: inout [UInt64]) {
        if let (other, index) = elsewhere(row) {
            let first = values.count
            Self.forEach(other, index) { values.append($0) }
            if values.count > first + 1 { values[first...].sort() }
            return
        }
        switch content {
        case .text(let text):
            for value in text.numbers(row) { values.append(UInt64(value)) }
        case .number(let number):
            if let value = number.value(row) { values.append(Self.key(value)) }
        }
    }

    /// Calls `body` with each value of an item, in no order; none where nothing is known of it.
    private static func forEach(_ values: AddedValues?, _ index: UInt32, _ body: (UInt64) -> Void) {
        guard let values else { return }
        switch values.content {
        case .text(let text):
            guard Int(index) < text.rowCount else { return }
            for own in text.numbers(index) { body(UInt64(values.numbers[Int(own)])) }
        case .number(let number):
            guard Int(index) < number.values.count else { return }
            if let value = number.value(index) { body(Self.key(value)) }
        }
    }

    /// Calls `body` with the place of each row and each of its values; what the columns cost to reach is paid once.
    @inline(__always)
    func forEach(_ rows: some Sequence<UInt32>, _ body: (Int, UInt64) -> Void) {
        switch content {
        case .text(let text):
            for (place, row) in rows.enumerated() {
                if let (other, index) = elsewhere(row) {
                    Self.forEach(other, index) { body(place, $0) }
                } else {
                    for value in text.numbers(row) { body(place, UInt64(value)) }
                }
            }
        case .number(let number):
            for (place, row) in rows.enumerated() {
                if let (other, index) = elsewhere(row) {
                    Self.forEach(other, index) { body(place, $0) }
                } else if let value = number.value(row) {
                    body(place, Self.key(value))
                }
            }
        }
    }

    /// The number of a value as people write it; nil when no item can have it.
    func key(of value: String) -> UInt64? {
        switch content {
        case .text(let text):
            (text.number(of: value) ?? added?.number(of: value) ?? restated?.values.number(of: value))
                .map(UInt64.init)
        case .number: Double(value).flatMap { $0.isFinite ? Self.key($0) : nil }
        }
    }

    /// Whether the values are numbers below 64, which fit the bits of a word.
    var areBits: Bool {
        guard case .text(let text) = content else { return false }
        return max(text.valueCount, added?.valueCount ?? 0, restated?.values.valueCount ?? 0) <= 64
    }

    /// -0 is 0.
    private static func key(_ value: Double) -> UInt64 { (value == 0 ? 0 : value).bitPattern }
}

/// The values of a list of items as bits, where an attribute has few.
struct ValueBits {
    private let bits: [UInt64]

    /// - Precondition: `source.areBits`.
    init(_ source: ItemValues, rows: some Sequence<UInt32>) {
        let rows = Array(rows)
        var bits = [UInt64](repeating: 0, count: rows.count)
        source.forEach(rows) { bits[$0] |= 1 << $1 }
        self.bits = bits
    }

    private static func bits(_ source: ItemValues, _ row: UInt32, _ scratch: inout [UInt64]) -> UInt64 {
        scratch.removeAll(keepingCapacity: true)
        source.append(row, to: &scratch)
        return scratch.reduce(0) { $0 | 1 << $1 }
    }

    /// Raises each of `greatest` to the share of values that an item has in common with `row`.
    func raise(_ greatest: inout [Float], by row: UInt32, _ source: ItemValues) {
        var scratch: [UInt64] = []
        let chosen = Self.bits(source, row, &scratch)
        for (index, own) in bits.enumerated() {
            let all = (own | chosen).nonzeroBitCount
            let share = all == 0 ? 0 : Float((own & chosen).nonzeroBitCount) / Float(all)
            if share > greatest[index] { greatest[index] = share }
        }
    }
}

/// The values of a list of items, one after the other.
struct ValueLists {
    private(set) var values: [UInt64] = []
    /// Where the values of each item end.
    private(set) var ends: [Int] = []

    init(_ source: ItemValues, rows: some Sequence<UInt32>) {
        for row in rows {
            source.append(row, to: &values)
            ends.append(values.count)
        }
    }

    func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// Values that both have, as a share of those that one of them has; 0 where neither has any.
    ///
    /// - Parameter other: Ascending, each once.
    /// - Complexity: O(values of both).
    func share(_ index: Int, with other: [UInt64]) -> Float {
        let range = range(index)
        var (at, place, common) = (range.lowerBound, 0, 0)
        while at < range.upperBound, place < other.count {
            if values[at] == other[place] {
                common += 1
                at += 1
                place += 1
            } else if values[at] < other[place] {
                at += 1
            } else {
                place += 1
            }
        }
        let all = range.count + other.count - common
        return all == 0 ? 0 : Float(common) / Float(all)
    }
}
