import EventLog
import LiveState
import Logging
import NIOCore
import Serving
import Synchronization
import Vocabulary

/// Makes the shards know what they knew: the newest sound snapshot, then the log's records behind it. One thread that is no
/// loop's.
struct Replay {
    private let node: NodeContext
    private let numbers: ItemNumbers
    private let logger: Logger
    /// By slot: the last record that its users know of.
    private var known = [UInt64](repeating: 0, count: Slot.count)
    /// By slot: the last record that the activity of items knows of.
    private var counted = [UInt64](repeating: 0, count: Slot.count)
    /// Whether a shard's counts of items need room.
    private let needsMerge = Flag()
    /// The last record that the snapshot's item changes know of.
    private var changesKnown: UInt64 = 0
    private var waiting: [[ReplayedEvent]]
    private var pending: [EventLoopFuture<Void>] = []
    private(set) var outcome = Outcome()

    struct Outcome: Sendable {
        var snapshot: String?
        var snapshotBytes = 0
        var events = 0
        /// Changes of items, behind the snapshot's.
        var itemChanges = 0
        var report = LogReport()
    }

    private final class Flag: Sendable {
        let isSet = Atomic<Bool>(false)
    }

    /// Events that go to a shard at once: some milliseconds of its time.
    private static let batch = 4096

    init(_ node: NodeContext, numbers: ItemNumbers, logger: Logger) {
        self.node = node
        self.numbers = numbers
        self.logger = logger
        waiting = Array(repeating: [], count: node.shardCount)
    }

    /// - Throws: `LogError` when the log cannot be read.
    mutating func run(_ storage: any LogStorage) throws {
        try loadSnapshot(storage)
        let first = min(known.min() ?? 0, counted.min() ?? 0, changesKnown)
        var sequence = first
        outcome.report = try LogReader(storage).read(after: first) { record in
            sequence = record.sequence
            switch RecordKind(rawValue: record.kind) {
            case .events: for event in try EventRecord.decode(record.payload) { try take(event, sequence) }
            case .itemChanges where sequence > changesKnown:
                let changes = try ItemChangeRecord.decode(record.payload)
                outcome.itemChanges += changes.count
                node.items?.restore(changes, through: sequence)
            case .sharedItems where sequence > changesKnown:
                let shared = try SharedItemsRecord(decoding: record.payload)
                outcome.itemChanges += shared.entries.count
                node.items?.restore(shared, through: sequence)
            case .itemChanges, .sharedItems, .slates, nil: break
            }
        }
        node.items?.restore([], through: sequence)
        for shard in waiting.indices { try send(shard, sequence) }
        try settle()
    }

    private mutating func take(_ event: UserEvent, _ sequence: UInt64) throws {
        let slot = Slot(user: event.user)
        var counts = EventCounts()
        if sequence > known[Int(slot.value)] { counts.insert(.user) }
        if sequence > counted[Int(slot.value)] { counts.insert(.item) }
        if counts.isEmpty { return }
        outcome.events += 1
        let shard = node.partitions.shard(of: slot)
        waiting[shard].append(ReplayedEvent(event, counts: counts))
        if waiting[shard].count >= Self.batch { try send(shard, sequence - 1) }
    }

    private mutating func send(_ shard: Int, _ sequence: UInt64) throws {
        let events = waiting[shard]
        waiting[shard].removeAll(keepingCapacity: true)
        try perform(on: shard) { [needsMerge] in
            if $0.replay(events, through: sequence) { needsMerge.isSet.store(true, ordering: .relaxed) }
        }
        // What may be under way until then still has room.
        if needsMerge.isSet.exchange(false, ordering: .relaxed) { node.activity?.merge() }
    }

    /// A few pieces of work ahead of the shards, no more.
    private mutating func perform(on shard: Int, _ body: @escaping @Sendable (isolated Shard) throws -> Void) throws {
        let worker = node.workers[shard]
        pending.append(worker.eventLoop.submit { try worker.shard.assumeIsolated { try body($0) } })
        if pending.count > 4 * waiting.count { try pending.removeFirst().wait() }
    }

