import CWireMessages
import Vocabulary

/// Tells a node of items that are new or have changed.
public struct UpsertItemsRequest: Sendable, Hashable {
    public var tenant = ""
    /// 1 to 1000.
    public var items: [ItemDescription]

    public init(items: [ItemDescription]) { self.items = items }
}

/// Has items never be shown again, or takes all changes of them back.
public struct DeleteItemsRequest: Sendable, Hashable {
    public var tenant = ""
    /// 1 to 1000.
    public var items: [String]
    /// The items are to be what the model says, whatever was changed of them.
    public var restore: Bool

    public init(items: [String], restore: Bool = false) {
        self.items = items
        self.restore = restore
    }
}

/// Says when items may be shown.
public struct SetAvailabilityRequest: Sendable, Hashable {
    public var tenant = ""
    /// 1 to 1000.
    public var items: [ItemWindow]

    public init(items: [ItemWindow]) { self.items = items }
}

extension ProtoSink {
    /// A member of a `oneof`: zero is a value, too.
    fileprivate mutating func member(_ number: Int, _ value: Int64?) {
        guard let value else { return }
        tag(number, 0)
        varint(UInt64(bitPattern: value))
    }
}

extension ItemAttributeValue: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, attribute)
        sink.field(2, texts)
        sink.field(3, number)
    }
}

extension ItemDescription: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, item)
        sink.field(2, title)
        sink.field(3, tags)
        for value in attributes { sink.message(4, value) }
        vector.withUnsafeBufferPointer { sink.packed(5, $0) }
        sink.member(6, fromSeconds)
        sink.member(7, untilSeconds)
    }
}

extension ItemWindow: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, item)
        sink.field(2, isHidden)
        sink.member(3, fromSeconds)
        sink.member(4, untilSeconds)
    }
}

extension UpsertItemsRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        for item in items { sink.message(2, item) }
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let read = try ItemChangeElements.read { () throws(RequestFault) in
            try ItemChangeElements(upserts: body, arena: arena)
        }
        self.init(
            items: read.elements.compactMap {
                if case .upsert(let description) = $0.change { description } else { nil }
            })
        tenant = String(decoding: read.tenant, as: UTF8.self)
    }
}

extension DeleteItemsRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, items)
        sink.field(3, restore)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let read = try ItemChangeElements.read { () throws(RequestFault) in
            try ItemChangeElements(deletions: body, arena: arena)
        }
        self.init(items: read.elements.map(\.change.item))
        if case .restore? = read.elements.first?.change { restore = true }
        tenant = String(decoding: read.tenant, as: UTF8.self)
    }
}

extension SetAvailabilityRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        for item in items { sink.message(2, item) }
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let read = try ItemChangeElements.read { () throws(RequestFault) in
            try ItemChangeElements(windows: body, arena: arena)
        }
        self.init(
            items: read.elements.compactMap { if case .window(let window) = $0.change { window } else { nil } })
        tenant = String(decoding: read.tenant, as: UTF8.self)
    }
}

extension ItemChangeElements {
    fileprivate static func read(
        _ body: () throws(RequestFault) -> ItemChangeElements
    ) throws(MessageFault) -> ItemChangeElements {
        do throws(RequestFault) { return try body() } catch { throw MessageFault(error.message) }
    }
}

/// What became of an item's change.
public enum ItemStatus: UInt32, Sendable, CaseIterable {
    case stored = 0
    /// An ID that is missing or too long, no text, a vector of the wrong length, a window that ends before it begins.
    case invalid = 1
    /// As many items have changes as the node keeps.
    case full = 2
    /// The node could not store it: give it again.
    case notStored = 3
}

/// Why a change of an item is not stored.
public struct ItemFault: Sendable, Hashable {
    /// Its index in the request.
    public var item: Int
    public var status: ItemStatus
    public var message: String

    public init(item: Int, status: ItemStatus, message: String) {
        self.item = item
        self.status = status
        self.message = message
    }
}

extension ItemFault: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(clamping: item))
        sink.field(2, status.rawValue)
        sink.field(3, message)
    }
}

/// What became of changes of items: each is stored, or has a fault.
public struct ChangeItemsReply: Sendable, Hashable {
    public var stored = 0
    /// In the order of the items.
    public var faults: [ItemFault] = []
    public var durability = Durability.memory
    /// Of those stored: items that the node's model does not know.
    public var unknownItems = 0
    /// Of what the node knows of changed items.
    public var version: UInt64 = 0
    /// All of them are where the other nodes see them. False: the node shares nothing, or it does so when it can.
    public var shared = false

    public init() {}
}

extension ChangeItemsReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, UInt32(clamping: stored))
        for fault in faults { sink.message(2, fault) }
        sink.field(3, durability.rawValue)
        sink.field(4, UInt32(clamping: unknownItems))
        sink.field(5, version)
        sink.field(6, shared)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__change_items_reply__unpack, body) else {
            throw MessageFault("the body is not a ChangeItemsReply")
        }
        let message = decoded.pointee
        stored = Int(message.stored)
        for index in 0..<message.n_faults {
            guard let fault = message.faults?[index]?.pointee else { continue }
            faults.append(
                ItemFault(
                    item: Int(fault.item), status: ItemStatus(rawValue: UInt32(fault.status.rawValue)) ?? .invalid,
                    message: fault.message.text))
        }
        durability = Durability(rawValue: UInt32(message.durability.rawValue)) ?? .memory
        unknownItems = Int(message.unknown_items)
        version = message.version
        shared = message.shared != 0
    }
}
