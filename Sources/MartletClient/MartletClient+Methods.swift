import Wire

/// The methods of the node. Each throws `MartletClientError`; see Protos/README.md for the codes of each.
extension MartletClient {
    /// One user's slate.
    public func recommend(
        _ request: RecommendRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecommendReply {
        try await perform(.recommend, request, user: request.user, options: options).reply
    }

    /// One user's slate.
    public func recommend(
        user: String, k: Int = 0, scenario: String = "", options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecommendReply {
        try await recommend(RecommendRequest(user: user, k: k, scenario: scenario), options: options)
    }

    /// One user's slate, and what the node says about the answer beside it.
    public func recommendWithInfo(
        _ request: RecommendRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> (reply: RecommendReply, info: ReplyInfo) {
        try await perform(.recommend, request, user: request.user, options: options)
    }

    /// The slates of up to 1024 users, in columns.
    public func recommendMany(
        _ request: RecommendManyRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecommendManyReply {
        try await perform(.recommendMany, request, options: options).reply
    }

    /// Puts items that the caller found in the order of the node's ranker.
    public func rank(
        _ request: RankRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RankReply {
        try await perform(.rank, request, options: options).reply
    }

    /// Tells the node what users did, up to 1000 events. Safe to repeat for events that have IDs.
    public func recordEvents(
        _ request: RecordEventsRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecordEventsReply {
        try await perform(.recordEvents, request, options: options).reply
    }

    /// Tells the node of items that are new or have changed, up to 1000. Safe to repeat.
    public func upsertItems(
        _ request: UpsertItemsRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> ChangeItemsReply {
        try await perform(.upsertItems, request, options: options).reply
    }

    /// Has items never be shown again, up to 1000; or takes all changes of them back. Safe to repeat.
    public func deleteItems(
        _ request: DeleteItemsRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> ChangeItemsReply {
        try await perform(.deleteItems, request, options: options).reply
    }

    /// Says when items may be shown, up to 1000. Safe to repeat.
    public func setAvailability(
        _ request: SetAvailabilityRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> ChangeItemsReply {
        try await perform(.setAvailability, request, options: options).reply
    }

    /// The items most like an item.
    public func similarItems(
        _ request: SimilarItemsRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> SimilarItemsReply {
        try await perform(.similarItems, request, options: options).reply
    }

    /// What the node knows about an item.
    public func getItem(
        _ request: GetItemRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> GetItemReply {
        try await perform(.getItem, request, options: options).reply
    }

    /// Whether and with what the node serves.
    public func health(options: CallOptions = CallOptions()) async throws(MartletClientError) -> HealthReply {
        try await perform(.health, EmptyRequest(), options: options).reply
    }

    /// The bundles under the node's models root.
    public func listModels(options: CallOptions = CallOptions()) async throws(MartletClientError) -> ListModelsReply {
        try await perform(.listModels, EmptyRequest(), options: options).reply
    }

    /// Has the node serve another bundle. Takes as long as the load: give it a timeout that allows for that.
    public func loadModel(
        _ request: LoadModelRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> LoadModelReply {
        try await perform(.loadModel, request, options: options).reply
    }
}
