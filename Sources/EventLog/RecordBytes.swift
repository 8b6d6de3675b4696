/// Numbers and texts of payloads: varints are LEB128, as in protobuf; a text is its bytes' number as a varint, then the bytes.
extension [UInt8] {
    mutating func append(varint value: UInt64) {
        var value = value
        while value >= 0x80 {
            append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        append(UInt8(value))
    }

    mutating func append(text: String) {
        append(varint: UInt64(text.utf8.count))
        append(contentsOf: text.utf8)
    }

    /// Little-endian.
    mutating func append(bits: UInt32) {
        for shift in [UInt32(0), 8, 16, 24] { append(UInt8(truncatingIfNeeded: bits >> shift)) }
    }

    mutating func append(bits: UInt64) {
        append(bits: UInt32(truncatingIfNeeded: bits))
        append(bits: UInt32(truncatingIfNeeded: bits >> 32))
    }
}

/// Reads what those wrote, out of bytes that may be anything.
struct RecordReader {
    var rest: ArraySlice<UInt8>
    /// Names the record in messages.
    let what: String

    var fault: LogError { LogError(.malformed, path: what, "the bytes are no record of \(what)") }

    mutating func byte() throws(LogError) -> UInt8 {
        guard let byte = rest.popFirst() else { throw fault }
        return byte
    }

    mutating func number() throws(LogError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw fault
    }

    /// A number of things that each take at least `bytes` bytes.
    mutating func count(each bytes: Int) throws(LogError) -> Int {
        let count = try number()
        guard count <= UInt64(rest.count / bytes) else { throw fault }
        return Int(count)
    }

    mutating func bits32() throws(LogError) -> UInt32 {
        var bits: UInt32 = 0
        for shift in [UInt32(0), 8, 16, 24] { bits |= UInt32(try byte()) << shift }
        return bits
    }

    mutating func bits64() throws(LogError) -> UInt64 {
        let low = try bits32()
        return UInt64(low) | UInt64(try bits32()) << 32
    }

    mutating func text() throws(LogError) -> String {
        let count = try number()
        guard count <= UInt64(rest.count) else { throw fault }
        defer { rest = rest.dropFirst(Int(count)) }
        return String(decoding: rest.prefix(Int(count)), as: UTF8.self)
    }
}
