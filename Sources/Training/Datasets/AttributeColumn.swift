import Catalog
import Vocabulary

/// One column of a file of items, on its way to an attribute: each different field is kept once.
package struct AttributeColumn: Sendable {
    /// Bytes of one value.
    package static let valueBytesMax = Identity.bytesMax
    /// Different fields of a column of texts; with more it is not something to filter by.
    package static let distinctMax = 1 << 20

    package let name: String
    /// Why the column is no attribute; nil while it is.
    package private(set) var fault: String?
    /// The first field that is no number, and its line.
    private(set) var firstText: (field: String, line: Int)?
    private var places: [String: UInt32] = [:]
    private var texts: [[String]] = []
    private var numbers: [Double] = []
    private var numberCount = 0
    /// Fields that are no numbers, and whether all of them are what files write where there is no number.
    private var textFields = 0
    private var areTextsMissingNumbers = true
    /// What stands in files where a number is missing.
    private static let missingNumbers: Set = ["nan", "null", "none", "na", "n/a", "nil", "-", "?", "inf", "-inf"]

    init(name: String) { self.name = name }

    /// What the values are, once all lines are read: numbers if every field that is not empty is one.
    package var isNumber: Bool { firstText == nil }
    /// Different fields that are not empty.
    package var distinctCount: Int { texts.count }

    /// Why a column that looks like numbers is one of texts; nil otherwise.
    package var remark: String? {
        guard let firstText, fault == nil, numberCount > 0 else { return nil }
        guard areTextsMissingNumbers || numberCount * 2 > texts.count else { return nil }
        return "\(name) is text, not number, because line \(firstText.line) says '\(firstText.field)'"
            + (textFields == 1 ? "" : " (\(textFields) such lines)")
            + (areTextsMissingNumbers ? "; leave the field empty where there is no number" : "")
    }

    /// The place of a field, from 1; 0 is an empty one.
    ///
    /// - Throws: `LineFault` for more values than an item may have.
    mutating func place(of field: String, number: Double?, line: Int) throws(LineFault) -> UInt32 {
        if fault != nil || field.isEmpty { return 0 }
        if let known = places[field] {
            if numbers[Int(known) - 1].isNaN { textFields += 1 }
            return known
        }
        let values = field.split(separator: "|").map { $0.trimmingSpaces() }.filter { !$0.isEmpty }
        if values.isEmpty { return 0 }
        if number == nil {
            if values.count > ItemAttribute.valuesPerItemMax {
                throw LineFault(
                    expected: "at most \(ItemAttribute.valuesPerItemMax) values separated by '|' in column '\(name)'",
                    found: "\(values.count)")
            }
            if let long = values.first(where: { $0.utf8.count > Self.valueBytesMax }) {
                leaveOut(
                    "line \(line) has a value of \(long.utf8.count) bytes, at most \(Self.valueBytesMax) are allowed")
                return 0
            }
            if firstText == nil { firstText = (String(field.prefix(40)), line) }
            textFields += 1
            if !Self.missingNumbers.contains(field.lowercased()) { areTextsMissingNumbers = false }
        } else {
            numberCount += 1
        }
        texts.append(values)
        numbers.append(number ?? .nan)
        if firstText != nil, texts.count > Self.distinctMax {
            leaveOut("it has more than \(Self.distinctMax) different texts")
            return 0
        }
        let place = UInt32(texts.count)
        places[field] = place
        return place
    }

    /// Called once all lines are read.
    mutating func finish() {
        places = [:]
        if fault == nil, texts.isEmpty { leaveOut("it is empty") }
    }

    private mutating func leaveOut(_ fault: String) {
        self.fault = fault
        places = [:]
        texts = []
        numbers = []
    }

    /// The values at a place, as texts.
    package func texts(_ place: UInt32) -> [String] { place == 0 || fault != nil ? [] : texts[Int(place) - 1] }
    /// The number at a place.
    package func number(_ place: UInt32) -> Double? { place == 0 || fault != nil ? nil : numbers[Int(place) - 1] }
}

extension Substring {
    func trimmingSpaces() -> String {
        var part = self
        while part.first == " " { part.removeFirst() }
        while part.last == " " { part.removeLast() }
        return String(part)
    }
}
