import CWireMessages

/// Asks for one user's slate.
public struct RecommendRequest: Sendable, Hashable {
    /// "" is the default tenant.
    public var tenant = ""
    /// 1 to 255 bytes of UTF-8; may be empty with `recentItems`.
    public var user: String
    /// 0: the scenario's default.
    public var k = 0
    /// "" is the default scenario.
    public var scenario = ""
    /// Never shown in this answer; unknown IDs are ignored.
    public var excludeItems: [String] = []
    public var filter = AttributeFilter()
    public var context: [ContextEntry] = []
    /// Asks for reasons and stage timings; such answers are not cached.
    public var explain = false
    /// `nextCursor` of the page before.
    public var cursor: [UInt8] = []
    /// Asks for titles.
    public var includeDetails = false
    /// Leaves nothing to chance, whatever the scenario says.
    public var noExploration = false
    /// Of what is left to chance; 0: the node takes one of its own.
    public var seed: UInt64 = 0
    /// Items for places of the first page, at most 16.
    public var pins: [Pin] = []
    /// Items of late, oldest first, at most 200: for who has no user ID, or beside what is known of one.
    public var recentItems: [String] = []

    public init(user: String, k: Int = 0, scenario: String = "") {
        self.user = user
        self.k = k
        self.scenario = scenario
    }
}

extension RecommendRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, tenant)
        sink.field(2, user)
        sink.field(3, UInt32(clamping: k))
        sink.field(4, scenario)
        sink.field(5, excludeItems)
        sink.field(6, filter)
        for entry in context { sink.message(7, entry) }
        sink.field(8, explain)
        sink.field(9, cursor)
        sink.field(10, includeDetails)
        sink.field(11, noExploration)
        sink.field(12, seed)
        for pin in pins { sink.message(13, pin) }
        sink.field(14, recentItems)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        let view: RecommendRequestView
        do throws(RequestFault) {
            view = try RecommendRequestView(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
        self.init(user: String(decoding: view.user, as: UTF8.self), k: Int(view.k))
        tenant = String(decoding: view.tenant, as: UTF8.self)
        scenario = String(decoding: view.scenario, as: UTF8.self)
        excludeItems = view.excludeItems.strings
        filter = AttributeFilter(view.filter)
        context = view.context.entries
        explain = view.explain
        cursor = Array(view.cursor)
        includeDetails = view.includeDetails
        noExploration = view.noExploration
        seed = view.seed
        pins = view.pins.map { Pin(item: String(decoding: $0.item, as: UTF8.self), place: Int($0.place)) }
        recentItems = view.recentItems.strings
    }
}

extension AttributeFilter {
    init(_ view: AttributeFilterView?) {
        self.init()
        guard let view else { return }
        anyTag = view.anyTag.strings
        allTags = view.allTags.strings
        noTag = view.noTag.strings
        conditions = view.conditions.map { AttributeCondition($0) }
    }
}

extension ContextView {
    /// Copies.
    package var entries: [ContextEntry] {
        map {
            ContextEntry(key: String(decoding: $0.key, as: UTF8.self), value: String(decoding: $0.value, as: UTF8.self))
        }
    }
}

/// One user's slate.
public struct RecommendReply: Sendable, Hashable {
    /// In the order they are to be shown: best first, where the scenario does not re-rank.
    public var items: [String] = []
    /// One for each item.
    public var scores: [Float] = []
    /// The node's number of the generation that answered.
    public var generation: UInt64 = 0
    /// "name@version" of its bundle.
    public var model = ""
    public var fallback = Fallback.none
    public var degraded: Degradations = []
    /// Asks for the next page; empty: there is none.
    public var nextCursor: [UInt8] = []
    /// One for each item, or none at all.
    public var titles: [String] = []
    /// One for each item, or none at all.
    public var reasons: [String] = []
    public var shares: [SourceShare] = []
    public var timings: [StageTiming] = []
    /// The experiment's arm.
    public var arm = ""
    /// How many items could have been shown; only where reasons were asked for.
    public var eligibleItems = 0
    /// How probable each item was at its place, given those before it; none where nothing is left to chance.
    public var propensities: [Float] = []
    /// What the draws were made from; 0: nothing was left to chance.
    public var seed: UInt64 = 0
    /// What re-ranking did to each item, or none at all.
    public var placements: [Placement] = []
    /// What the ranker made of items; only where reasons were asked for and a ranker gave the order.
    public var ranking = RankerFeatures()
    /// Under which the node logged the slate, for events to name; "": it did not.
    public var requestID = ""
    /// 0: the slate was made with all that is configured; 1 to 4: with less of it, because the node had too much to do.
    public var qualityLevel = 0

