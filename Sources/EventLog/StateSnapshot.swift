/// What is in a snapshot: state as it was when records up to some number had been applied.
///
/// A file of frames as a log's (`RecordFrame`), whose sequence number is that of the last record that the frame's content
/// knows of. The last frame says that the file is whole.
package enum SnapshotSection: UInt8, Sendable, CaseIterable {
    /// Names of event types, by code.
    case types = 1
    /// Numbers of items; several follow each other.
    case items = 2
    /// Users of a range of slots.
    case users = 3
    /// IDs of late events, of one shard.
    case repeats = 4
    /// Changes of items that make what is known of them; several follow each other. `ItemChangeRecord`.
    case changes = 5
    /// Activity of items; several follow each other. Knows of the last records that it names itself, no less than the frame's.
    case activity = 6
    /// What nodes know together of changed items; several follow each other, behind `changes`. `SharedItemsRecord`. Only
    /// where changes are shared, or were.
    case sharedItems = 7
    case end = 255
}

/// Names of the snapshots in a log's folder.
package enum SnapshotName {
    static let suffix = ".state"
    /// Of one that is being written.
    package static let staged = "snapshot.new"

    /// Ordered as their records are.
    static func name(sequence: UInt64) -> String {
        SegmentHeader.name(first: sequence).replacing(".log", with: suffix)
    }

    static func sequence(ofName name: String) -> UInt64? {
        guard name.hasSuffix(suffix) else { return nil }
        return SegmentHeader.first(ofName: name.replacing(suffix, with: ".log"))
    }
}

/// Writes a snapshot beside a log. It counts when `finish` returns; until then, and where that fails, nothing is changed.
package final class SnapshotWriter {
    private let storage: any LogStorage
    private let file: any LogFile
    private var buffer: [UInt8] = []
    private var lowest = UInt64.max
    private var frames: UInt64 = 0
    package private(set) var bytes = 0

    /// Snapshots that are kept: the newest, and one before it, should the newest be damaged.
    package static let kept = 2
    /// Of a section's payload.
    package static let payloadBytesMax = RecordFrame.payloadBytesMax

    package init(_ storage: any LogStorage) throws(LogError) {
        self.storage = storage
        try? storage.remove(SnapshotName.staged)
        file = try storage.create(SnapshotName.staged)
    }

    /// - Parameters:
    ///   - sequence: The last record that `payload` knows of.
    ///   - payload: At most `RecordFrame.payloadBytesMax` bytes.
    package func add(_ section: SnapshotSection, knowing sequence: UInt64, _ payload: [UInt8]) throws(LogError) {
        guard payload.count <= RecordFrame.payloadBytesMax else {
            throw LogError(.malformed, path: storage.path, "a section of \(payload.count) bytes; split it")
        }
        RecordFrame.append(payload, kind: section.rawValue, sequence: sequence, to: &buffer)
        frames += 1
        if [.users, .changes, .activity, .sharedItems].contains(section) { lowest = min(lowest, sequence) }
        if buffer.count >= 1 << 20 { try flush() }
    }

    private func flush() throws(LogError) {
        try file.write(buffer)
        bytes += buffer.count
        buffer.removeAll(keepingCapacity: true)
    }

    /// Puts the snapshot in its place and removes those that are too many.
    ///
    /// - Returns: Records up to this number are not needed any more to make the state of any kept snapshot.
    package func finish() throws(LogError) -> UInt64 {
        RecordFrame.append([], kind: SnapshotSection.end.rawValue, sequence: frames, to: &buffer)
        try flush()
        try file.synchronize()
        let name = SnapshotName.name(sequence: lowest == .max ? 0 : lowest)
        try storage.rename(SnapshotName.staged, to: name)
        try storage.synchronizeNames()
        let all = try SnapshotReader(storage).names()
        for name in all.dropFirst(Self.kept) { try? storage.remove(name) }
        return all.prefix(Self.kept).last.flatMap { SnapshotName.sequence(ofName: $0) } ?? 0
    }
}

/// Reads the snapshots of a log's folder.
package struct SnapshotReader {
    private let storage: any LogStorage

    package init(_ storage: any LogStorage) { self.storage = storage }

    /// The newest first.
    package func names() throws(LogError) -> [String] {
        try storage.names().compactMap { name in SnapshotName.sequence(ofName: name).map { (name, $0) } }
            .sorted { $0.1 > $1.1 }.map(\.0)
    }

    /// Bytes that are read at once, at least.
    private static let chunkBytes = 8 << 20

    /// Gives the sections of a snapshot to `body`, in their order.
    ///
    /// - Throws: `LogError` for a file that is damaged or not whole, and whatever `body` throws. `body` may have been
    ///   given sections by then: what it made of them is to be thrown away.
    /// - Complexity: O(bytes); a chunk is in memory at a time.
    package func read(
        _ name: String, _ body: (SnapshotSection, _ knowing: UInt64, ArraySlice<UInt8>) throws -> Void
    ) throws {
        let path = "\(storage.path)/\(name)"
        var (offset, frames): (Int, UInt64) = (0, 0)
        var bytes: [UInt8] = []
        var place = 0
        while true {
            if let found = RecordFrame.record(at: place, in: bytes) {
                place = found.end
                guard let section = SnapshotSection(rawValue: found.kind) else {
                    throw LogError(.newerFormat, path: path, "section \(found.kind) is not known to this program")
                }
                if section == .end {
                    guard found.sequence == frames else {
                        throw LogError(.malformed, path: path, "\(frames) sections of \(found.sequence) are there")
                    }
                    return
                }
                frames += 1
                try body(section, found.sequence, bytes[found.payload])
                continue
            }
            // The next frame may be longer than what is left of the chunk, but no longer than a frame may be.
            let left = bytes.count - place
            offset += place
            place = 0
            if left >= RecordFrame.payloadBytesMax + RecordFrame.headerBytes {
                throw LogError(.malformed, path: path, "the bytes at \(offset) are damaged")
            }
            let wanted = max(Self.chunkBytes, min(2 * left, RecordFrame.payloadBytesMax + RecordFrame.headerBytes))
            bytes = try storage.read(name, from: offset, count: wanted)
            if bytes.count <= left {
                throw LogError(.malformed, path: path, "the bytes at \(offset) are damaged, or the file ends too early")
            }
        }
    }
}
