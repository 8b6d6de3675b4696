import CWireMessages
import Vocabulary

/// Tells a node what users did.
public struct RecordEventsRequest: Sendable, Hashable {
    public var tenant = ""
    /// 1 to 1000.
    public var events: [UserEvent]

    public init(events: [UserEvent]) { self.events = events }
}

extension UserEvent: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, user)
        sink.field(2, item)
        sink.field(3, type)
        if let value {
            // Zero is a value, too.
            sink.tag(4, 5)
            sink.fixed32(value.bitPattern)
        }
        sink.field(5, timeMilliseconds)
        sink.field(6, scenario)
        sink.field(7, requestID)
        sink.field(8, id)
    }
}

extension RecordEventsRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        for event in events { sink.message(2, event) }
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let view: RecordEventsRequestView
        do throws(RequestFault) {
            view = try RecordEventsRequestView(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
        self.init(events: view.map(\.event))
        tenant = String(decoding: view.tenant, as: UTF8.self)
    }
}

/// What became of an event.
public enum EventStatus: UInt32, Sendable, CaseIterable {
    case stored = 0
    /// An ID that is missing or too long, no text, a value that is no number.
    case invalid = 1
    case unknownType = 2
    /// In the future, or too long ago.
    case time = 3
    /// The node could not store it: give it again.
    case notStored = 4
}

/// What being stored means on a node.
public enum Durability: UInt32, Sendable, CaseIterable {
    /// A node without an event log: gone when it ends.
    case memory = 0
    /// Outlives the process, perhaps not the machine.
    case written = 1
    /// On disk.
    case synced = 2
}

/// Why an event is not stored.
public struct EventFault: Sendable, Hashable {
    /// Its index in the request.
    public var event: Int
    public var status: EventStatus
    public var message: String

    public init(event: Int, status: EventStatus, message: String) {
        self.event = event
        self.status = status
        self.message = message
    }
}

extension EventFault: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(clamping: event))
        sink.field(2, status.rawValue)
        sink.field(3, message)
    }
}

/// What became of events: each is stored, a duplicate, or has a fault.
public struct RecordEventsReply: Sendable, Hashable {
    public var stored = 0
    /// Stored before, under their IDs.
    public var duplicates = 0
    /// In the order of the events.
    public var faults: [EventFault] = []
    public var durability = Durability.memory
    /// Of those stored: for items that the node's model does not know.
    public var unknownItems = 0
    /// Of those stored: other nodes do not know of them yet.
    public var unshared = 0

    public init() {}
}

extension RecordEventsReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(clamping: stored))
        sink.field(2, UInt32(clamping: duplicates))
        for fault in faults { sink.message(3, fault) }
        sink.field(4, durability.rawValue)
        sink.field(5, UInt32(clamping: unknownItems))
        sink.field(6, UInt32(clamping: unshared))
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__record_events_reply__unpack, body) else {
            throw MessageFault("the body is not a RecordEventsReply")
        }
        let message = decoded.pointee
        stored = Int(message.stored)
        duplicates = Int(message.duplicates)
        for index in 0..<message.n_faults {
            guard let fault = message.faults?[index]?.pointee else { continue }
            faults.append(
                EventFault(
                    event: Int(fault.event), status: EventStatus(rawValue: UInt32(fault.status.rawValue)) ?? .invalid,
                    message: fault.message.text))
        }
        durability = Durability(rawValue: UInt32(message.durability.rawValue)) ?? .memory
        unknownItems = Int(message.unknown_items)
        unshared = Int(message.unshared)
    }
}
