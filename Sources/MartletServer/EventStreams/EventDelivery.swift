import NIOCore
import Serving
import Vocabulary

/// Events of a stream on their way into the shards of their users.
///
/// Made and completed on the reader's loop; the parts are handed in on the shards' loops.
final class EventDelivery: CallOrigin, @unchecked Sendable {
    struct Outcome: Sendable {
        var stored = 0
        var duplicates = 0
        /// Places of events that the log refused.
        var refused: [Int] = []
        var fault: String?
    }

    // Touched on `loop` alone.
    private var partsLeft = 0
    private var outcome = Outcome()
    private let loop: any EventLoop
    private let completion: (Outcome) -> Void

    /// They wait for the log, whatever happens.
    var isCancelled: Bool { false }

    private init(_ loop: any EventLoop, _ completion: @escaping (Outcome) -> Void) {
        self.loop = loop
        self.completion = completion
    }

    /// - Parameters:
    ///   - events: Checked, with their places.
    ///   - completion: Is called once, on `loop`, when all of them are stored by the configured policy and count, or are refused.
    static func begin(
        _ events: [(position: Int, event: UserEvent)], _ node: NodeContext, on loop: any EventLoop,
        completion: @escaping (Outcome) -> Void
    ) {
        let delivery = EventDelivery(loop, completion)
        var parts = [[(position: Int, event: UserEvent)]](repeating: [], count: node.shardCount)
        for entry in events { parts[node.partitions.shard(of: Slot(user: entry.event.user))].append(entry) }
        delivery.partsLeft = parts.count { !$0.isEmpty }
        if delivery.partsLeft == 0 { return completion(Outcome()) }
        for shard in parts.indices where !parts[shard].isEmpty {
            let (worker, batch) = (node.workers[shard], EventBatch(events: parts[shard]))
            worker.eventLoop.execute { worker.record(batch, of: delivery) }
        }
    }

    /// A shard's part. Any loop.
    func finish(_ part: RecordedEvents) {
        loop.execute { [self] in
            outcome.stored += part.stored
            outcome.duplicates += part.duplicates
            outcome.refused += part.refused
            if let refusal = part.refusal { outcome.fault = "\(refusal.fault)" }
            partsLeft -= 1
            if partsLeft == 0 { completion(outcome) }
        }
    }
}
