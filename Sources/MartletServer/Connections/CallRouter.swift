import Retrieval
import Serving
import Telemetry
import Vocabulary
import Wire

/// The methods beside Recommend: decodes, then hands to the shards or to the node's control.
enum CallRouter {
    static func serve(_ frame: FrameView, _ now: UInt64, _ connection: ConnectionHandler) {
        let header = frame.header
        guard let method = header.method else {
            connection.reject(
                header.callID, Rejection(.unimplemented, "method \(header.code) is not known to this node"))
            return
        }
        let worker = connection.worker
        func ticket(gather: (any CallGather)? = nil) -> CallTicket {
            CallTicket(
                home: worker, connection: connection, callID: header.callID, method: method, arrived: now,
                deadline: worker.node.deadline(header, now), priority: header.callFlags.priority, gather: gather)
        }
        do throws(RequestFault) {
            switch method {
            case .recommend:
                RecommendCalls.serveMiss(frame, now, isBypassed: true, connection)
            case .recommendMany:
                try serveMany(frame, ticket, connection)
            case .similarItems:
                let view = try SimilarItemsRequestView(frame.body, arena: worker.arena)
                try worker.node.check(tenant: view.tenant)
                let request = Serving.SimilarItemsRequest(view)
                let ticket = ticket()
                if connection.open(ticket) { worker.submit(.similarItems(request), ticket) }
            case .rank:
                try serveRank(frame, ticket, connection)
            case .recordEvents:
                try EventCalls.serve(frame, ticket, connection)
            case .upsertItems, .deleteItems, .setAvailability:
                try ItemCalls.serve(method, frame, ticket, connection)
            case .getItem:
                let view = try GetItemRequestView(frame.body, arena: worker.arena)
                try worker.node.check(tenant: view.tenant)
                let item = view.item.text
                let ticket = ticket()
                if connection.open(ticket) { worker.submit(.item(item), ticket) }
            case .health, .listModels:
                try EmptyRequestView.check(frame.body, arena: worker.arena)
                let ticket = ticket()
                if connection.open(ticket, evenWhenDraining: true) {
                    worker.node.control(method == .health ? .health : .listModels, ticket)
                }
            case .loadModel:
                let path = try LoadModelRequestView(frame.body, arena: worker.arena).path.text
                let ticket = ticket()
                if connection.open(ticket) { worker.node.control(.loadModel(path), ticket) }
            }
        } catch {
            connection.reject(header.callID, method: method, Rejection(.invalidArgument, error.message))
        }
    }

    /// Goes to the shard of the user, who may have done something since the model was made.
    private static func serveRank(
        _ frame: FrameView, _ makeTicket: ((any CallGather)?) -> CallTicket, _ connection: ConnectionHandler
    ) throws(RequestFault) {
        let worker = connection.worker
        let view = try RankRequestView(frame.body, arena: worker.arena)
        try worker.node.check(tenant: view.tenant)
        let request = ShardRequest.rank(
            Serving.RankRequest(
                user: view.user.text, items: view.items.strings, context: view.context.texts, explain: view.explain))
        let owner = worker.node.partitions.shard(of: Slot(user: view.user))
        let ticket = makeTicket(nil)
        guard connection.open(ticket) else { return }
        if owner == worker.index {
            worker.submit(request, ticket)
        } else {
            worker.forward(request, ticket, to: owner)
        }
    }

    /// Deals the users to their shards; the parts come back to this loop and are put together.
    private static func serveMany(
        _ frame: FrameView, _ makeTicket: ((any CallGather)?) -> CallTicket, _ connection: ConnectionHandler
    ) throws(RequestFault) {
        let worker = connection.worker
        let view = try RecommendManyRequestView(frame.body, arena: worker.arena)
        try worker.node.check(tenant: view.tenant)
        var template = RecommendationRequest(
            user: "", k: Int(view.k), scenario: view.scenario.text, excludedItems: view.excludeItems.strings,
            filter: ItemFilter(view.filter), context: view.context.texts)
        template.explores = !view.noExploration
        template.seed = view.seed
        if let slates = worker.slates,
            let id = slates.sample(
                scenario: worker.node.scenarioIndex(template.scenario), own: RequestIDExtension.read(frame))
        {
            template.logID = id
        }
        var parts = [[(position: Int, user: String)]](repeating: [], count: worker.node.shardCount)
        for (position, user) in view.users.enumerated() {
            parts[worker.node.partitions.shard(of: Slot(user: user))].append((position, user.text))
        }
        let gather = ManyGather(parts: parts.reduce(0) { $0 + ($1.isEmpty ? 0 : 1) })
        let ticket = makeTicket(gather)
        guard connection.open(ticket) else { return }
        // All parts are made by one generation, whatever the shards hold when they get to them.
        let generation = worker.shard.assumeIsolated { $0.generation }
        for shard in parts.indices where !parts[shard].isEmpty {
            let request = ShardRequest.recommendMany(
                ManyRequest(users: parts[shard], template: template, generation: generation))
            if shard == worker.index {
                worker.submit(request, ticket)
            } else {
                worker.forward(request, ticket, to: shard)
            }
        }
    }
}

extension Serving.SimilarItemsRequest {
    init(_ view: SimilarItemsRequestView) {
        self.init(
            item: view.item.text, k: Int(view.k), source: view.source.text, excludedItems: view.excludeItems.strings,
            filter: ItemFilter(view.filter), includeDetails: view.includeDetails)
    }
}
