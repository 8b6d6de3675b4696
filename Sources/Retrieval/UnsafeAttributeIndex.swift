import Catalog
import NearestNeighbors
import Vocabulary

/// Turns attribute filters into sets of rows: by value the items that have it, by number the items in order.
///
/// Immutable; shared by all shards.
package final class AttributeIndex: Sendable {
    private enum Column: Sendable {
        case text(Postings)
        case number(NumberIndex)
    }

    private let itemCount: Int
    private let tags: Postings
    private let columns: [String: Column]

    /// - Complexity: O(items + assignments), and O(items log items) for each attribute of numbers.
    package init(_ items: ItemCatalog) {
        itemCount = items.count
        let tags = Postings(items.tagValues)
        self.tags = tags
        var columns: [String: Column] = [items.details.tagsName: .text(tags)]
        for attribute in items.details.attributes {
            switch attribute.content {
            case .text(let text): columns[attribute.name] = .text(Postings(text))
            case .number(let number): columns[attribute.name] = .number(NumberIndex(number))
            }
        }
        self.columns = columns
    }

    /// Bytes that the index takes.
    package var byteCount: Int {
        columns.values.reduce(0) {
            switch $1 {
            case .text(let postings): $0 + postings.byteCount
            case .number(let numbers): $0 + numbers.byteCount
            }
        }
    }

    /// Calls `body` with each item that has a text of an attribute.
    ///
    /// - Returns: How many have it; 0 where no attribute of texts has that name.
    @discardableResult
    package func forEachItem(with value: String, of attribute: String, _ body: (UInt32) -> Void) -> Int {
        guard case .text(let postings)? = columns[attribute], let number = postings.number(of: value) else { return 0 }
        postings.forEachItem(number, body)
        return postings.count(number)
    }

    // MARK: Conditions

    /// Rows that one value, or one run of numbers, stands for.
    private enum RowSet {
        case value(Postings, UInt32)
        case numbers(NumberIndex, Range<Int>, min: Double, max: Double)

        var count: Int {
            switch self {
            case .value(let postings, let value): postings.count(value)
            case .numbers(_, let places, _, _): places.count
            }
        }

        func contains(_ row: UInt32) -> Bool {
            switch self {
            case .value(let postings, let value): postings.contains(row, value)
            case .numbers(let index, _, let min, let max): index.contains(row, min: min, max: max)
            }
        }

        func insert(into words: UnsafeMutableBufferPointer<UInt64>) {
            switch self {
            case .value(let postings, let value): postings.insert(value, into: words)
            case .numbers(let index, let places, _, _): index.insert(places, into: words)
            }
        }

        func remove(from words: UnsafeMutableBufferPointer<UInt64>) {
            switch self {
            case .value(let postings, let value): postings.remove(value, from: words)
            case .numbers(let index, let places, _, _): index.remove(places, from: words)
            }
        }
    }

    /// Rows of which one set must hold an item, or none may.
    private struct Part {
        var sets: [RowSet]
        /// Items at most.
        var count: Int { sets.reduce(0) { $0 + $1.count } }

        /// Sets the bits of all its rows in words that are all zero.
        func fill(_ words: UnsafeMutableBufferPointer<UInt64>) {
            if sets.count == 1, case .numbers(let index, let places, _, _) = sets[0] {
                index.fill(places, into: words)
            } else {
                for set in sets { set.insert(into: words) }
            }
        }

        func contains(_ row: UInt32) -> Bool { sets.contains { $0.contains(row) } }
    }

    private struct Parts {
        var included: [Part] = []
        var excluded: [Part] = []
    }

    /// The conditions as sets of rows.
    private func parts(of filter: ItemFilter) throws(FilterFault) -> Parts {
        var parts = Parts()
        func known(_ names: [String]) -> [RowSet] { names.compactMap(tags.number).map { .value(tags, $0) } }
        if !filter.anyTag.isEmpty { parts.included.append(Part(sets: known(filter.anyTag))) }
        for tag in filter.allTags { parts.included.append(Part(sets: known([tag]))) }
        if !filter.noTag.isEmpty { parts.excluded.append(Part(sets: known(filter.noTag))) }
        for (place, condition) in filter.conditions.enumerated() {
            guard let column = columns[condition.attribute] else {
                throw FilterFault(message: unknown(condition.attribute, place))
            }
            switch column {
            case .text(let postings):
                guard condition.min == nil, condition.max == nil else {
                    throw FilterFault(
                        message:
                            "filter.conditions[\(place)]: attribute '\(condition.attribute)' holds texts; min and max "
                            + "are for numbers")
                }
                func sets(_ values: [String]) -> [RowSet] {
                    values.compactMap(postings.number).map { .value(postings, $0) }
                }
                if !condition.anyOf.isEmpty { parts.included.append(Part(sets: sets(condition.anyOf))) }
                if !condition.noneOf.isEmpty { parts.excluded.append(Part(sets: sets(condition.noneOf))) }
            case .number(let index): try add(condition, place, index, to: &parts)
            }
        }
        return parts
    }

    private func add(
        _ condition: ItemCondition, _ place: Int, _ index: NumberIndex, to parts: inout Parts
    ) throws(FilterFault) {
        func fault(_ what: String) -> FilterFault { FilterFault(message: "filter.conditions[\(place)]: \(what)") }
        func set(_ min: Double, _ max: Double) -> RowSet {
            .numbers(index, index.places(min: min, max: max), min: min, max: max)
        }
        func sets(_ values: [String]) throws(FilterFault) -> [RowSet] {
            var sets: [RowSet] = []
            for text in values {
                guard let value = Double(text), !value.isNaN else {
                    throw fault("attribute '\(condition.attribute)' holds numbers; '\(text.prefix(40))' is none")
                }
                sets.append(set(value, value))
            }
            return sets
        }
        if condition.min?.isNaN == true || condition.max?.isNaN == true { throw fault("min or max is not a number") }
        if condition.min != nil || condition.max != nil {
            parts.included.append(Part(sets: [set(condition.min ?? -.infinity, condition.max ?? .infinity)]))
        }
        if !condition.anyOf.isEmpty { parts.included.append(Part(sets: try sets(condition.anyOf))) }
        if !condition.noneOf.isEmpty { parts.excluded.append(Part(sets: try sets(condition.noneOf))) }
    }

    /// Names in a message at most.
    private static let namesShownMax = 8

    private func unknown(_ name: String, _ place: Int) -> String {
        let hint = NearestKey.suggestion(for: name, among: columns.keys).map { "did you mean '\($0)'? " } ?? ""
        let names = columns.keys.sorted()
        var known = names.prefix(Self.namesShownMax).joined(separator: ", ")
        if names.count > Self.namesShownMax { known += " and \(names.count - Self.namesShownMax) more" }
        return "filter.conditions[\(place)]: no attribute is named '\(name)'; \(hint)known: \(known)"
    }

    // MARK: Compiling

    /// The rows that satisfy a filter.
    ///
    /// - Throws: `FilterFault` for an attribute that there is not, or a test that does not fit it.
    /// - Complexity: O(items / 64) for each condition, and the items that the values named have, or half of the items
    ///   that have a number. Once few rows are left, conditions are tested on these alone.
    package func rows(of filter: ItemFilter) throws(FilterFault) -> RowBitmap {
        var parts = try parts(of: filter)
        // The smallest first: it may leave so little that the others need no bitmaps.
        parts.included.sort { $0.count < $1.count }
        return RowBitmap(rowCount: itemCount) { words in
            guard let first = parts.included.first else {
                words.update(repeating: .max)
                for part in parts.excluded { for set in part.sets { set.remove(from: words) } }
                return
            }
            first.fill(words)
            let left = first.count
            var narrow: [(part: Part, wanted: Bool)] = []
            var other: UnsafeMutableBufferPointer<UInt64>?
            defer { other?.deallocate() }
            for part in parts.included.dropFirst() {
                if Self.testsRows(part, left, words.count * 2) {
                    narrow.append((part, true))
                } else {
                    let scratch = other ?? .allocate(capacity: words.count)
                    other = scratch
                    scratch.initialize(repeating: 0)
                    part.fill(scratch)
                    for index in words.indices { words[index] &= scratch[index] }
                }
            }
            for part in parts.excluded {
                if Self.testsRows(part, left, 0) {
                    narrow.append((part, false))
                } else {
                    for set in part.sets { set.remove(from: words) }
                }
            }
            if !narrow.isEmpty { Self.keep(narrow, in: words) }
        }
    }

    /// Whether to test at most `left` rows against a part rather than to fill a bitmap with it.
    private static func testsRows(_ part: Part, _ left: Int, _ passes: Int) -> Bool {
        left * part.sets.count * 4 < passes + part.count
    }

    /// Clears the rows that do not do what every part wants.
    private static func keep(_ parts: [(part: Part, wanted: Bool)], in words: UnsafeMutableBufferPointer<UInt64>) {
        for index in words.indices where words[index] != 0 {
            var word = words[index]
            while word != 0 {
                let bit = word.trailingZeroBitCount
                word &= word - 1
                let row = UInt32(index * 64 + bit)
                if parts.contains(where: { $0.part.contains(row) != $0.wanted }) {
                    words[index] &= ~(1 << UInt64(bit))
                }
            }
        }
    }
}

extension AttributeIndex {
    /// Fills a bitmap with a range of an attribute by looking at every item: a rival to measure beside.
    package func scan(_ attribute: String, min: Double, max: Double) -> RowBitmap? {
        guard case .number(let index) = columns[attribute] else { return nil }
        return RowBitmap(rowCount: itemCount) { index.scan(min: min, max: max, into: $0) }
    }
}
