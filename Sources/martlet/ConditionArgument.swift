import ArgumentParser
import MartletClient
import Vocabulary

/// A condition on an attribute as people write it: `brand=acme|zenith`, `brand!=x`, `price<=20`.
struct ConditionArgument: Equatable {
    let condition: AttributeCondition

    static let forms =
        "NAME=VALUE[|VALUE...], NAME!=VALUE[|VALUE...], NAME<=NUMBER, NAME>=NUMBER, NAME<NUMBER, NAME>NUMBER"

    private enum Operator: String, CaseIterable {
        // Longer ones first: `<=` begins with `<`.
        case notEqual = "!="
        case atMost = "<="
        case atLeast = ">="
        case equal = "="
        case below = "<"
        case above = ">"
    }

    /// - Throws: `ValidationError` that names the text and what is wrong with it.
    init(_ text: String, flag: String = "--where") throws {
        guard let (name, operation, rest) = Self.parts(text) else {
            throw ValidationError("\(flag) '\(text)' is no condition; write \(Self.forms)")
        }
        func fault(_ what: String) -> ValidationError { ValidationError("\(flag) '\(text)': \(what)") }
        if name.isEmpty { throw fault("no attribute is named; write \(Self.forms)") }
        try ArgumentCheck.id(name, "\(flag) '\(text)'")
        var condition = AttributeCondition(name)
        if rest.first == "=" { throw fault("one = is enough; write \(Self.forms)") }
        switch operation {
        case .equal, .notEqual:
            let values = rest.split(separator: "|", omittingEmptySubsequences: false).map { Self.trimmed($0) }
            if values.contains("") { throw fault("a value is empty; write \(Self.forms)") }
            if values.count > RequestLimits.conditionValuesMax {
                throw fault("\(values.count) values; at most \(RequestLimits.conditionValuesMax) are allowed")
            }
            for value in values { try ArgumentCheck.id(value, "\(flag) '\(name)'") }
            if operation == .equal { condition.anyOf = values } else { condition.noneOf = values }
        case .atMost, .atLeast, .below, .above:
            guard let number = Double(rest), number.isFinite else { throw fault("'\(rest)' is no number") }
            switch operation {
            case .atMost: condition.max = number
            case .atLeast: condition.min = number
            case .below: condition.max = number.nextDown
            default: condition.min = number.nextUp
            }
        }
        self.condition = condition
    }

    /// What stands before, at and behind the first operator.
    private static func parts(_ text: String) -> (name: String, operation: Operator, rest: String)? {
        for place in text.indices {
            guard let operation = Operator.allCases.first(where: { text[place...].hasPrefix($0.rawValue) }) else {
                continue
            }
            return (trimmed(text[..<place]), operation, trimmed(text[place...].dropFirst(operation.rawValue.count)))
        }
        return nil
    }

    private static func trimmed(_ part: Substring) -> String {
        var part = part
        while part.first == " " { part.removeFirst() }
        while part.last == " " { part.removeLast() }
        return String(part)
    }
}
