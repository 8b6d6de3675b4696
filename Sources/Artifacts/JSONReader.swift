/// A strict recursive-descent reader of one JSON document. See `JSONText`.
struct JSONReader {
    private let bytes: [UInt8]
    private let allowsNonFinite: Bool
    private var position = 0

    init(bytes: [UInt8], allowsNonFinite: Bool = false) {
        self.bytes = bytes
        self.allowsNonFinite = allowsNonFinite
    }

    mutating func document() throws(JSONText.Fault) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw fault("unexpected text after the end of the JSON value") }
        return value
    }

    private func fault(_ reason: String) -> JSONText.Fault { JSONText.Fault(offset: position, reason: reason) }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard current == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONText.Fault) -> JSONValue {
        guard depth < JSONText.depthMax else { throw fault("JSON nested deeper than \(JSONText.depthMax)") }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "N") where allowsNonFinite: return try word("NaN", .double(.nan))
        case UInt8(ascii: "I") where allowsNonFinite: return try word("Infinity", .double(.infinity))
        case nil: throw fault("the JSON text ends too early")
        default: return try number()
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONText.Fault) -> JSONValue {
        let end = position + text.utf8CodeUnitCount
        guard end <= bytes.count else { throw fault("the JSON text ends too early") }
        for index in 0..<text.utf8CodeUnitCount where bytes[position + index] != text.utf8Start[index] {
            throw fault("not a JSON value")
        }
        position = end
        return value
    }

    private mutating func object(depth: Int) throws(JSONText.Fault) -> JSONValue {
        position += 1
        var members: [String: JSONValue] = [:]
        skipSpace()
        if accept("}") { return .object(members) }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw fault("expected a name in quotes") }
            let name = try string()
            skipSpace()
            guard accept(":") else { throw fault("expected ':' after a name") }
            let member = try value(depth: depth + 1)
            guard members.updateValue(member, forKey: name) == nil else {
                throw fault("the name \"\(name.prefix(80))\" occurs twice")
            }
            skipSpace()
            if accept("}") { return .object(members) }
            guard accept(",") else { throw fault("expected ',' or '}'") }
        }
    }

    private mutating func array(depth: Int) throws(JSONText.Fault) -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if accept("]") { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if accept("]") { return .array(elements) }
            guard accept(",") else { throw fault("expected ',' or ']'") }
        }
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        return position - start
    }

    private mutating func number() throws(JSONText.Fault) -> JSONValue {
        let start = position
        var isWhole = true
        if accept("-"), allowsNonFinite, current == UInt8(ascii: "I") {
            return try word("Infinity", .double(-.infinity))
        }
        if accept("0") {
            // No digit may follow a leading zero.
        } else if digits() == 0 {
            throw fault("not a JSON value")
        }
        if accept(".") {
            isWhole = false
            guard digits() > 0 else { throw fault("a number needs a digit after the point") }
        }
        if accept("e") || accept("E") {
            isWhole = false
            if !accept("+") { _ = accept("-") }
            guard digits() > 0 else { throw fault("a number needs a digit in its exponent") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            throw fault("the number \(text.prefix(40)) is too large")
        }
        return .double(value)
    }

    private mutating func string() throws(JSONText.Fault) -> String {
        position += 1
        var content: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw fault("a text is not valid UTF-8")
                }
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &content)
            case 0..<0x20:
                throw fault("a control character inside a text")
            default:
                content.append(byte)
                position += 1
            }
        }
        throw fault("a text has no closing quote")
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONText.Fault) {
        guard let byte = current else { throw fault("the JSON text ends too early") }
        position += 1
        switch Unicode.Scalar(byte) {
        case "\"", "\\", "/": content.append(byte)
        case "b": content.append(0x08)
        case "f": content.append(0x0C)
        case "n": content.append(0x0A)
        case "r": content.append(0x0D)
        case "t": content.append(0x09)
        case "u":
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                guard accept("\\"), accept("u") else { throw fault("half of a surrogate pair") }
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("half of a surrogate pair") }
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half of a surrogate pair") }
            content.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw fault("an unknown escape in a text")
        }
    }

    private mutating func hexadecimal() throws(JSONText.Fault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw fault("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}
