import EventLog
import NIOCore
import Serving
import Vocabulary

/// Gives the events of a log to the shards of their users, in their order. One thread that is no loop's.
struct Replay {
    private let node: NodeContext
    private var waiting: [[UserEvent]]
    private var count = 0
    private var pending: [EventLoopFuture<Void>] = []

    /// Events that go to a shard at once: some milliseconds of its time.
    private static let batch = 4096

    init(_ node: NodeContext) {
        self.node = node
        waiting = Array(repeating: [], count: node.shardCount)
    }

    /// - Returns: What was found in the log, and how many events.
    /// - Throws: `LogError`.
    consuming func run(_ storage: any LogStorage) throws -> (LogReport, events: Int) {
        var replay = self
        let report = try LogReader(storage).read { record in
            guard record.kind == RecordKind.events.rawValue else { return }
            for event in try EventRecord.decode(record.payload) { try replay.take(event) }
        }
        for shard in replay.waiting.indices { try replay.send(shard) }
        for future in replay.pending { try future.wait() }
        return (report, replay.count)
    }

    private mutating func take(_ event: UserEvent) throws {
        count += 1
        let shard = node.partitions.shard(of: Slot(user: event.user))
        waiting[shard].append(event)
        if waiting[shard].count >= Self.batch { try send(shard) }
    }

    private mutating func send(_ shard: Int) throws {
        if waiting[shard].isEmpty { return }
        let worker = node.workers[shard]
        let events = waiting[shard]
        waiting[shard].removeAll(keepingCapacity: true)
        pending.append(
            worker.eventLoop.submit { worker.shard.assumeIsolated { $0.replay(events) } })
        // A few batches ahead of the shards, no more.
        if pending.count > 2 * waiting.count { try pending.removeFirst().wait() }
    }
}
