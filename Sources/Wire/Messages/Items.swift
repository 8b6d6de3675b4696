import CWireMessages

/// Asks for the items most like an item.
public struct SimilarItemsRequest: Sendable, Hashable {
    public var tenant = ""
    public var item: String
    /// 0: 20.
    public var k = 0
    /// "item_to_item" (also when empty), "als" or "spectral".
    public var source = ""
    public var excludeItems: [String] = []
    public var filter = AttributeFilter()
    /// Asks for titles.
    public var includeDetails = false

    public init(item: String, k: Int = 0, source: String = "") {
        self.item = item
        self.k = k
        self.source = source
    }
}

extension SimilarItemsRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, item)
        sink.field(3, UInt32(clamping: k))
        sink.field(4, source)
        sink.field(5, excludeItems)
        sink.field(6, filter)
        sink.field(7, includeDetails)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let view: SimilarItemsRequestView
        do throws(RequestFault) {
            view = try SimilarItemsRequestView(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
        self.init(
            item: String(decoding: view.item, as: UTF8.self), k: Int(view.k),
            source: String(decoding: view.source, as: UTF8.self))
        tenant = String(decoding: view.tenant, as: UTF8.self)
        excludeItems = view.excludeItems.strings
        filter = AttributeFilter(view.filter)
        includeDetails = view.includeDetails
    }
}

/// Items like an item.
public struct SimilarItemsReply: Sendable, Hashable {
    /// Best first.
    public var items: [String] = []
    /// One for each item.
    public var scores: [Float] = []
    public var generation: UInt64 = 0
    public var model = ""
    public var source = ""
    /// One for each item, or none at all.
    public var titles: [String] = []

    public init() {}
}

extension SimilarItemsReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, items)
        scores.withUnsafeBufferPointer { sink.packed(2, $0) }
        sink.field(3, generation)
        sink.field(4, model)
        sink.field(5, source)
        sink.field(6, titles)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__similar_items_reply__unpack, body) else {
            throw MessageFault("the body is not a SimilarItemsReply")
        }
        let message = decoded.pointee
        items = StringsView(message.items, message.n_items).strings
        scores = Array(UnsafeBufferPointer(start: message.scores, count: message.n_scores))
        try Columns.check("scores", scores.count, items.count)
        generation = message.generation
        model = message.model.text
        source = message.source.text
        titles = StringsView(message.titles, message.n_titles).strings
        try Columns.check("titles", titles.count, titles.isEmpty ? 0 : items.count)
    }
}

/// Asks what is known about an item.
public struct GetItemRequest: Sendable, Hashable {
    public var tenant = ""
    public var item: String

    public init(item: String) { self.item = item }
}

extension GetItemRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, item)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        do throws(RequestFault) {
            let view = try GetItemRequestView(body, arena: arena)
            item = String(decoding: view.item, as: UTF8.self)
            tenant = String(decoding: view.tenant, as: UTF8.self)
        } catch {
            throw MessageFault(error.message)
        }
    }
}

/// What is known about an item.
public struct GetItemReply: Sendable, Hashable {
    public var item = ""
    public var title = ""
    public var tags: [String] = []
    /// In the training data.
    public var interactions: UInt64 = 0
    /// 1 is the most popular.
    public var popularityRank: UInt32 = 0
    public var generation: UInt64 = 0
    public var model = ""

    public init() {}
}

extension GetItemReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, item)
        sink.field(2, title)
        sink.field(3, tags)
        sink.field(4, interactions)
        sink.field(5, popularityRank)
        sink.field(6, generation)
        sink.field(7, model)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__get_item_reply__unpack, body) else {
            throw MessageFault("the body is not a GetItemReply")
        }
        let message = decoded.pointee
        item = message.item.text
        title = message.title.text
        tags = StringsView(message.tags, message.n_tags).strings
        interactions = message.interactions
        popularityRank = message.popularity_rank
        generation = message.generation
        model = message.model.text
    }
}
