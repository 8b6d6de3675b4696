import CWireMessages
import Vocabulary

/// A decoded `RecordEventsRequest`. What is wrong with a single event is not looked at here: it costs that event only.
package struct RecordEventsRequestView: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__Event>?>?
    package let count: Int
    package let tenant: UnsafeRawBufferPointer

    /// An event as it came: any bytes in any field.
    package struct Element {
        package let user: UnsafeRawBufferPointer
        package let item: UnsafeRawBufferPointer
        package let type: UnsafeRawBufferPointer
        package let value: Float?
        package let timeMilliseconds: UInt64
        package let scenario: UnsafeRawBufferPointer
        package let requestID: UnsafeRawBufferPointer
        package let id: UnsafeRawBufferPointer

        /// Copied.
        package var event: UserEvent {
            UserEvent(
                user: String(decoding: user, as: UTF8.self), item: String(decoding: item, as: UTF8.self),
                type: String(decoding: type, as: UTF8.self), value: value, timeMilliseconds: timeMilliseconds,
                scenario: String(decoding: scenario, as: UTF8.self),
                requestID: String(decoding: requestID, as: UTF8.self), id: String(decoding: id, as: UTF8.self))
        }

        /// What is wrong with its texts and value; nil: nothing.
        package var fault: String? {
            do throws(RequestFault) {
                try FieldChecks.id(user, "user")
                try FieldChecks.id(item, "item")
                try FieldChecks.id(type, "type")
                try FieldChecks.text(scenario, "scenario")
                try FieldChecks.text(requestID, "request_id", most: RequestLimits.eventIDBytesMax)
                try FieldChecks.text(id, "id", most: RequestLimits.eventIDBytesMax)
            } catch {
                return error.message
            }
            if let value, !value.isFinite { return "value is \(value); a finite number is allowed" }
            return nil
        }
    }

    /// - Throws: `RequestFault` when the body cannot be decoded, or holds no event or too many.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__record_events_request__unpack, body) else {
            throw RequestFault("the body is not a RecordEventsRequest")
        }
        let message = decoded.pointee
        base = message.events
        count = message.events == nil ? 0 : message.n_events
        tenant = message.tenant.bytes
        try FieldChecks.text(tenant, "tenant")
        guard count >= 1, count <= RequestLimits.eventsMax else {
            throw RequestFault("events has \(count) entries; 1 to \(RequestLimits.eventsMax) are allowed")
        }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count, "event \(index) of \(count)")
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        guard let event = base?[index]?.pointee else {
            return Element(
                user: none, item: none, type: none, value: nil, timeMilliseconds: 0, scenario: none, requestID: none,
                id: none)
        }
        let hasValue = event.amount_case == MARTLET__V1__EVENT__AMOUNT_VALUE
        return Element(
            user: event.user.bytes, item: event.item.bytes, type: event.type.bytes, value: hasValue ? event.value : nil,
            timeMilliseconds: event.time_milliseconds, scenario: event.scenario.bytes,
            requestID: event.request_id.bytes, id: event.id.bytes)
    }
}
