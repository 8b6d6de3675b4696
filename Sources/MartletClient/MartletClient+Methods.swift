import Vocabulary
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

    /// Many users' slates, each asked for by a call of its own and each with its own outcome, in the order of the requests:
    /// one suspension for all of them. For scenarios, filters or arms that differ; else `recommendMany` is cheaper.
    public func recommendEach(
        _ requests: [RecommendRequest], options: CallOptions = CallOptions()
    ) async -> [Result<RecommendReply, MartletClientError>] {
        await performEach(.recommend, requests, slots: requests.map { Slot(user: $0.user) }, options: options)
    }

    /// As `recommendEach`, for orders of items.
    public func rankEach(
        _ requests: [RankRequest], options: CallOptions = CallOptions()
    ) async -> [Result<RankReply, MartletClientError>] {
        await performEach(
            .rank, requests, slots: requests.map { $0.user.isEmpty ? nil : Slot(user: $0.user) }, options: options)
    }

    /// As `recommendEach`, for items like items.
    public func similarItemsEach(
        _ requests: [SimilarItemsRequest], options: CallOptions = CallOptions()
    ) async -> [Result<SimilarItemsReply, MartletClientError>] {
        await performEach(.similarItems, requests, slots: requests.map { _ in nil }, options: options)
    }

    /// The slates of up to 1024 users, in columns. Of several nodes, each is asked for its own users.
    public func recommendMany(
        _ request: RecommendManyRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecommendManyReply {
        if let whole = try await recommendManyByOwner(request, options) { return whole }
        return try await perform(.recommendMany, request, user: loneOwner(request.users), options: options).reply
    }

    /// Puts items that the caller found in the order of the node's ranker.
    public func rank(
        _ request: RankRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RankReply {
        try await perform(.rank, request, user: request.user.isEmpty ? nil : request.user, options: options).reply
    }

    /// Tells the node what users did, up to 1000 events. Safe to repeat for events that have IDs.
    ///
    /// Of several nodes, each is told of its own users. Where some could not be told, their events have the fault `notStored`
    /// in the reply; the call fails only where none could.
    public func recordEvents(
        _ request: RecordEventsRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> RecordEventsReply {
        if let whole = try await recordEventsByOwner(request, options) { return whole }
        let user = loneOwner(request.events.map(\.user))
        return try await perform(.recordEvents, request, user: user, options: options).reply
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
    ///
    /// Throws FAILED_PRECONDITION from a client of several nodes: which one is not for chance to say.
    public func loadModel(
        _ request: LoadModelRequest, options: CallOptions = CallOptions()
    ) async throws(MartletClientError) -> LoadModelReply {
        if case .cluster = route {
            throw MartletClientError(
                .failedPrecondition,
                "a client of several nodes loads no models: ask each node with a client of its own",
                retryIsSafe: true)
        }
        return try await perform(.loadModel, request, options: options).reply
    }
}

/// For measuring what the client itself costs: the smallest question there is.
extension MartletClient {
    package func askEach(
        _ count: Int, options: CallOptions = CallOptions()
    ) async -> [Result<HealthReply, MartletClientError>] {
        await performEach(
            .health, [EmptyRequest](repeating: EmptyRequest(), count: count),
            slots: [Slot?](repeating: nil, count: count), options: options)
    }
}
