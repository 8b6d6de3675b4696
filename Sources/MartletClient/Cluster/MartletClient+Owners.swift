import Vocabulary
import Wire

/// Calls about many users, for clients of several nodes: each owner gets the part that is about its users.
extension MartletClient {
    /// The places of the users of each owner; nil where one node has them all, or there is one node only.
    private func parts(_ users: [String]) async -> [[Int]]? {
        guard case .cluster(let cluster) = route, users.count > 1 else { return nil }
        let slots = users.map { Slot(user: $0) }
        let owners = await cluster.loop().ask { cluster in slots.map { cluster.policy.ownerNow(of: $0) ?? -1 } }
        guard let owners else { return nil }
        var places: [Int: [Int]] = [:]
        for (place, owner) in owners.enumerated() { places[owner, default: []].append(place) }
        return places.count > 1 ? places.keys.sorted().compactMap { places[$0] } : nil
    }

    /// A user whose owner has all of them; nil for one node, which sends each part to its shard.
    func loneOwner(_ users: @autoclosure () -> [String]) -> String? {
        guard case .cluster = route else { return nil }
        return users().first
    }

    /// What became of each part, in their order.
    private func perform<Request: MessageBody, Reply: MessageBody>(
        _ method: Wire.Method, _ requests: [Request], users: [String], _ options: CallOptions,
        _: Reply.Type = Reply.self
    ) async throws(MartletClientError) -> [Result<Reply, MartletClientError>] {
        let outcomes: [Result<Reply, MartletClientError>] = await performEach(
            method, requests, slots: users.map { Slot(user: $0) }, options: options)
        let failures = outcomes.compactMap { outcome in
            if case .failure(let error) = outcome { error } else { nil }
        }
        if failures.count == outcomes.count, let first = failures.first { throw first }
        // A caller that has gone is told so, not of parts.
        if let gone = failures.first(where: { $0.code == .cancelled }) { throw gone }
        return outcomes
    }

    /// nil: there is one owner.
    func recordEventsByOwner(
        _ request: RecordEventsRequest, _ options: CallOptions
    ) async throws(MartletClientError) -> RecordEventsReply? {
        guard let parts = await parts(request.events.map(\.user)) else { return nil }
        let requests = parts.map { places in
            var part = request
            part.events = places.map { request.events[$0] }
            return part
        }
        let outcomes: [Result<RecordEventsReply, MartletClientError>] = try await perform(
            .recordEvents, requests, users: parts.map { request.events[$0[0]].user }, options)
        var whole = RecordEventsReply()
        whole.durability = .synced
        for (places, outcome) in zip(parts, outcomes) {
            switch outcome {
            case .success(let reply):
                whole.stored += reply.stored
                whole.duplicates += reply.duplicates
                whole.unknownItems += reply.unknownItems
                if reply.durability.rawValue < whole.durability.rawValue { whole.durability = reply.durability }
                for fault in reply.faults where places.indices.contains(fault.event) {
                    whole.faults.append(
                        EventFault(event: places[fault.event], status: fault.status, message: fault.message))
                }
            case .failure(let error):
                let message =
                    error.retryIsSafe ? error.message : "\(error.message); it may have been stored all the same"
                whole.faults += places.map { EventFault(event: $0, status: .notStored, message: message) }
            }
        }
        whole.faults.sort { $0.event < $1.event }
        return whole
    }

    /// nil: there is one owner.
    func recommendManyByOwner(
        _ request: RecommendManyRequest, _ options: CallOptions
    ) async throws(MartletClientError) -> RecommendManyReply? {
        guard let parts = await parts(request.users) else { return nil }
        let requests = parts.map { places in
            var part = request
            part.users = places.map { request.users[$0] }
            return part
        }
        var options = options
        // One ID for all: else each node would make its own, and the reply has room for one.
        if options.requestID.isEmpty {
            options.requestID = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        }
        let outcomes: [Result<RecommendManyReply, MartletClientError>] = try await perform(
            .recommendMany, requests, users: parts.map { request.users[$0[0]] }, options)
        // Where each user's slate is: part, place in it, items.
        var sources: [(part: Int, place: Int, items: Range<Int>)] = Array(
            repeating: (0, 0, 0..<0), count: request.users.count)
        var replies: [RecommendManyReply?] = []
        for (part, outcome) in outcomes.enumerated() {
            let reply = try? outcome.get()
            let slates = reply?.slates ?? []
            for (place, user) in parts[part].enumerated() {
                sources[user] = (part, place, place < slates.count ? slates[place] : 0..<0)
            }
            replies.append(reply)
        }
        var whole = RecommendManyReply()
        let known = replies.compactMap(\.self)
        let hasPropensities = known.allSatisfy { $0.items.isEmpty || !$0.propensities.isEmpty }
        whole.generation = known.first?.generation ?? 0
        whole.model = known.first?.model ?? ""
        whole.requestID = known.first { !$0.requestID.isEmpty }?.requestID ?? ""
        for (part, place, items) in sources {
            whole.itemCounts.append(UInt32(items.count))
            guard let reply = replies[part], place < reply.statuses.count else {
                whole.fallbacks.append(.none)
                whole.statuses.append(code(of: outcomes[part]))
                continue
            }
            whole.items += reply.items[items]
            whole.scores += reply.scores[items]
            if hasPropensities, !reply.propensities.isEmpty { whole.propensities += reply.propensities[items] }
            whole.fallbacks.append(reply.fallbacks[place])
            whole.statuses.append(reply.statuses[place])
        }
        return whole
    }

    private func code(of outcome: Result<RecommendManyReply, MartletClientError>) -> StatusCode {
        if case .failure(let error) = outcome { error.code } else { .internal }
    }
}
