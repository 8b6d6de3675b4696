import Artifacts
import Foundation
import Vocabulary

/// The requests of the most active users, as a file: what a node asks itself again after a restart.
///
/// ```
///  0  8 bytes  "MARTLETK"
///  8  u32      version, 1
/// 12  u32      keys
/// 16           of each: u16 bytes, the request as it came
///     u64      XXH64 of all before
/// ```
/// All little-endian. A file that is anything else is not read at all: its keys are only worth some time.
enum WarmKeysFile {
    /// Longer requests are not remembered.
    static let keyBytesMax = 4096
    static let bytesMax = 64 << 20
    private static let mark = Array("MARTLETK".utf8)
    private static let version: UInt32 = 1

    static func encode(_ keys: [[UInt8]]) -> [UInt8] {
        var bytes = mark
        var count: UInt32 = 0
        put(version, 4, into: &bytes)
        put(0, 4, into: &bytes)
        for key in keys where key.count <= keyBytesMax && bytes.count + key.count + 10 <= bytesMax {
            put(UInt32(key.count), 2, into: &bytes)
            bytes += key
            count += 1
        }
        for place in 0..<4 { bytes[12 + place] = UInt8(truncatingIfNeeded: count >> UInt32(8 * place)) }
        let checksum = bytes.withUnsafeBytes { XXH64.hash($0) }
        put(UInt32(truncatingIfNeeded: checksum), 4, into: &bytes)
        put(UInt32(truncatingIfNeeded: checksum >> 32), 4, into: &bytes)
        return bytes
    }

    /// - Throws: `WarmKeysFault` that says what is wrong.
    static func decode(_ bytes: [UInt8]) throws(WarmKeysFault) -> [[UInt8]] {
        guard bytes.count >= 24, bytes.starts(with: mark) else {
            throw WarmKeysFault("these are not the keys of a result cache")
        }
        guard number(4, at: 8, bytes) == Int(version) else { throw WarmKeysFault("the version is not \(version)") }
        let end = bytes.count - 8
        let checksum = bytes.withUnsafeBytes { XXH64.hash(UnsafeRawBufferPointer(rebasing: $0[..<end])) }
        guard number(8, at: end, bytes) == Int(truncatingIfNeeded: checksum) else {
            throw WarmKeysFault("the checksum does not fit the \(bytes.count) bytes")
        }
        var keys: [[UInt8]] = []
        var place = 16
        for _ in 0..<number(4, at: 12, bytes) {
            guard place + 2 <= end else { throw WarmKeysFault("it ends at key \(keys.count)") }
            let count = number(2, at: place, bytes)
            guard count <= keyBytesMax, place + 2 + count <= end else {
                throw WarmKeysFault("key \(keys.count) has \(count) bytes")
            }
            keys.append(Array(bytes[(place + 2)..<(place + 2 + count)]))
            place += 2 + count
        }
        guard place == end else { throw WarmKeysFault("\(end - place) bytes are left over") }
        return keys
    }

    static func read(_ path: String) throws -> [[UInt8]] {
        try decode(WholeFile.read(path, bytesMax: bytesMax))
    }

    /// Takes the place of the file before at once.
    static func write(_ keys: [[UInt8]], to path: String) throws {
        try Data(encode(keys)).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private static func put(_ value: UInt32, _ count: Int, into bytes: inout [UInt8]) {
        for place in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * place))) }
    }

    private static func number(_ count: Int, at place: Int, _ bytes: [UInt8]) -> Int {
        (0..<count).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
    }
}

/// What is wrong with a file of keys.
struct WarmKeysFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
