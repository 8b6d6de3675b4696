import EventLog
import Glibc
import LiveState
import Logging
import NIOCore
import NIOPosix
import Serving
import Vocabulary

/// Takes snapshots of what the shards know of users, so that a restart replays only the log's tail.
///
/// On a thread of its own; a shard gives a few slots at a time, between its calls. What a slot's users know of records is
/// noted slot by slot, so nothing has to stand still.
struct SnapshotTaker {
    let node: NodeContext
    let types: EventTypes
    let numbers: ItemNumbers
    let storage: any LogStorage
    let log: LogWriter

    /// A shard's turn: at most as long, and as many bytes.
    private static let turnNanoseconds: UInt64 = 500_000
    private static let turnBytes = 1 << 20
    /// Between turns the loop is left alone for as long, times this.
    private static let restFactor: UInt64 = 1

    struct Taken {
        var bytes: Int
        var slots: Int
        /// Records up to this number are not needed any more.
        var mayRemoveThrough: UInt64
    }

    /// - Parameter isHurried: The node stops: nobody is held up.
    /// - Throws: `LogError`; the snapshots before are still there then.
    func take(isHurried: Bool) throws -> Taken {
        let writer = try SnapshotWriter(storage)
        try writer.add(.types, knowing: 0, Array(types.codeNames.joined(separator: "\n").utf8))
        var items = try add(itemsFrom: 0, to: writer)
        if let changes = node.items?.snapshot() {
            for payload in changes.payloads { try writer.add(.changes, knowing: changes.knows, payload) }
            for payload in changes.shared { try writer.add(.sharedItems, knowing: changes.knows, payload) }
        }
        var slots = 0
        for worker in node.workers {
            slots += try addUsers(of: worker, to: writer, isHurried)
            // Behind the users: what they know of is not replayed, so its IDs must be here.
            try addRepeats(of: worker, to: writer)
        }
        let activity = node.activity?.snapshot()
        // Those that came while users were written: users and the activity of items know no others.
        items = try add(itemsFrom: items, to: writer)
        for payload in activity?.payloads ?? [] {
            try writer.add(.activity, knowing: activity?.knows ?? 0, payload)
        }
        // Of a log that lost its end with the machine's power, new records would have numbers that the snapshot knows
        // already, and would not be replayed.
        guard log.synchronize() else {
            throw LogError(.system, path: storage.path, "the log could not be flushed to disk before its snapshot")
        }
        return Taken(bytes: writer.bytes, slots: slots, mayRemoveThrough: try writer.finish())
    }

    private func add(itemsFrom first: Int, to writer: SnapshotWriter) throws -> Int {
        var first = first
        let end = numbers.count
        while first < end {
            var bytes: [UInt8] = []
            // At most 256 bytes each: always below the largest section.
            first = numbers.serialise(from: first, to: min(end, first + 50_000), into: &bytes)
            try writer.add(.items, knowing: 0, bytes)
        }
        return first
    }

    private func addRepeats(of worker: LoopWorker, to writer: SnapshotWriter) throws {
        let repeats = try worker.eventLoop.submit {
            worker.shard.assumeIsolated { shard in
                var bytes: [UInt8] = []
                shard.liveUsers?.recent.serialise(into: &bytes)
                return bytes
            }
        }.wait()
        for part in RepeatsPart.parts(of: repeats, shard: worker.index) {
            try writer.add(.repeats, knowing: 0, part)
        }
    }

    private func addUsers(of worker: LoopWorker, to writer: SnapshotWriter, _ isHurried: Bool) throws -> Int {
        let slots = node.partitions.slots(of: worker.index)
        var next = slots.lowerBound
        while next < slots.upperBound {
            let from = next
            let began = LoopWorker.now
            let turn = try worker.eventLoop.submit {
                worker.shard.assumeIsolated { shard in
                    shard.liveUsers.map { live in
                        let (slots, bytes) = live.usersAsBytes(
                            from: from, bytesMax: Self.turnBytes, until: LoopWorker.now &+ Self.turnNanoseconds,
                            clock: { LoopWorker.now })
                        return (end: slots.upperBound, bytes: bytes, knows: shard.appliedThrough)
                    }
                }
            }.wait()
            guard let turn else { break }
            try writer.add(.users, knowing: turn.knows, turn.bytes)
            next = turn.end
            if !isHurried { usleep(UInt32(clamping: (LoopWorker.now &- began) &* Self.restFactor / 1000)) }
        }
        return slots.count
    }
}

/// A part of a shard's late event IDs, as they stand in a snapshot: `u16 shard, u16 part, u16 parts`, then bytes.
enum RepeatsPart {
    private static let bytesMax = 8 << 20

    static func parts(of bytes: [UInt8], shard: Int) -> [[UInt8]] {
        let count = max(1, (bytes.count + bytesMax - 1) / bytesMax)
        return (0..<count).map { part in
            let header = [shard, part, count].flatMap {
                [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)]
            }
            return header + bytes[(part * bytesMax)..<min(bytes.count, (part + 1) * bytesMax)]
        }
    }

    /// Nil for bytes that are no part.
    static func read(_ bytes: ArraySlice<UInt8>) -> (shard: Int, part: Int, parts: Int, bytes: ArraySlice<UInt8>)? {
        guard bytes.count >= 6 else { return nil }
        func number(_ place: Int) -> Int {
            Int(bytes[bytes.startIndex + place]) | Int(bytes[bytes.startIndex + place + 1]) << 8
        }
        return (number(0), number(2), number(4), bytes.dropFirst(6))
    }
}

/// What the newest snapshot says of the types of events, before anything else is made of it.
enum StoredTypes {
    static func names(_ storage: any LogStorage) -> [String] {
        struct Found: Error { var names: [String] }
        for name in (try? SnapshotReader(storage).names()) ?? [] {
            do {
                try SnapshotReader(storage).read(name) { section, _, bytes in
                    guard section == .types else { return }
                    throw Found(names: String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init))
                }
            } catch let found as Found {
                return found.names
            } catch {
                continue
            }
        }
        return []
    }
}
