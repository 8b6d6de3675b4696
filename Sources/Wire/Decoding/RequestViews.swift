import CWireMessages

// Requests as the node reads them: pointers into a DecodeArena, nothing copied to the heap.
//
// A view and every pointer got from it are valid until the next decode with the same arena. A handler that goes on
// later copies what it needs first. All checks of Protos/README.md that need no catalogue have been made.

/// A decoded `RecommendRequest`.
package struct RecommendRequestView {
    private let message: UnsafeMutablePointer<Martlet__V1__RecommendRequest>
    package let filter: AttributeFilterView?
    package let context: ContextView
    package let pins: PinsView

    /// - Throws: `RequestFault` when `body` is not such a message, too expensive to decode, or breaks a rule.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__recommend_request__unpack, body) else {
            throw RequestFault("the body is not a RecommendRequest")
        }
        message = decoded
        filter = try AttributeFilterView.checking(message.pointee.filter)
        context = try ContextView(checking: message.pointee.context, message.pointee.n_context)
        pins = try PinsView(checking: message.pointee.pins, message.pointee.n_pins)
        try FieldChecks.ids(recentItems, "recent_items", most: RequestLimits.recentItemsMax)
        if !user.isEmpty || recentItems.isEmpty { try FieldChecks.id(user, "user") }
        try FieldChecks.text(tenant, "tenant")
        try FieldChecks.text(scenario, "scenario")
        try FieldChecks.k(k)
        try FieldChecks.ids(excludeItems, "exclude_items", most: RequestLimits.excludeItemsMax)
        guard cursor.count <= RequestLimits.cursorBytesMax else {
            throw RequestFault("cursor has \(cursor.count) bytes; at most \(RequestLimits.cursorBytesMax) are allowed")
        }
    }

    package var tenant: UnsafeRawBufferPointer { message.pointee.tenant.bytes }
    /// Empty only where there are recent items.
    package var user: UnsafeRawBufferPointer { message.pointee.user.bytes }
    /// Oldest first.
    package var recentItems: StringsView {
        StringsView(message.pointee.recent_items, message.pointee.n_recent_items)
    }
    /// `0...RequestLimits.kMax`; 0: the scenario's default.
    package var k: UInt32 { message.pointee.k }
    package var scenario: UnsafeRawBufferPointer { message.pointee.scenario.bytes }
    package var excludeItems: StringsView {
        StringsView(message.pointee.exclude_items, message.pointee.n_exclude_items)
    }
    package var explain: Bool { message.pointee.explain != 0 }
    package var cursor: UnsafeRawBufferPointer { message.pointee.cursor.bytes }
    package var includeDetails: Bool { message.pointee.include_details != 0 }
    package var noExploration: Bool { message.pointee.no_exploration != 0 }
    /// 0: none was given.
    package var seed: UInt64 { message.pointee.seed }
}

/// A decoded `RecommendManyRequest`.
package struct RecommendManyRequestView {
    private let message: UnsafeMutablePointer<Martlet__V1__RecommendManyRequest>
    package let filter: AttributeFilterView?
    package let context: ContextView

    /// - Throws: `RequestFault`, as `RecommendRequestView` does. A bad user ID fails the call; no users are an error.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__recommend_many_request__unpack, body) else {
            throw RequestFault("the body is not a RecommendManyRequest")
        }
        message = decoded
        filter = try AttributeFilterView.checking(message.pointee.filter)
        context = try ContextView(checking: message.pointee.context, message.pointee.n_context)
        try FieldChecks.ids(users, "users", most: RequestLimits.usersMax)
        guard users.count > 0 else { throw RequestFault("users is empty; 1 to \(RequestLimits.usersMax) are allowed") }
        try FieldChecks.text(tenant, "tenant")
        try FieldChecks.text(scenario, "scenario")
        try FieldChecks.k(k)
        try FieldChecks.ids(excludeItems, "exclude_items", most: RequestLimits.excludeItemsMax)
    }

    package var tenant: UnsafeRawBufferPointer { message.pointee.tenant.bytes }
    package var users: StringsView { StringsView(message.pointee.users, message.pointee.n_users) }
    package var noExploration: Bool { message.pointee.no_exploration != 0 }
    /// 0: none was given.
    package var seed: UInt64 { message.pointee.seed }
    package var k: UInt32 { message.pointee.k }
    package var scenario: UnsafeRawBufferPointer { message.pointee.scenario.bytes }
    package var excludeItems: StringsView {
        StringsView(message.pointee.exclude_items, message.pointee.n_exclude_items)
    }
}

