import Vocabulary

/// A value as it lies in Redis: an envelope that says what it is, for whom, from when, and whether it is whole.
///
/// ```
///  offset  bytes  little-endian
///       0      4  magic "MRV" and format version 1
///       4      1  kind
///       5      3  0
///       8      8  XXH64 of the whole key
///      16      8  stamp: what the value was made from
///      24      8  made at, Unix milliseconds
///      32      8  good until, Unix milliseconds
///      40      8  bytes of the payload
///      48      8  XXH64 of all other bytes
///      56      -  payload
/// ```
///
/// Redis is shared, and its keys can be written by anybody who has its password. Whatever is wrong with a value makes it a miss
/// with a reason; it never reaches a caller. The checksum finds accidents, not attackers.
package struct RemoteValue: Sendable, Equatable {
    package static let headerBytes = 56
    private static let magic: UInt32 = 0x0156_524D

    /// Why a value does not count.
    package enum Miss: Int, Error, Sendable, CaseIterable {
        case absent, tooLarge, notOurs, otherVersion, otherKind, truncated, badChecksum, otherKey, expired, otherStamp

        /// For metrics.
        package var name: String {
            switch self {
            case .absent: "absent"
            case .tooLarge: "too_large"
            case .notOurs: "not_ours"
            case .otherVersion: "other_version"
            case .otherKind: "other_kind"
            case .truncated: "truncated"
            case .badChecksum: "bad_checksum"
            case .otherKey: "other_key"
            case .expired: "expired"
            case .otherStamp: "other_stamp"
            }
        }
    }

    package var kind: UInt8
    package var stamp: UInt64
    package var madeAt: Int64
    package var goodUntil: Int64
    package var payload: ArraySlice<UInt8>

    package init(kind: UInt8, stamp: UInt64, madeAt: Int64, goodUntil: Int64, payload: ArraySlice<UInt8>) {
        self.kind = kind
        self.stamp = stamp
        self.madeAt = madeAt
        self.goodUntil = goodUntil
        self.payload = payload
    }

    /// The bytes for the value of `key`.
    package func encoded(for key: [UInt8]) -> [UInt8] {
        let head: [UInt64] = [
            UInt64(Self.magic) | UInt64(kind) << 32, Self.hash(key[...]), stamp, UInt64(bitPattern: madeAt),
            UInt64(bitPattern: goodUntil), UInt64(payload.count),
        ]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headerBytes + payload.count)
        for word in head { Self.append(word, to: &bytes) }
        Self.append(Self.hash(payload, seed: Self.hash(bytes[...])), to: &bytes)
        bytes.append(contentsOf: payload)
        return bytes
    }

    /// Opens the value of `key`.
    ///
    /// - Parameters:
    ///   - bytes: nil: Redis has none.
    ///   - stamp: What it must have been made from; nil: anything.
    ///   - now: Unix milliseconds.
    ///   - bytesMax: Of the whole value.
    package static func open(
        _ bytes: [UInt8]?, key: [UInt8], kind: UInt8, stamp: UInt64? = nil, now: Int64, bytesMax: Int = 1 << 20
    ) -> Result<RemoteValue, Miss> {
        guard let bytes else { return .failure(.absent) }
        guard bytes.count <= bytesMax else { return .failure(.tooLarge) }
        guard bytes.count >= 4, bytes[0] == 0x4D, bytes[1] == 0x52, bytes[2] == 0x56 else { return .failure(.notOurs) }
        guard bytes[3] == 1 else { return .failure(.otherVersion) }
        guard bytes.count >= headerBytes, word(bytes, 40) == UInt64(bytes.count - headerBytes) else {
            return .failure(.truncated)
        }
        let payload = bytes[headerBytes...]
        guard word(bytes, 48) == hash(payload, seed: hash(bytes[..<48])) else { return .failure(.badChecksum) }
        guard word(bytes, 0) >> 40 == 0 else { return .failure(.otherVersion) }
        guard bytes[4] == kind else { return .failure(.otherKind) }
        guard word(bytes, 8) == hash(key[...]) else { return .failure(.otherKey) }
        let value = RemoteValue(
            kind: kind, stamp: word(bytes, 16), madeAt: Int64(bitPattern: word(bytes, 24)),
            goodUntil: Int64(bitPattern: word(bytes, 32)), payload: payload)
        guard now < value.goodUntil else { return .failure(.expired) }
        if let stamp, stamp != value.stamp { return .failure(.otherStamp) }
        return .success(value)
    }

    private static func hash(_ bytes: ArraySlice<UInt8>, seed: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { XXH64.hash($0, seed: seed) }
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
