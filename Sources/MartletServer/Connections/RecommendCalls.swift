import Retrieval
import Serving
import Telemetry
import Vocabulary
import Wire

/// The way of a Recommend that the connection's own result cache could not answer.
///
/// ```
///  serveMiss        on the connection's loop: decode, find the user's shard
///    here           submit
///    elsewhere      forward the bytes; serveForwarded there: its cache, then decode and submit
/// ```
enum RecommendCalls {
    /// Begins on the connection's loop.
    static func serveMiss(_ frame: FrameView, _ now: UInt64, isBypassed: Bool, _ connection: ConnectionHandler) {
        let worker = connection.worker
        let ticket = CallTicket(
            home: worker, connection: connection, callID: frame.header.callID, method: .recommend, arrived: now,
            deadline: worker.node.deadline(frame.header, now), cacheKey: isBypassed ? nil : Array(frame.body),
            requestID: worker.slates == nil ? nil : RequestIDExtension.read(frame),
            priority: frame.header.callFlags.priority)
        guard connection.open(ticket) else { return }
        // The header's slot is a hint that saves decoding here; the owner checks it.
        if let slot = frame.header.slot {
            let owner = worker.node.partitions.shard(of: slot)
            if owner != worker.index {
                worker.forward(LoopWorker.ForwardedCall(ticket: ticket, body: Array(frame.body)), to: owner)
                return
            }
        }
        decodeAndSubmit(ticket, frame.body, on: worker)
    }

    /// Goes on where the user's shard is thought to be.
    static func serveForwarded(_ ticket: CallTicket, body: UnsafeRawBufferPointer, on worker: LoopWorker) {
        let now = LoopWorker.now
        if ticket.cacheKey != nil {
            // The bytes outlive the call and are only read.
            nonisolated(unsafe) let body = body
            let isAnswered = worker.shard.assumeIsolated { shard in
                guard let answer = shard.answer(to: body, now: now) else { return false }
                let suffix = worker.suffix(
                    of: answer.body, by: answer.generation, scenario: Int(answer.tag), request: body,
                    own: ticket.requestID)
                worker.metrics.countHits(
                    1, scenario: Int(answer.tag), nanoseconds: now &- ticket.arrived, stale: answer.isStale ? 1 : 0)
                worker.replyRemotely(
                    ticket, status: .ok, flags: answer.flags,
                    microseconds: UInt32(clamping: (now &- ticket.arrived) / 1000),
                    load: worker.loadHint(shard.depth), body: answer.body, suffix: suffix)
                if answer.wantsRefresh { worker.refilling.add(stale: Array(body)) }
                return true
            }
            if isAnswered { return }
        }
        decodeAndSubmit(ticket, body, on: worker)
    }

    private static func decodeAndSubmit(
        _ ticket: CallTicket, _ body: UnsafeRawBufferPointer, on worker: LoopWorker
    ) {
        let started = LoopWorker.now
        do throws(RequestFault) {
            let view = try RecommendRequestView(body, arena: worker.arena)
            try worker.node.check(tenant: view.tenant)
            // Nobody's request is served where it came in.
            let owner = view.user.isEmpty ? worker.index : worker.node.partitions.shard(of: Slot(user: view.user))
            guard owner == worker.index else {
                // No slot was given, or a wrong one.
                worker.forward(LoopWorker.ForwardedCall(ticket: ticket, body: Array(body)), to: owner)
                return
            }
            var request = RecommendationRequest(view)
            ticket.scenario = request.scenario
            if let slates = worker.slates,
                let id = slates.sample(
                    scenario: worker.node.scenarioIndex(request.scenario), own: ticket.requestID)
            {
                request.logID = id
            }
            worker.metrics.record(.decode, nanoseconds: LoopWorker.now &- started)
            worker.metrics.countCache(.l1, ticket.cacheKey == nil ? .bypass : .miss)
            compute(request, ticket, on: worker)
        } catch {
            worker.refuse(ticket, Rejection(.invalidArgument, error.message))
        }
    }

    /// Asks the cache beside the node first, where there is one and the answer may be kept.
    private static func compute(_ request: RecommendationRequest, _ ticket: CallTicket, on worker: LoopWorker) {
        guard let shared = worker.sharedCache, let key = ticket.cacheKey, !request.explain, request.cursor.isEmpty
        else {
            return worker.submit(.recommend(request), ticket)
        }
        guard let origin = worker.shard.assumeIsolated({ $0.origin(ofAnswersTo: request.user, in: request.scenario) })
        else {
            worker.metrics.countShared(.ownKnowledge)
            return worker.submit(.recommend(request), ticket)
        }
        ticket.origin = origin
        shared.lookUp(key, origin) { found in
            // Events may have come while Redis was asked, or another generation.
            guard let found, !ticket.isCancelled,
                worker.shard.assumeIsolated({ $0.origin(ofAnswersTo: request.user, in: request.scenario) }) == origin
            else { return worker.submit(.recommend(request), ticket) }
            worker.answer(found, origin, ticket)
        }
    }
}

extension RecommendationRequest {
    /// Copies what the shard needs out of a decoded message.
    init(_ view: RecommendRequestView) {
        self.init(
            user: String(decoding: view.user, as: UTF8.self), k: Int(view.k), scenario: view.scenario.text,
            excludedItems: view.excludeItems.strings, filter: ItemFilter(view.filter),
            explain: view.explain, cursor: Array(view.cursor), includeDetails: view.includeDetails,
            context: view.context.texts)
        explores = !view.noExploration
        seed = view.seed
        recentItems = view.recentItems.strings
        pins = view.pins.map { RerankingConfiguration.Pin(item: $0.item.text, place: Int($0.place)) }
    }
}

extension ContextView {
    /// The last of entries with the same key counts.
    var texts: [String: String] {
        Dictionary(map { ($0.key.text, $0.value.text) }, uniquingKeysWith: { $1 })
    }
}

extension ItemFilter {
    init(_ view: AttributeFilterView?) {
        self.init()
        guard let view else { return }
        anyTag = view.anyTag.strings
        allTags = view.allTags.strings
        noTag = view.noTag.strings
        conditions = view.conditions.map {
            ItemCondition(
                $0.attribute.text, anyOf: $0.anyOf.strings, noneOf: $0.noneOf.strings, min: $0.min, max: $0.max)
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The text of checked UTF-8; no allocation when it is short.
    var text: String { isEmpty ? "" : String(decoding: self, as: UTF8.self) }
}
