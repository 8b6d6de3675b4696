import CWireMessages

/// The features of the items of a slate that a ranker put in order, fields 17 to 20 of a RecommendReply.
public struct RankerFeatures: Sendable, Hashable {
    /// The ranker's features, of trees also their bias, the last; empty where none gave the order.
    public var features: [String] = []
    /// Indexes of the items that are told of.
    public var items: [UInt32] = []
    /// For each item one for each feature: a number as the ranker takes it, NaN where trees take it as missing; of a category
    /// its row in the field's table, 0 for unknown.
    public var values: [Float] = []
    /// For each item one for each feature: how much higher the score is than with the feature unknown; of trees Shapley values, which
    /// add up to the score before the objective's transform.
    public var contributions: [Float] = []

    public init() {}

    package init(features: [String], items: [UInt32], values: [Float], contributions: [Float]) {
        self.features = features
        self.items = items
        self.values = values
        self.contributions = contributions
    }

    func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(17, features)
        items.withUnsafeBufferPointer { sink.packed(18, $0) }
        values.withUnsafeBufferPointer { sink.packed(19, $0) }
        contributions.withUnsafeBufferPointer { sink.packed(20, $0) }
    }

    init(_ message: Martlet__V1__RecommendReply, items count: Int) throws(MessageFault) {
        features = StringsView(message.features, message.n_features).strings
        items = Array(UnsafeBufferPointer(start: message.ranked_items, count: message.n_ranked_items))
        values = Array(UnsafeBufferPointer(start: message.values, count: message.n_values))
        contributions = Array(UnsafeBufferPointer(start: message.contributions, count: message.n_contributions))
        let cells = items.count * features.count
        try Columns.check("values", values.count, cells)
        try Columns.check("contributions", contributions.count, cells)
        guard items.allSatisfy({ $0 < count }) else {
            throw MessageFault("the answer tells of the ranker's features of items that it does not have")
        }
    }
}
