import CWireMessages

/// Asks for the order of items that the caller found.
public struct RankRequest: Sendable, Hashable {
    public var tenant = ""
    /// May be one that the model does not know.
    public var user: String
    /// 1 to 10 000; with `explain` at most 200.
    public var items: [String]
    public var context: [ContextEntry] = []
    /// Asks for features, their values and contributions.
    public var explain = false

    public init(user: String, items: [String]) {
        self.user = user
        self.items = items
    }
}

extension RankRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, user)
        sink.field(3, items)
        for entry in context { sink.message(4, entry) }
        sink.field(5, explain)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let view: RankRequestView
        do throws(RequestFault) {
            view = try RankRequestView(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
        self.init(user: String(decoding: view.user, as: UTF8.self), items: view.items.strings)
        tenant = String(decoding: view.tenant, as: UTF8.self)
        context = view.context.entries
        explain = view.explain
    }
}

/// The caller's items, best first.
public struct RankReply: Sendable, Hashable {
    /// Indexes into the request's items.
    public var places: [UInt32] = []
    /// One for each place: a network's logits (0 is even odds), or what trees predict.
    public var scores: [Float] = []
    /// Indexes of items that the model does not know.
    public var unknown: [UInt32] = []
    public var generation: UInt64 = 0
    public var model = ""
    /// With `explain`: the ranker's features; of trees also "(bias)", the last.
    public var features: [String] = []
    /// For each place one for each feature: a number as the ranker takes it; of a category its row in the field's table, 0
    /// for unknown; a number that is missing to trees is NaN.
    public var values: [Float] = []
    /// For each place one for each feature: how much higher the score is than with the feature unknown; of trees Shapley
    /// values, which add up to the score before any transform.
    public var contributions: [Float] = []
    public var degraded: Degradations = []

    public init() {}
}

extension RankReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        places.withUnsafeBufferPointer { sink.packed(1, $0) }
        scores.withUnsafeBufferPointer { sink.packed(2, $0) }
        unknown.withUnsafeBufferPointer { sink.packed(3, $0) }
        sink.field(4, generation)
        sink.field(5, model)
        sink.field(6, features)
        values.withUnsafeBufferPointer { sink.packed(7, $0) }
        contributions.withUnsafeBufferPointer { sink.packed(8, $0) }
        sink.field(9, degraded)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__rank_reply__unpack, body) else {
            throw MessageFault("the body is not a RankReply")
        }
        let message = decoded.pointee
        places = Array(UnsafeBufferPointer(start: message.places, count: message.n_places))
        scores = Array(UnsafeBufferPointer(start: message.scores, count: message.n_scores))
        try Columns.check("scores", scores.count, places.count)
        unknown = Array(UnsafeBufferPointer(start: message.unknown, count: message.n_unknown))
        generation = message.generation
        model = message.model.text
        features = StringsView(message.features, message.n_features).strings
        values = Array(UnsafeBufferPointer(start: message.values, count: message.n_values))
        contributions = Array(UnsafeBufferPointer(start: message.contributions, count: message.n_contributions))
        degraded = Degradations(message.degraded, message.n_degraded)
        let cells = places.count * features.count
        try Columns.check("values", values.count, cells)
        try Columns.check("contributions", contributions.count, cells)
    }
}
