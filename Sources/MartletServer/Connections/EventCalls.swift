import EventLog
import Serving
import Telemetry
import Vocabulary
import Wire

/// RecordEvents: checks each event, deals them to the shards of their users, and puts together what became of them.
enum EventCalls {
    static func serve(
        _ frame: FrameView, _ makeTicket: (any CallGather) -> CallTicket, _ connection: ConnectionHandler
    ) throws(RequestFault) {
        let worker = connection.worker
        let node = worker.node
        let view = try RecordEventsRequestView(frame.body, arena: worker.arena)
        try node.check(tenant: view.tenant)
        let now = node.events.wallClock()
        var parts = [[(position: Int, event: UserEvent)]](repeating: [], count: node.shardCount)
        var faults: [EventFault] = []
        for (position, element) in view.enumerated() {
            if let (status, message) = fault(of: element, node.events, now) {
                faults.append(EventFault(event: position, status: status, message: message))
                continue
            }
            var event = element.event
            if event.timeMilliseconds == 0 { event.timeMilliseconds = now }
            parts[node.partitions.shard(of: Slot(user: element.user))].append((position, event))
        }
        worker.metrics.countEvents(.invalid, faults.count)
        let gather = EventGather(
            parts: parts.count { !$0.isEmpty }, faults: faults, durability: node.events.durability)
        let ticket = makeTicket(gather)
        guard connection.open(ticket) else { return }
        if gather.isComplete { return worker.reply(gather.reply, to: ticket) }
        for shard in parts.indices where !parts[shard].isEmpty {
            let request = ShardRequest.record(EventBatch(events: parts[shard]))
            if shard == worker.index {
                worker.submit(request, ticket)
            } else {
                worker.forward(request, ticket, to: shard)
            }
        }
    }

    /// Why an event cannot be taken; nil: it can.
    static func fault(
        of event: RecordEventsRequestView.Element, _ rules: EventRules, _ now: UInt64
    ) -> (EventStatus, String)? {
        if let message = event.fault { return (.invalid, message) }
        guard rules.knows(type: event.type) else {
            return (
                .unknownType,
                "no event type is named '\(event.type.text)'; known: \(rules.typeNames.joined(separator: ", "))"
            )
        }
        let time = event.timeMilliseconds
        if time > now &+ rules.futureMillisecondsMax {
            return (.time, "time_milliseconds \(time) is in the future; milliseconds since 1970 are meant")
        }
        if time != 0, now > rules.ageMillisecondsMax, time < now - rules.ageMillisecondsMax {
            return (.time, "time_milliseconds \(time) is too long ago; milliseconds since 1970 are meant")
        }
        return nil
    }
}

/// Which events a node takes, and what it means when it has.
struct EventRules: Sendable {
    var typeNames: [String]
    /// How far ahead of this node's a producer's clock may be.
    var futureMillisecondsMax: UInt64 = 300_000
    /// Older events are refused.
    var ageMillisecondsMax: UInt64 = 10 * 365 * 86_400_000
    var durability = Durability.memory
    /// Milliseconds since 1970.
    var wallClock: @Sendable () -> UInt64

    func knows(type: UnsafeRawBufferPointer) -> Bool {
        typeNames.contains { name in
            var name = name
            return name.withUTF8 { $0.elementsEqual(type) }
        }
    }
}

/// The answer to a RecordEvents on its way. Belongs to the connection's loop.
final class EventGather: CallGather {
    private var partsLeft: Int
    private(set) var reply = RecordEventsReply()
    private var refusal: LogError?
    private var rejection: Rejection?
    private var refused: [Int] = []

    init(parts: Int, faults: [EventFault], durability: Durability) {
        partsLeft = parts
        reply.faults = faults
        reply.durability = durability
    }

    var isComplete: Bool { partsLeft == 0 }

    func add(_ answer: ShardAnswer) -> Bool {
        switch answer {
        case .recorded(let part):
            reply.stored += part.stored
            reply.duplicates += part.duplicates
            reply.unknownItems += part.unknownItems
            reply.unshared += part.unshared
            refused += part.refused
            refusal = refusal ?? part.refusal
        case .rejected(let rejection): self.rejection = self.rejection ?? rejection
        default: rejection = Rejection(.internalFault, "a part of the answer has the wrong kind")
        }
        partsLeft -= 1
        return partsLeft == 0
    }

    func encode(with encoder: AnswerEncoder) -> (StatusCode, ReplyFlags) {
        if let rejection { return encoder.encode(.rejected(rejection)) }
        if let refusal {
            // Nothing was stored: the call as a whole failed, and may be sent again as it is.
            if reply.stored == 0, reply.duplicates == 0 {
                let reason: Rejection.Reason =
                    refusal.code == .full || refusal.code == .diskFull ? .logFull : .logBroken
                return encoder.encode(
                    .rejected(
                        Rejection(
                            reason, "the event log takes nothing: \(refusal.fault)", retryIsSafe: true,
                            retryAfterMilliseconds: 250)))
            }
            reply.faults += refused.map { EventFault(event: $0, status: .notStored, message: refusal.fault) }
            reply.faults.sort { $0.event < $1.event }
        }
        return encoder.encode(reply)
    }
}
