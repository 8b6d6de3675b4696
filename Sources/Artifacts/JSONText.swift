/// Reading and writing JSON text (RFC 8259), strict, for files from outside.
///
/// Unlike general readers it refuses a name that occurs twice in one object and nesting deeper than `depthMax`, so two
/// readers cannot see two different manifests and no input exhausts the stack.
package enum JSONText {
    package static let depthMax = 64

    /// What is wrong with a text, and at which byte.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let offset: Int
        package let reason: String
        package var description: String { "\(reason) (at byte \(offset))" }
    }

    /// - Parameter allowsNonFinite: Whether `NaN`, `Infinity` and `-Infinity` are numbers, as some libraries write them.
    package static func parse(_ bytes: [UInt8], allowsNonFinite: Bool = false) throws(Fault) -> JSONValue {
        var reader = JSONReader(bytes: bytes, allowsNonFinite: allowsNonFinite)
        return try reader.document()
    }

    /// Prints `value` with sorted keys: equal values print equally.
    package static func print(_ value: JSONValue, indented: Bool) -> String {
        var text = ""
        append(value, to: &text, depth: indented ? 0 : nil)
        return text
    }

    private static func newLine(_ depth: Int?, _ text: inout String) {
        guard let depth else { return }
        text += "\n"
        text += String(repeating: "  ", count: depth)
    }

    /// `depth` nil: on one line.
    private static func append(_ value: JSONValue, to text: inout String, depth: Int?) {
        switch value {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .int(let number): text += String(number)
        case .double(let number):
            precondition(number.isFinite, "JSON has no \(number)")
            text += "\(number)"
        case .string(let string): appendQuoted(string, to: &text)
        case .array(let elements):
            // Lists of plain numbers and words stay on one line.
            let inner = elements.contains(where: \.isContainer) ? depth.map { $0 + 1 } : nil
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += inner == nil && depth != nil ? ", " : "," }
                newLine(inner, &text)
                append(element, to: &text, depth: inner)
            }
            if inner != nil { newLine(depth, &text) }
            text += "]"
        case .object(let members):
            let inner = depth.map { $0 + 1 }
            text += "{"
            for (index, key) in members.keys.sorted().enumerated() {
                if index > 0 { text += "," }
                newLine(inner, &text)
                appendQuoted(key, to: &text)
                text += depth == nil ? ":" : ": "
                append(members[key] ?? .null, to: &text, depth: inner)
            }
            if !members.isEmpty { newLine(depth, &text) }
            text += "}"
        }
    }

    package static func appendQuoted(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONValue {
    fileprivate var isContainer: Bool {
        switch self {
        case .array(let elements): !elements.isEmpty
        case .object(let members): !members.isEmpty
        default: false
        }
    }
}
