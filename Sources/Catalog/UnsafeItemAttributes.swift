import Artifacts
import Vocabulary

/// A named attribute of items.
package struct ItemAttribute: Sendable {
    /// What the values are.
    package enum Content: Sendable {
        case text(TextAttribute)
        case number(NumberAttribute)
    }

    package let name: String
    package let content: Content

    /// Attributes that a bundle may hold.
    package static let countMax = 64
    /// Values that one item may have of one text attribute.
    package static let valuesPerItemMax = 64

    var byteCount: Int {
        switch content {
        case .text(let text): text.byteCount
        case .number(let number): number.values.count * 8
        }
    }
}

/// Texts of items: the different values, and which of them each item has.
///
/// `Sendable`: nothing changes after `init`.
package struct TextAttribute: Sendable {
    let names: IDDictionary
    /// The values of row `i` are `assigned[offsets[i]..<offsets[i + 1]]`, ascending.
    let offsets: Column<UInt32>
    let assigned: Column<UInt32>

    /// Adopts columns, checking them against each other.
    ///
    /// - Parameters:
    ///   - what: Names the columns in messages: `offsets`, `assigned` and what a value is called.
    ///   - valuesMax: Values that an item may have.
    init(
        names: IDDictionary, offsets: Column<UInt32>, assigned: Column<UInt32>, itemCount: Int, valuesMax: Int,
        what: (offsets: String, assigned: String, value: String), path: String
    ) throws(ArtifactError) {
        func invalid(_ fault: String) -> ArtifactError { ArtifactError(.invalidContent, path: path, fault) }
        guard offsets.count == itemCount + 1,
            RangeChecks.areOffsets(offsets.values, end: assigned.count, steps: 0...UInt32.max)
        else {
            throw invalid(
                "\(what.offsets) is damaged: \(itemCount + 1) ascending numbers from 0 to \(assigned.count) are needed")
        }
        guard RangeChecks.areBelow(names.count, assigned.values) else {
            throw invalid(
                "\(what.assigned) names one past the \(names.count) that the bundle has")
        }
        for row in 0..<itemCount {
            let values = assigned.values[Int(offsets[row])..<Int(offsets[row + 1])]
            guard zip(values, values.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw invalid("the \(what.value)s of item row \(row) are not ascending; each stands once, in order")
            }
            guard values.count <= valuesMax else {
                throw invalid("item row \(row) has \(values.count) \(what.value)s; at most \(valuesMax) are allowed")
            }
        }
        self.names = names
        self.offsets = offsets
        self.assigned = assigned
    }

    /// Makes one in memory: values are numbered in byte order, so that equal input gives equal columns.
    init(
        _ values: [[String]], valuesMax: Int, what: (offsets: String, assigned: String, value: String), path: String
    ) throws(ArtifactError) {
        let distinct = Set(values.joined()).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let names = try IDDictionary(distinct, what: what.value)
        var offsets: [UInt32] = [0]
        var assigned: [UInt32] = []
        for values in values {
            assigned.append(contentsOf: Set(values.compactMap { names.row(of: $0) }).sorted())
            offsets.append(UInt32(assigned.count))
        }
        try self.init(
            names: names, offsets: Column(offsets), assigned: Column(assigned), itemCount: values.count,
            valuesMax: valuesMax, what: what, path: path)
    }

    /// Different values.
    package var valueCount: Int { names.count }
    /// Values of all items together.
    package var assignmentCount: Int { assigned.count }
    /// Items.
    package var rowCount: Int { offsets.count - 1 }
    /// The number of a value; nil when no item has it.
    package func number(of value: String) -> UInt32? { names.row(of: value) }
    /// The value of a number. - Precondition: `number < valueCount`.
    package func value(_ number: UInt32) -> String { names.string(number) }

    /// Numbers of an item's values, ascending; valid while the catalogue lives. - Precondition: `row < rowCount`.
    package func numbers(_ row: UInt32) -> UnsafeBufferPointer<UInt32> {
        UnsafeBufferPointer(rebasing: assigned.values[Int(offsets[Int(row)])..<Int(offsets[Int(row) + 1])])
    }

    var byteCount: Int { names.byteCount + offsets.count * 4 + assigned.count * 4 }
}

/// A number of each item; NaN where an item has none.
///
/// `Sendable`: nothing changes after `init`.
package struct NumberAttribute: Sendable {
    let column: Column<Double>

    init(_ column: Column<Double>, name: String, itemCount: Int, path: String) throws(ArtifactError) {
        guard column.count == itemCount else {
            throw ArtifactError(
                .invalidContent, path: path, "\(name) has \(column.count) entries for \(itemCount) items")
        }
        guard column.values.allSatisfy({ $0.isFinite || $0.isNaN }) else {
            throw ArtifactError(
                .invalidContent, path: path, "\(name) holds an infinite number; NaN stands where an item has none")
        }
        self.column = column
    }

    /// One for each item row; valid while the catalogue lives.
    package var values: UnsafeBufferPointer<Double> { column.values }
    /// The number of an item, or nil. - Precondition: `row` is one of the catalogue's.
    package func value(_ row: UInt32) -> Double? {
        let value = column[Int(row)]
        return value.isNaN ? nil : value
    }
}

/// When an item may be shown: from one moment on, until another; Unix seconds.
package struct AvailabilityWindow: Sendable, Equatable {
    /// The first second; nil: since ever.
    package var from: Int64?
    /// The first second that is too late; nil: for ever.
    package var until: Int64?

    package init(from: Int64? = nil, until: Int64? = nil) {
        self.from = from
        self.until = until
    }

    /// What stands in a column for an open end.
    static let openFrom = Int64.min
    static let openUntil = Int64.max
}

/// The windows of all items.
///
/// `Sendable`: nothing changes after `init`.
package struct AvailabilityColumns: Sendable {
    let fromColumn: Column<Int64>
    let untilColumn: Column<Int64>

    init(from: Column<Int64>, until: Column<Int64>, itemCount: Int, path: String) throws(ArtifactError) {
        for (name, count) in [("available.from", from.count), ("available.until", until.count)]
        where count != itemCount {
            throw ArtifactError(.invalidContent, path: path, "\(name) has \(count) entries for \(itemCount) items")
        }
        for row in 0..<itemCount where from[row] >= until[row] {
            throw ArtifactError(
                .invalidContent, path: path,
                "item row \(row) is available from \(from[row]) until \(until[row]); it must end after it begins")
        }
        fromColumn = from
        untilColumn = until
    }

    /// For each item row the first second in which it may be shown; the least number: since ever.
    package var from: UnsafeBufferPointer<Int64> { fromColumn.values }
    /// For each item row the first second in which it may not be shown any more; the largest number: never.
    package var until: UnsafeBufferPointer<Int64> { untilColumn.values }

    /// The window of an item. - Precondition: `row` is one of the catalogue's.
    package func window(_ row: UInt32) -> AvailabilityWindow {
        let (from, until) = (fromColumn[Int(row)], untilColumn[Int(row)])
        return AvailabilityWindow(
            from: from == AvailabilityWindow.openFrom ? nil : from,
            until: until == AvailabilityWindow.openUntil ? nil : until)
    }

    /// Items with a window that is not open on both sides.
    package var windowCount: Int {
        zip(from, until).reduce(0) {
            $0 + ($1.0 != AvailabilityWindow.openFrom || $1.1 != AvailabilityWindow.openUntil ? 1 : 0)
        }
    }

    var byteCount: Int { (fromColumn.count + untilColumn.count) * 8 }
}
