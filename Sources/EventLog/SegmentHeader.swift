/// The first bytes of a segment: a file that holds records in the order of their sequence numbers.
///
/// ```
///  0  u64  XXH64, seed 0, of the bytes 8 to 47
///  8  "MARTLETL"
/// 16  u64  version, 1
/// 24  u64  sequence number of the first record
/// 32  u64  the last sequence number before it that was stored; what lies between was refused
/// 40  u64  when it was made: milliseconds since 1970
/// ```
package struct SegmentHeader: Equatable {
    package var first: UInt64
    var previous: UInt64
    var madeAtMilliseconds: UInt64

    package static let byteCount = 48
    private static let mark = Array("MARTLETL".utf8)

    /// `00000000000000000001.log`: the files of a listing stand in the order of their records.
    static func name(first: UInt64) -> String {
        let digits = String(first)
        return String(repeating: "0", count: 20 - digits.count) + digits + ".log"
    }

    /// The first sequence number of the segment of that name; nil where it is no segment's.
    package static func first(ofName name: String) -> UInt64? {
        guard name.utf8.count == 24, name.hasSuffix(".log") else { return nil }
        return UInt64(name.dropLast(4))
    }

    var bytes: [UInt8] {
        var covered = Self.mark
        for number in [1, first, previous, madeAtMilliseconds] { RecordFrame.append(number, to: &covered) }
        var bytes: [UInt8] = []
        RecordFrame.append(RecordFrame.hash(of: covered[...]), to: &bytes)
        return bytes + covered
    }

    init(first: UInt64, previous: UInt64, madeAtMilliseconds: UInt64) {
        self.first = first
        self.previous = previous
        self.madeAtMilliseconds = madeAtMilliseconds
    }

    /// - Throws: `malformed`, `newerFormat`.
    init(_ bytes: [UInt8], path: String) throws(LogError) {
        guard bytes.count >= Self.byteCount, Array(bytes[8..<16]) == Self.mark else {
            throw LogError(.malformed, path: path, "not a segment of a Martlet log")
        }
        // These bytes stay the same in all versions, so that a damaged version is told from a newer one.
        guard RecordFrame.hash(of: bytes[8..<Self.byteCount]) == RecordFrame.number(at: 0, in: bytes) else {
            throw LogError(.malformed, path: path, "the header is damaged")
        }
        let version = RecordFrame.number(at: 16, in: bytes)
        if version > 1 {
            throw LogError(.newerFormat, path: path, "version \(version); this program reads version 1")
        }
        self.init(
            first: RecordFrame.number(at: 24, in: bytes), previous: RecordFrame.number(at: 32, in: bytes),
            madeAtMilliseconds: RecordFrame.number(at: 40, in: bytes))
    }
}

/// How far a log is known to be on disk. Left beside the segments after each sync, for the next process.
package struct SyncNote: Equatable {
    /// The first sequence number of the segment that was written to.
    package var segment: UInt64
    /// Its bytes that are on disk.
    package var bytes: UInt64
    /// The last record that is.
    package var sequence: UInt64

    package static let name = "synced"

    var encoded: [UInt8] {
        var covered: [UInt8] = []
        for number in [segment, bytes, sequence] { RecordFrame.append(number, to: &covered) }
        var encoded: [UInt8] = []
        RecordFrame.append(RecordFrame.hash(of: covered[...]), to: &encoded)
        return encoded + covered
    }

    init(segment: UInt64, bytes: UInt64, sequence: UInt64) {
        self.segment = segment
        self.bytes = bytes
        self.sequence = sequence
    }

    /// Nil unless the note is whole.
    package init?(_ encoded: [UInt8]) {
        guard encoded.count == 32, RecordFrame.hash(of: encoded[8...]) == RecordFrame.number(at: 0, in: encoded) else {
            return nil
        }
        self.init(
            segment: RecordFrame.number(at: 8, in: encoded), bytes: RecordFrame.number(at: 16, in: encoded),
            sequence: RecordFrame.number(at: 24, in: encoded))
    }
}
