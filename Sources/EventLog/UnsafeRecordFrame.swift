import Vocabulary

/// The bytes around a record. All numbers are little-endian.
///
/// ```
///  0  u64  XXH64, seed 0, of everything behind it
///  8  u32  bytes of the payload
/// 12  u8   'M'   13  u8 'R'   14  u8 1, the version   15  u8 kind
/// 16  u64  sequence number
/// 24       payload
/// ```
package enum RecordFrame {
    package static let headerBytes = 24
    /// Payloads of more bytes are not written, and not believed when read.
    package static let payloadBytesMax = 16 << 20
    private static let mark: [UInt8] = [0x4D, 0x52, 1]

    /// A record in the bytes of a segment.
    struct Found {
        var sequence: UInt64
        var kind: UInt8
        var payload: Range<Int>
        var end: Int { payload.upperBound }
    }

    /// Puts a record behind `bytes`.
    static func append(_ payload: [UInt8], kind: UInt8, sequence: UInt64, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.reserveCapacity(start + headerBytes + payload.count)
        append(0 as UInt64, to: &bytes)
        append(UInt32(payload.count), to: &bytes)
        bytes += mark
        bytes.append(kind)
        append(sequence, to: &bytes)
        bytes += payload
        bytes.withUnsafeMutableBytes { all in
            let covered = UnsafeRawBufferPointer(rebasing: all[(start + 8)...])
            all.storeBytes(of: XXH64.hash(covered).littleEndian, toByteOffset: start, as: UInt64.self)
        }
    }

    static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// The whole, unharmed record that begins at `place`; nil where there is none.
    static func record(at place: Int, in bytes: [UInt8]) -> Found? {
        bytes.withUnsafeBytes { record(at: place, in: $0) }
    }

    /// The first whole, unharmed record that begins at `place` or behind it.
    ///
    /// - Complexity: O(bytes behind `place`), unless they are made to look like many long records.
    static func firstRecord(from place: Int, in bytes: [UInt8]) -> (place: Int, record: Found)? {
        bytes.withUnsafeBytes { bytes in
            var place = place
            while place + headerBytes <= bytes.count {
                if bytes[place + 12] == mark[0], let found = record(at: place, in: bytes) { return (place, found) }
                place += 1
            }
            return nil
        }
    }

    private static func record(at place: Int, in bytes: UnsafeRawBufferPointer) -> Found? {
        guard place + headerBytes <= bytes.count, bytes[place + 12] == mark[0], bytes[place + 13] == mark[1],
            bytes[place + 14] == mark[2]
        else { return nil }
        let count = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 8, as: UInt32.self)))
        let payload = place + headerBytes
        guard count <= payloadBytesMax, payload + count <= bytes.count else { return nil }
        let covered = UnsafeRawBufferPointer(rebasing: bytes[(place + 8)..<(payload + count)])
        let stored = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        guard XXH64.hash(covered) == stored else { return nil }
        return Found(
            sequence: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 16, as: UInt64.self)),
            kind: bytes[place + 15], payload: payload..<(payload + count))
    }

    static func number(at place: Int, in bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
    }

    static func hash(of bytes: ArraySlice<UInt8>) -> UInt64 { bytes.withUnsafeBytes { XXH64.hash($0) } }
}