/// A decoded `SimilarItemsRequest`.
package struct SimilarItemsRequestView {
    private let message: UnsafeMutablePointer<Martlet__V1__SimilarItemsRequest>
    package let filter: AttributeFilterView?

    /// - Throws: `RequestFault`, as `RecommendRequestView` does.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__similar_items_request__unpack, body) else {
            throw RequestFault("the body is not a SimilarItemsRequest")
        }
        message = decoded
        filter = try AttributeFilterView.checking(message.pointee.filter)
        try FieldChecks.id(item, "item")
        try FieldChecks.text(tenant, "tenant")
        try FieldChecks.text(source, "source")
        try FieldChecks.k(k)
        try FieldChecks.ids(excludeItems, "exclude_items", most: RequestLimits.excludeItemsMax)
    }

    package var tenant: UnsafeRawBufferPointer { message.pointee.tenant.bytes }
    package var item: UnsafeRawBufferPointer { message.pointee.item.bytes }
    /// 0: 20.
    package var k: UInt32 { message.pointee.k }
    package var source: UnsafeRawBufferPointer { message.pointee.source.bytes }
    package var excludeItems: StringsView {
        StringsView(message.pointee.exclude_items, message.pointee.n_exclude_items)
    }
    package var includeDetails: Bool { message.pointee.include_details != 0 }
}

/// A decoded `RankRequest`.
package struct RankRequestView {
    private let message: UnsafeMutablePointer<Martlet__V1__RankRequest>
    package let context: ContextView

    /// - Throws: `RequestFault`, as `RecommendRequestView` does.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__rank_request__unpack, body) else {
            throw RequestFault("the body is not a RankRequest")
        }
        message = decoded
        context = try ContextView(checking: message.pointee.context, message.pointee.n_context)
        try FieldChecks.id(user, "user")
        try FieldChecks.text(tenant, "tenant")
        guard items.count > 0 else {
            throw RequestFault("items is empty; 1 to \(RequestLimits.rankItemsMax) are allowed")
        }
        try FieldChecks.ids(items, "items", most: RequestLimits.rankItemsMax)
    }

    package var tenant: UnsafeRawBufferPointer { message.pointee.tenant.bytes }
    package var user: UnsafeRawBufferPointer { message.pointee.user.bytes }
    package var items: StringsView { StringsView(message.pointee.items, message.pointee.n_items) }
    package var explain: Bool { message.pointee.explain != 0 }
}

/// A decoded `GetItemRequest`.
package struct GetItemRequestView {
    package let tenant: UnsafeRawBufferPointer
    package let item: UnsafeRawBufferPointer

    /// - Throws: `RequestFault`, as `RecommendRequestView` does.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__get_item_request__unpack, body) else {
            throw RequestFault("the body is not a GetItemRequest")
        }
        let message = decoded.pointee
        tenant = message.tenant.bytes
        item = message.item.bytes
        try FieldChecks.id(item, "item")
        try FieldChecks.text(tenant, "tenant")
    }
}

/// A decoded `LoadModelRequest`.
package struct LoadModelRequestView {
    /// Relative to the models root; not checked beyond being text.
    package let path: UnsafeRawBufferPointer

    /// - Throws: `RequestFault`, as `RecommendRequestView` does.
    package init(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__load_model_request__unpack, body) else {
            throw RequestFault("the body is not a LoadModelRequest")
        }
        path = decoded.pointee.path.bytes
        try FieldChecks.text(path, "path", most: RequestLimits.pathBytesMax)
        guard path.count > 0 else { throw RequestFault("path is missing or empty") }
    }
}

/// Checks the body of a request without fields: Health, ListModels.
package enum EmptyRequestView {
    /// - Throws: `RequestFault` when `body` is not a protobuf message. Unknown fields are fine.
    package static func check(_ body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        if body.count == 0 { return }
        guard arena.unpack(martlet__v1__health_request__unpack, body) != nil else {
            throw RequestFault("the body is not a protobuf message")
        }
    }
}