    private mutating func settle() throws {
        while !pending.isEmpty { try pending.removeFirst().wait() }
    }

    // MARK: Snapshots

    private mutating func loadSnapshot(_ storage: any LogStorage) throws {
        for name in try SnapshotReader(storage).names() {
            do {
                try load(name, storage)
                outcome.snapshot = name
                outcome.snapshotBytes = (try? storage.size(name)) ?? 0
                return
            } catch {
                logger.error(
                    "a snapshot cannot be used; an older one, or the whole log, takes its place",
                    metadata: ["events.snapshot": "\(name)", "error": "\(error)"])
                try? settle()
                try forget()
            }
        }
    }

    /// What a damaged snapshot brought is let go. Items keep their numbers: they are as good as others.
    private mutating func forget() throws {
        known = [UInt64](repeating: 0, count: Slot.count)
        counted = known
        changesKnown = 0
        node.items?.removeAll()
        node.activity?.removeAll()
        for shard in waiting.indices { try perform(on: shard) { $0.liveUsers?.removeAll() } }
        try settle()
    }

    private mutating func load(_ name: String, _ storage: any LogStorage) throws {
        let named = try ItemNumbers(countMax: numbers.countMax)
        var repeats: [[UInt8]] = []
        var activity = node.activity?.makeActivity()
        var loader = ItemActivityLoader()
        try SnapshotReader(storage).read(name) { section, sequence, bytes in
            switch section {
            case .types: break
            case .items: try named.load(Array(bytes))
            case .repeats:
                guard let part = RepeatsPart.read(bytes) else {
                    throw LogError(.malformed, path: name, "a section of event IDs is damaged")
                }
                if part.part == 0 { repeats.append([]) }
                if !repeats.isEmpty { repeats[repeats.count - 1] += part.bytes }
            case .users: try loadUsers(bytes, sequence)
            case .changes:
                changesKnown = sequence
                node.items?.restore(try ItemChangeRecord.decode(bytes), through: sequence)
            case .sharedItems:
                changesKnown = sequence
                node.items?.restore(try SharedItemsRecord(decoding: bytes), through: sequence)
            case .activity:
                guard var filled = activity.take() else { break }
                defer { activity = filled }
                try loader.take(bytes, itemCount: named.count, into: &filled)
            case .end: break
            }
        }
        // Users know their items by number. An earlier attempt may have brought the same ones already.
        for number in 0..<UInt32(named.count) {
            guard let id = named.id(number), numbers.numberAdding(id) == number else {
                throw LogError(.malformed, path: name, "item \(number) has another number now")
            }
        }
        if let activity { node.activity?.restore(activity) }
        for known in loader.known { for slot in known.slots { counted[slot] = known.through } }
        let all = repeats
        for shard in waiting.indices {
            let own = all.count == waiting.count ? [all[shard]] : all
            try perform(on: shard) { try $0.liveUsers?.load(repeats: own) }
        }
        try settle()
    }

    private mutating func loadUsers(_ bytes: ArraySlice<UInt8>, _ sequence: UInt64) throws {
        let (slots, users) = try LiveUsers.slots(in: bytes)
        for slot in slots { known[slot] = sequence }
        var parts = [[[UInt8]]](repeating: [], count: waiting.count)
        for user in users {
            // The slot's number stands behind mark and version.
            let slot = Int(user[user.startIndex + 6]) | Int(user[user.startIndex + 7]) << 8
            guard slots.contains(slot) else {
                throw LogError(.malformed, path: "snapshot", "slot \(slot) is not meant")
            }
            parts[node.partitions.shard(of: Slot(UInt16(slot)))].append(Array(user))
        }
        for (shard, part) in parts.enumerated() where !part.isEmpty {
            try perform(on: shard) { shard in for bytes in part { try shard.liveUsers?.states.load(bytes) } }
        }
        for shard in parts.indices { try perform(on: shard) { _ = $0.replay([], through: sequence) } }
    }
}
