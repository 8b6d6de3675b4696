import CWireMessages
import Vocabulary

/// Asks for the slates of many users.
public struct RecommendManyRequest: Sendable, Hashable {
    public var tenant = ""
    /// 1 to 1024.
    public var users: [String]
    /// 0: the scenario's default.
    public var k = 0
    public var scenario = ""
    public var excludeItems: [String] = []
    public var filter = AttributeFilter()
    public var context: [ContextEntry] = []
    /// Leaves nothing to chance, whatever the scenario says.
    public var noExploration = false
    /// Each user's draws are made from it and the user; 0: the node's own.
    public var seed: UInt64 = 0

    public init(users: [String], k: Int = 0, scenario: String = "") {
        self.users = users
        self.k = k
        self.scenario = scenario
    }
}

extension RecommendManyRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, users)
        sink.field(3, UInt32(clamping: k))
        sink.field(4, scenario)
        sink.field(5, excludeItems)
        sink.field(6, filter)
        for entry in context { sink.message(7, entry) }
        sink.field(8, noExploration)
        sink.field(9, seed)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let view: RecommendManyRequestView
        do throws(RequestFault) {
            view = try RecommendManyRequestView(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
        self.init(users: view.users.strings, k: Int(view.k))
        tenant = String(decoding: view.tenant, as: UTF8.self)
        scenario = String(decoding: view.scenario, as: UTF8.self)
        excludeItems = view.excludeItems.strings
        filter = AttributeFilter(view.filter)
        context = view.context.entries
        noExploration = view.noExploration
        seed = view.seed
    }
}

/// The slates of many users, in columns.
public struct RecommendManyReply: Sendable, Hashable {
    /// One for each user, in the order asked.
    public var itemCounts: [UInt32] = []
    /// The slates one after the other.
    public var items: [String] = []
    /// One for each item.
    public var scores: [Float] = []
    /// One for each user.
    public var fallbacks: [Fallback] = []
    /// One for each user; `.ok`, or why that user's slate is empty.
    public var statuses: [StatusCode] = []
    public var generation: UInt64 = 0
    public var model = ""
    /// How probable each item was at its place, given those before it; none where nothing is left to chance.
    public var propensities: [Float] = []
    /// Under which the node logged the slates, for events to name; "": it did not.
    public var requestID = ""
    /// As in `RecommendReply`, of the slate for which least was done.
    public var qualityLevel = 0
    /// One for each user; empty: nothing was less than it should be about any.
    public var degraded: [Degradations] = []

    public init() {}

    /// Indexes of users of whom another node may know something that this one did not.
    public var staleUsers: [Int] { degraded.indices.filter { degraded[$0].contains(.staleUserState) } }

    /// The slates, one for each user: its range in `items` and `scores`.
    ///
    /// - Complexity: O(users).
    public var slates: [Range<Int>] {
        var start = 0
        return itemCounts.map { count in
            defer { start += Int(count) }
            return start..<(start + Int(count))
        }
    }
}

extension RecommendManyReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        itemCounts.withUnsafeBufferPointer { sink.packed(1, $0) }
        sink.field(2, items)
        scores.withUnsafeBufferPointer { sink.packed(3, $0) }
        fallbacks.map(\.rawValue).withUnsafeBufferPointer { sink.packed(4, $0) }
        statuses.map { UInt32($0.rawValue) }.withUnsafeBufferPointer { sink.packed(5, $0) }
        sink.field(6, generation)
        sink.field(7, model)
        propensities.withUnsafeBufferPointer { sink.packed(8, $0) }
        sink.field(9, requestID)
        degraded.map(\.rawValue).withUnsafeBufferPointer { sink.packed(10, $0) }
        sink.field(11, UInt32(clamping: qualityLevel))
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__recommend_many_reply__unpack, body) else {
            throw MessageFault("the body is not a RecommendManyReply")
        }
        let message = decoded.pointee
        itemCounts = Array(UnsafeBufferPointer(start: message.item_counts, count: message.n_item_counts))
        items = StringsView(message.items, message.n_items).strings
        scores = Array(UnsafeBufferPointer(start: message.scores, count: message.n_scores))
        fallbacks = UnsafeBufferPointer(start: message.fallbacks, count: message.n_fallbacks).map { Fallback($0) }
        statuses = UnsafeBufferPointer(start: message.statuses, count: message.n_statuses).map {
            UInt8(exactly: $0).flatMap(StatusCode.init(rawValue:)) ?? .unknown
        }
        generation = message.generation
        model = message.model.text
        propensities = Array(UnsafeBufferPointer(start: message.propensities, count: message.n_propensities))
        requestID = message.request_id.text
        qualityLevel = Int(message.quality_level)
        degraded = UnsafeBufferPointer(start: message.degraded, count: message.n_degraded).map {
            Degradations(rawValue: $0)
        }
        try Columns.check("degraded", degraded.count, degraded.isEmpty ? 0 : itemCounts.count)
        try Columns.check("propensities", propensities.count, propensities.isEmpty ? 0 : items.count)
        try Columns.check("scores", scores.count, items.count)
        try Columns.check("items", items.count, itemCounts.reduce(0) { $0 + Int($1) })
        try Columns.check("fallbacks", fallbacks.count, itemCounts.count)
        try Columns.check("statuses", statuses.count, itemCounts.count)
    }
}
