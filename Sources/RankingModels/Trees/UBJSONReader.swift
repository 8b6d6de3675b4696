import Artifacts

/// Reads one UBJSON document (draft 12, ubjson.org), as XGBoost writes it: typed arrays, counted containers.
///
/// Every count is held against the bytes that are left before anything is made room for, so memory stays in proportion
/// to the file. Big-endian numbers.
struct UBJSONReader {
    private let bytes: [UInt8]
    private var position = 0

    struct Fault: Error {
        let offset: Int
        let reason: String
    }

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(Fault) -> ModelValue {
        let value = try value(of: try marker(), depth: 0)
        while position < bytes.count, bytes[position] == UInt8(ascii: "N") { position += 1 }
        guard position == bytes.count else { throw fault("unexpected bytes after the end of the document") }
        return value
    }

    private func fault(_ reason: String) -> Fault { Fault(offset: position, reason: reason) }

    private var left: Int { bytes.count - position }

    private mutating func byte() throws(Fault) -> UInt8 {
        guard left > 0 else { throw fault("the document ends too early") }
        defer { position += 1 }
        return bytes[position]
    }

    /// The next byte that is no no-op.
    private mutating func marker() throws(Fault) -> UInt8 {
        while true {
            let byte = try byte()
            if byte != UInt8(ascii: "N") { return byte }
        }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard left > 0, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func integer(bytes count: Int) throws(Fault) -> UInt64 {
        guard left >= count else { throw fault("the document ends too early") }
        var value: UInt64 = 0
        for _ in 0..<count {
            value = value << 8 | UInt64(bytes[position])
            position += 1
        }
        return value
    }

    /// Bytes of a number of that type; nil for other types.
    private static func width(_ type: UInt8) -> Int? {
        switch Unicode.Scalar(type) {
        case "i", "U": 1
        case "I": 2
        case "l", "d": 4
        case "L", "D": 8
        default: nil
        }
    }

    private mutating func number(_ type: UInt8) throws(Fault) -> Double? {
        switch Unicode.Scalar(type) {
        case "i": Double(Int8(truncatingIfNeeded: try integer(bytes: 1)))
        case "U": Double(try integer(bytes: 1))
        case "I": Double(Int16(truncatingIfNeeded: try integer(bytes: 2)))
        case "l": Double(Int32(truncatingIfNeeded: try integer(bytes: 4)))
        case "L": Double(Int64(bitPattern: try integer(bytes: 8)))
        case "d": Double(Float(bitPattern: UInt32(truncatingIfNeeded: try integer(bytes: 4))))
        case "D": Double(bitPattern: try integer(bytes: 8))
        default: nil
        }
    }

    /// A length: a whole number that is not negative.
    private mutating func count() throws(Fault) -> Int {
        let type = try marker()
        guard "iUIlL".utf8.contains(type), let number = try number(type), number >= 0 else {
            throw fault("a length is not a whole number of 0 or more")
        }
        guard let count = Int(exactly: number), count <= left else {
            throw fault("a length of \(number) goes beyond the end")
        }
        return count
    }

    private mutating func text() throws(Fault) -> String {
        let count = try count()
        guard let text = String(validating: bytes[position..<position + count], as: UTF8.self) else {
            throw fault("a text is not valid UTF-8")
        }
        position += count
        return text
    }

    private mutating func value(of type: UInt8, depth: Int) throws(Fault) -> ModelValue {
        guard depth < TreeLimits.depthMax else { throw fault("nested deeper than \(TreeLimits.depthMax)") }
        if let number = try number(type) { return .number(number) }
        switch Unicode.Scalar(type) {
        case "Z": return .null
        case "T": return .bool(true)
        case "F": return .bool(false)
        case "S": return .string(try text())
        case "C": return .string(String(Unicode.Scalar(try byte() & 0x7F)))
        case "[": return try array(depth: depth)
        case "{": return try object(depth: depth)
        default: throw fault("'\(Unicode.Scalar(type).escaped(asASCII: true))' is no type that is read here")
        }
    }

    /// `$type #count`, each if it is there.
    private mutating func header() throws(Fault) -> (type: UInt8?, count: Int?) {
        let type: UInt8? = accept("$") ? try byte() : nil
        guard accept("#") else {
            guard type == nil else { throw fault("a type without a count") }
            return (nil, nil)
        }
        let count = try count()
        if let type {
            // Values of no bytes would let a few bytes ask for any amount of memory.
            guard Self.width(type) != nil || "SC[{".utf8.contains(type) else {
                throw fault("a container of '\(Unicode.Scalar(type).escaped(asASCII: true))' is not read here")
            }
            guard count <= left / (Self.width(type) ?? 1) else { throw fault("\(count) elements go beyond the end") }
        }
        return (type, count)
    }

    /// The type that the container declares for all, or the element's own.
    private mutating func known(_ type: UInt8?) throws(Fault) -> UInt8 {
        if let type { return type }
        return try marker()
    }

    private mutating func array(depth: Int) throws(Fault) -> ModelValue {
        let (type, count) = try header()
        var list = ModelValue.List()
        if let count {
            for _ in 0..<count { list.append(try value(of: try known(type), depth: depth + 1)) }
            return list.value
        }
        while true {
            let type = try marker()
            if type == UInt8(ascii: "]") { return list.value }
            list.append(try value(of: type, depth: depth + 1))
        }
    }

    private mutating func object(depth: Int) throws(Fault) -> ModelValue {
        let (type, count) = try header()
        var members: [String: ModelValue] = [:]
        var read = 0
        while count.map({ read < $0 }) ?? true {
            while accept("N") {}
            if count == nil, accept("}") { break }
            let name = try text()
            let member = try value(of: try known(type), depth: depth + 1)
            guard members.updateValue(member, forKey: name) == nil else {
                throw fault("the name \"\(name.prefix(80))\" occurs twice")
            }
            read += 1
        }
        return .object(members)
    }
}
