import EventLog
import Foundation
import LoadGenerator

/// Makes of a dead node's log what a machine that lost its power may have left: nothing that was not synced.
///
/// A process that is killed leaves all that it wrote; a machine leaves only what it was made to keep. What that is says
/// the note that the log writes after each sync. Snapshots get their names after a sync, so they stay.
package enum PowerCut {
    /// - Returns: Bytes that were taken away.
    /// - Throws: `LogError`, when a file cannot be cut.
    package static func apply(to folder: String, random: inout SeededGenerator) throws -> Int {
        let storage = try FileStorage(path: folder, creates: false)
        let note = (try? storage.read(SyncNote.name)).flatMap { SyncNote($0) }
        var cut = 0
        for name in try storage.names() {
            let size = try storage.size(name)
            if name == SnapshotName.staged {
                // Any part of it may be there.
                let kept = Int.random(in: 0...size, using: &random)
                try storage.truncate(name, to: kept)
                cut += size - kept
            }
            guard let first = SegmentHeader.first(ofName: name) else { continue }
            let kept = kept(first, size, note, &random)
            guard kept < size || kept == 0 else { continue }
            // A file whose name was never synced may be gone altogether.
            if kept == 0 { try storage.remove(name) } else { try storage.truncate(name, to: kept) }
            cut += size - kept
        }
        return cut
    }

    private static func kept(
        _ first: UInt64, _ size: Int, _ note: SyncNote?, _ random: inout SeededGenerator
    ) -> Int {
        if let note, first < note.segment { return size }
        if let note, first == note.segment { return min(size, Int(clamping: note.bytes)) }
        // Newer than the note. Its header is synced before a record follows; without one, anything may be left of it.
        return size > SegmentHeader.byteCount ? SegmentHeader.byteCount : Int.random(in: 0...size, using: &random)
    }
}
