// Protobuf's wire format, written by hand: the encoder of every message this side sends. Decoding is protobuf-c's.
//
// A message states its fields once, in `write(to:)`; the same statement first counts the bytes and then writes them
// into memory of exactly that size. The tests decode what it writes with protobuf-c and compare both ways.

/// Where a message's fields go: counted or written.
package protocol ProtoSink {
    mutating func varint(_ value: UInt64)
    mutating func fixed32(_ value: UInt32)
    mutating func fixed64(_ value: UInt64)
    mutating func raw(_ bytes: UnsafeRawBufferPointer)
}

/// Counts what would be written.
struct ProtoCounter: ProtoSink {
    private(set) var byteCount = 0

    @inline(__always)
    static func varintBytes(_ value: UInt64) -> Int {
        // One byte per started group of seven bits.
        (70 - (value | 1).leadingZeroBitCount) / 7
    }

    @inline(__always) mutating func varint(_ value: UInt64) { byteCount += ProtoCounter.varintBytes(value) }
    @inline(__always) mutating func fixed32(_ value: UInt32) { byteCount += 4 }
    @inline(__always) mutating func fixed64(_ value: UInt64) { byteCount += 8 }
    @inline(__always) mutating func raw(_ bytes: UnsafeRawBufferPointer) { byteCount += bytes.count }
}

/// Writes into memory whose size was counted before.
///
/// Bounds are checked per write: a message that changed between counting and writing traps instead of overrunning.
struct ProtoWriter: ProtoSink {
    private(set) var cursor: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    init(_ memory: UnsafeMutableRawPointer, byteCount: Int) {
        cursor = memory
        end = memory + byteCount
    }

    @inline(__always)
    mutating func varint(_ value: UInt64) {
        var value = value
        precondition(end - cursor >= ProtoCounter.varintBytes(value), "the message outgrew its counted size")
        while value >= 0x80 {
            cursor.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, as: UInt8.self)
            cursor += 1
            value >>= 7
        }
        cursor.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        cursor += 1
    }

    @inline(__always)
    mutating func fixed32(_ value: UInt32) {
        precondition(end - cursor >= 4, "the message outgrew its counted size")
        cursor.storeBytes(of: value.littleEndian, as: UInt32.self)
        cursor += 4
    }

    @inline(__always)
    mutating func fixed64(_ value: UInt64) {
        precondition(end - cursor >= 8, "the message outgrew its counted size")
        cursor.storeBytes(of: value.littleEndian, as: UInt64.self)
        cursor += 8
    }

    @inline(__always)
    mutating func raw(_ bytes: UnsafeRawBufferPointer) {
        precondition(end - cursor >= bytes.count, "the message outgrew its counted size")
        guard let base = bytes.baseAddress else { return }
        cursor.copyMemory(from: base, byteCount: bytes.count)
        cursor += bytes.count
    }

    /// Whether exactly the counted bytes were written.
    var isFull: Bool { cursor == end }
}

/// Fields. Proto3: a scalar that has its default value is left out; an element of a list never is.
extension ProtoSink {
    @inline(__always)
    mutating func tag(_ field: Int, _ wireType: UInt64) { varint(UInt64(field) << 3 | wireType) }

    @inline(__always)
    mutating func field(_ number: Int, _ value: UInt64) {
        guard value != 0 else { return }
        tag(number, 0)
        varint(value)
    }

    @inline(__always)
    mutating func field(_ number: Int, _ value: UInt32) { field(number, UInt64(value)) }

    @inline(__always)
    mutating func field(_ number: Int, _ value: Bool) { field(number, value ? 1 as UInt64 : 0) }

    /// Left out when its bits are all zero; -0.0 is written, as protobuf does.
    @inline(__always)
    mutating func field(_ number: Int, _ value: Float) {
        guard value.bitPattern != 0 else { return }
        tag(number, 5)
        fixed32(value.bitPattern)
    }

    /// A number that may be missing: left out only then.
    @inline(__always)
    mutating func field(_ number: Int, _ value: Double?) {
        guard let value else { return }
        tag(number, 1)
        fixed64(value.bitPattern)
    }

    @inline(__always)
    mutating func element(_ number: Int, _ bytes: UnsafeRawBufferPointer) {
        tag(number, 2)
        varint(UInt64(bytes.count))
        raw(bytes)
    }

    @inline(__always)
    mutating func field(_ number: Int, _ bytes: UnsafeRawBufferPointer) {
        if bytes.count > 0 { element(number, bytes) }
    }

    mutating func element(_ number: Int, _ text: String) {
        var text = text
        text.withUTF8 { element(number, UnsafeRawBufferPointer($0)) }
    }

    mutating func field(_ number: Int, _ text: String) {
        if !text.isEmpty { element(number, text) }
    }

    mutating func field(_ number: Int, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { field(number, $0) }
    }

    mutating func field(_ number: Int, _ texts: [String]) {
        for text in texts { element(number, text) }
    }

    @inline(__always)
    mutating func packed(_ number: Int, _ values: UnsafeBufferPointer<Float>) {
        guard values.count > 0 else { return }
        tag(number, 2)
        varint(UInt64(values.count * 4))
        #if _endian(little)
            raw(UnsafeRawBufferPointer(values))
        #else
            for value in values { fixed32(value.bitPattern) }
        #endif
    }

    @inline(__always)
    mutating func packed(_ number: Int, _ values: UnsafeBufferPointer<UInt32>) {
        guard values.count > 0 else { return }
        var bytes = 0
        for value in values { bytes += ProtoCounter.varintBytes(UInt64(value)) }
        tag(number, 2)
        varint(UInt64(bytes))
        for value in values { varint(UInt64(value)) }
    }

    mutating func message<M: ProtoEncodable>(_ number: Int, _ message: M) {
        tag(number, 2)
        varint(UInt64(message.encodedByteCount))
        message.write(to: &self)
    }
}

/// A message that can state its fields.
package protocol ProtoEncodable {
    func write<Sink: ProtoSink>(to sink: inout Sink)
}

extension ProtoEncodable {
    package var encodedByteCount: Int {
        var counter = ProtoCounter()
        write(to: &counter)
        return counter.byteCount
    }

    /// Writes the message at `memory`, which has room for `byteCount == encodedByteCount` bytes.
    package func encode(into memory: UnsafeMutableRawPointer, byteCount: Int) {
        var writer = ProtoWriter(memory, byteCount: byteCount)
        write(to: &writer)
        precondition(writer.isFull, "the message shrank below its counted size")
    }
}
