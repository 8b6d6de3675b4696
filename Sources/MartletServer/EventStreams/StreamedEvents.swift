import NIOCore
import RemoteCache
import Vocabulary
import Wire

/// The events of a stream's entry.
///
/// An entry has the fields `user`, `item`, `type` and, where there is something to say, `value`, `time` (milliseconds since 1970),
/// `scenario`, `request_id` and `id`; or it has `request`, the bytes of a `RecordEventsRequest`. Other fields are passed over. An
/// event without a time has the entry's, one without an ID gets one of the stream's name and the entry's ID, so that what is
/// delivered twice counts once.
struct StreamedEvents: Sendable {
    var events: [UserEvent] = []
    /// What is wrong with the entry, or with the first of its events that is none; nil: nothing.
    var fault: String?

    /// Of one entry's bytes.
    static let entryBytesMax = 1 << 20

    init(fault: String) { self.fault = fault }

    /// - Parameter arena: Of the calling thread.
    init(_ entry: StreamEntry, of stream: String, _ rules: EventRules, arena: DecodeArena) {
        let now = rules.wallClock()
        do throws(RequestFault) {
            guard entry.fields.reduce(0, { $0 + $1.name.count + $1.value.count }) <= Self.entryBytesMax else {
                throw RequestFault("the entry has more than \(Self.entryBytesMax) bytes")
            }
            let body: [UInt8]
            if let request = entry.fields.first(where: { $0.name.elementsEqual("request".utf8) }) {
                body = request.value
            } else {
                let buffer = RecordEventsRequest(events: [try Self.event(of: entry)]).encodedBody
                body = Array(buffer.readableBytesView)
            }
            let result = body.withUnsafeBytes { bytes in
                Result { () throws(RequestFault) in try Self.take(bytes, entry, rules, now, arena) }
            }
            (events, fault) = try result.get()
        } catch {
            fault = error.message
        }
        let prefix = "r" + String(XXH64.hash(stream), radix: 16) + "-" + entry.id
        let single = events.count == 1
        for index in events.indices where events[index].id.isEmpty {
            events[index].id = single ? prefix : "\(prefix)-\(index)"
        }
    }

    private static func take(
        _ body: UnsafeRawBufferPointer, _ entry: StreamEntry, _ rules: EventRules, _ now: UInt64, _ arena: DecodeArena
    ) throws(RequestFault) -> ([UserEvent], String?) {
        let view = try RecordEventsRequestView(body, arena: arena)
        guard view.tenant.isEmpty || view.tenant.elementsEqual("default".utf8) else {
            throw RequestFault("no tenant of that name is on this node; leave the field empty")
        }
        var events: [UserEvent] = []
        var fault: String?
        for element in view {
            if let (_, message) = EventCalls.fault(of: element, rules, now) {
                fault = fault ?? message
                continue
            }
            var event = element.event
            if event.timeMilliseconds == 0 { event.timeMilliseconds = time(of: entry, rules, now) }
            events.append(event)
        }
        return (events, fault)
    }

    /// When the entry was added, if its ID is a time.
    private static func time(of entry: StreamEntry, _ rules: EventRules, _ now: UInt64) -> UInt64 {
        guard let added = entry.id.split(separator: "-").first.flatMap({ UInt64($0) }), added <= now,
            now - added <= rules.ageMillisecondsMax
        else { return now }
        return added
    }

    private static func event(of entry: StreamEntry) throws(RequestFault) -> UserEvent {
        var event = UserEvent(user: "", item: "", type: "")
        for field in entry.fields {
            guard let name = String(validating: field.name, as: UTF8.self) else { continue }
            guard ["user", "item", "type", "value", "time", "scenario", "request_id", "id"].contains(name) else {
                continue
            }
            guard let text = String(validating: field.value, as: UTF8.self) else {
                throw RequestFault("\(name) is not UTF-8")
            }
            switch name {
            case "user": event.user = text
            case "item": event.item = text
            case "type": event.type = text
            case "value":
                guard let value = Float(text) else { throw RequestFault("value is no number") }
                event.value = value
            case "time":
                guard let time = UInt64(text) else {
                    throw RequestFault("time is no whole number; milliseconds since 1970 are meant")
                }
                event.timeMilliseconds = time
            case "scenario": event.scenario = text
            case "request_id": event.requestID = text
            default: event.id = text
            }
        }
        return event
    }
}
