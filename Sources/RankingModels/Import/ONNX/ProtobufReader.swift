/// Walks through the fields of one message of protocol buffers (protobuf.dev, encoding), which may stand inside another.
///
/// Reads the wire format alone: what a number means, the caller knows. Groups, which no file of today has, are refused.
struct ProtobufReader {
    struct Fault: Error {
        let offset: Int
        let reason: String
    }

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        /// Text, bytes, a message or packed numbers: where they stand in the file.
        case bytes(Range<Int>)
        case fixed32(UInt32)
    }

    let bytes: [UInt8]
    private var position: Int
    private let end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        (position, end) = (0, bytes.count)
    }

    /// - Precondition: The range lies in the bytes.
    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        (position, end) = (range.lowerBound, range.upperBound)
    }

    /// The next field; nil at the end.
    mutating func next() throws(Fault) -> (number: Int, value: Value)? {
        guard position < end else { return nil }
        let key = try varint()
        guard key >> 3 >= 1, key >> 3 < 1 << 29 else { throw fault("a field has no number") }
        let number = Int(key >> 3)
        switch key & 7 {
        case 0: return (number, .varint(try varint()))
        case 1: return (number, .fixed64(try fixed(8)))
        case 2:
            let length = try varint()
            guard length <= UInt64(end - position) else {
                throw fault("a field of \(length) bytes where \(end - position) are left (cut short?)")
            }
            let range = position..<(position + Int(length))
            position = range.upperBound
            return (number, .bytes(range))
        case 5: return (number, .fixed32(UInt32(try fixed(4))))
        default: throw fault("a field of the wire type \(key & 7)")
        }
    }

    private func fault(_ reason: String) -> Fault { Fault(offset: position, reason: reason) }

    private mutating func varint() throws(Fault) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard position < end else { throw fault("a number is cut short") }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw fault("a number of more than ten bytes")
    }

    private mutating func fixed(_ count: Int) throws(Fault) -> UInt64 {
        guard end - position >= count else { throw fault("a number is cut short") }
        defer { position += count }
        return Self.littleEndian(bytes, position, count)
    }

    /// - Precondition: The bytes are there.
    static func littleEndian(_ bytes: [UInt8], _ at: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for place in 0..<count { value |= UInt64(bytes[at + place]) << UInt64(8 * place) }
        return value
    }

    /// Adds the numbers of a repeated field, packed or not.
    func appendVarints(_ value: Value, to list: inout [Int64], max: Int) throws(Fault) {
        switch value {
        case .varint(let number): list.append(Int64(bitPattern: number))
        case .bytes(let range):
            var inner = ProtobufReader(bytes, range)
            while inner.position < inner.end {
                guard list.count < max else { throw fault("a list of more than \(max) numbers") }
                list.append(Int64(bitPattern: try inner.varint()))
            }
        default: throw fault("a list of whole numbers holds something else")
        }
        guard list.count <= max else { throw fault("a list of more than \(max) numbers") }
    }

    /// Adds the floats of a repeated field, packed or not.
    func appendFloats(_ value: Value, to list: inout [Float]) throws(Fault) {
        switch value {
        case .fixed32(let bits): list.append(Float(bitPattern: bits))
        case .bytes(let range):
            guard range.count % 4 == 0 else { throw fault("a list of floats has \(range.count) bytes") }
            list.reserveCapacity(list.count + range.count / 4)
            for at in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
                list.append(Float(bitPattern: UInt32(Self.littleEndian(bytes, at, 4))))
            }
        default: throw fault("a list of floats holds something else")
        }
    }

    /// Adds the doubles of a repeated field, packed or not.
    func appendDoubles(_ value: Value, to list: inout [Double]) throws(Fault) {
        switch value {
        case .fixed64(let bits): list.append(Double(bitPattern: bits))
        case .bytes(let range):
            guard range.count % 8 == 0 else { throw fault("a list of doubles has \(range.count) bytes") }
            for at in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
                list.append(Double(bitPattern: Self.littleEndian(bytes, at, 8)))
            }
        default: throw fault("a list of doubles holds something else")
        }
    }

    func text(_ value: Value) throws(Fault) -> String {
        guard case .bytes(let range) = value, range.count <= ImportLimits.nameBytesMax,
            let text = String(validating: bytes[range], as: UTF8.self)
        else { throw fault("a text is no UTF-8 of at most \(ImportLimits.nameBytesMax) bytes") }
        return text
    }

    func message(_ value: Value) throws(Fault) -> ProtobufReader {
        guard case .bytes(let range) = value else { throw fault("a message was expected") }
        return ProtobufReader(bytes, range)
    }

    func integer(_ value: Value) throws(Fault) -> Int64 {
        guard case .varint(let number) = value else { throw fault("a whole number was expected") }
        return Int64(bitPattern: number)
    }
}