    public init() {}
}

extension RecommendReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, items)
        scores.withUnsafeBufferPointer { sink.packed(2, $0) }
        sink.field(3, generation)
        sink.field(4, model)
        sink.field(5, fallback.rawValue)
        sink.field(6, degraded)
        sink.field(7, nextCursor)
        sink.field(8, titles)
        sink.field(9, reasons)
        for share in shares { sink.message(10, share) }
        for timing in timings { sink.message(11, timing) }
        sink.field(12, arm)
        sink.field(13, UInt32(clamping: eligibleItems))
        propensities.withUnsafeBufferPointer { sink.packed(14, $0) }
        sink.field(15, seed)
        for placement in placements { sink.message(16, placement) }
        ranking.write(to: &sink)
        sink.field(21, requestID)
        sink.field(22, UInt32(clamping: qualityLevel))
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__recommend_reply__unpack, body) else {
            throw MessageFault("the body is not a RecommendReply")
        }
        let message = decoded.pointee
        items = StringsView(message.items, message.n_items).strings
        scores = Array(UnsafeBufferPointer(start: message.scores, count: message.n_scores))
        try Columns.check("scores", scores.count, items.count)
        generation = message.generation
        model = message.model.text
        fallback = Fallback(message.fallback)
        degraded = Degradations(message.degraded, message.n_degraded)
        nextCursor = Array(message.next_cursor.bytes)
        titles = StringsView(message.titles, message.n_titles).strings
        try Columns.check("titles", titles.count, titles.isEmpty ? 0 : items.count)
        reasons = StringsView(message.reasons, message.n_reasons).strings
        try Columns.check("reasons", reasons.count, reasons.isEmpty ? 0 : items.count)
        shares = UnsafeBufferPointer(start: message.shares, count: message.n_shares).compactMap { share in
            share.map { SourceShare($0.pointee) }
        }
        timings = UnsafeBufferPointer(start: message.timings, count: message.n_timings).compactMap { timing in
            timing.map { StageTiming(stage: $0.pointee.stage.text, microseconds: $0.pointee.microseconds) }
        }
        arm = message.arm.text
        eligibleItems = Int(message.eligible_items)
        propensities = Array(UnsafeBufferPointer(start: message.propensities, count: message.n_propensities))
        try Columns.check("propensities", propensities.count, propensities.isEmpty ? 0 : items.count)
        seed = message.seed
        placements = UnsafeBufferPointer(start: message.placements, count: message.n_placements).compactMap {
            placement in placement.map { Placement($0.pointee) }
        }
        try Columns.check("placements", placements.count, placements.isEmpty ? 0 : items.count)
        ranking = try RankerFeatures(message, items: items.count)
        requestID = message.request_id.text
        qualityLevel = Int(message.quality_level)
    }
}

extension SourceShare {
    init(_ share: Martlet__V1__SourceShare) {
        self.init(
            item: Int(share.item), source: share.source.text, rank: Int(share.rank), score: share.score,
            contribution: share.contribution)
    }
}

/// Columns of one answer have one length.
enum Columns {
    static func check(_ name: StaticString, _ count: Int, _ expected: Int) throws(MessageFault) {
        guard count == expected else {
            throw MessageFault("the answer has \(count) \(name) where \(expected) belong")
        }
    }
}
