import NIOCore
import Retrieval
import Serving
import Telemetry
import Vocabulary
import Wire

/// The cache beside the node: answers that it gave, that go there, and that are no longer to be believed.
extension LoopWorker {
    /// Sends an answer that another node made, or this one before its last start, and keeps it.
    func answer(_ found: SharedCache.Found, _ origin: AnswerOrigin, _ ticket: CallTicket) {
        let done = Self.now
        let scenario = node.scenarioIndex(ticket.scenario)
        found.answer.withUnsafeBytes { body in
            if let key = ticket.cacheKey, found.mayBeCopied,
                FrameHeader.byteCount - 4 + body.count + Self.staleMark.count <= node.limits.frameBytesMax
            {
                // The bytes outlive the call and are only read.
                nonisolated(unsafe) let body = body
                shard.assumeIsolated { shard in
                    key.withUnsafeBytes {
                        shard.keep(
                            body, for: $0, scenario: ticket.scenario, tag: UInt16(scenario),
                            generation: origin.generation, now: done, seconds: found.seconds, stamp: origin.stamp,
                            shown: .anything, nanosecondsMax: found.nanosecondsLeft, isCopied: true)
                    }
                }
            }
            metrics.recordRequest(scenario: scenario, .cached, nanoseconds: done &- ticket.arrived)
            metrics.countRequest(ticket.method.counted, .ok)
            let microseconds = UInt32(clamping: (done &- ticket.arrived) / 1000)
            let suffix = (ticket.cacheKey ?? []).withUnsafeBytes {
                self.suffix(of: body, by: origin.generation, scenario: scenario, request: $0, own: ticket.requestID)
            }
            if ticket.home === self {
                ticket.connection.reply(
                    to: ticket, status: .ok, flags: .cached, microseconds: microseconds, load: 0, body: body,
                    suffix: suffix)
            } else {
                replyRemotely(
                    ticket, status: .ok, flags: .cached, microseconds: microseconds, load: 0, body: body,
                    suffix: suffix)
            }
        }
        flushDirty()
    }

    /// Puts the slate that was encoded last into the cache beside the node, unless its user is another by now.
    func share(_ slate: Slate, _ ticket: CallTicket, _ shard: isolated Shard) {
        guard let sharedCache, let origin = ticket.origin, let key = ticket.cacheKey,
            (slate.overlay?.version ?? 0) == 0, slate.quality == .full,
            slate.generation.number == origin.generation,
            shard.origin(ofAnswersTo: origin.userID, in: ticket.scenario) == origin
        else { return }
        let life = node.serving.scenarios[ticket.scenario]?.timeToLive ?? node.serving.cache.timeToLive
        encoder.withKept { sharedCache.store($0, to: key, origin, seconds: slate.seconds, life: life) }
    }

    /// Tells all loops of changes of keys in Redis.
    func spread(_ changes: SharedCache.Changes) {
        for loop in outboxes.indices where loop != index { outboxes[loop].changes.add(changes) }
        scheduleMail()
        note(changes)
    }

    func note(_ changes: SharedCache.Changes) {
        guard let sharedCache, !changes.isEmpty else { return }
        sharedCache.note(changes)
        shard.assumeIsolated { shard in
            if changes.forgets { shard.forgetCopies() }
            let now = Self.now
            let dropped = changes.hashes.reduce(0) { $0 + shard.dropCopies(hash: $1, now: now) }
            if dropped > 0 { metrics.countSharedDropped(dropped) }
        }
    }
}
