import Serving
import Telemetry

extension UserSharing {
    /// Finds out what other nodes know of a call's users, and says in the request of whom they may know more.
    ///
    /// - Parameter completion: Is called once, on the loop, perhaps before this returns.
    func prepare(_ request: ShardRequest, _ ticket: CallTicket, completion: @escaping (ShardRequest) -> Void) {
        let now = LoopWorker.now
        switch request {
        case .recommend(var request):
            prepare(request.user, deadline: ticket.deadline, now) { [self] isStale in
                request.isUserStale = isStale
                if request.explain { request.userStateAge = age(LoopWorker.now) }
                completion(.recommend(request))
            }
        case .rank(var request):
            prepare(request.user, deadline: ticket.deadline, now) { isStale in
                request.isUserStale = isStale
                completion(.rank(request))
            }
        case .recommendMany(var request):
            var left = request.users.count
            if left == 0 { return completion(.recommendMany(request)) }
            for (position, user) in request.users {
                prepare(user, deadline: ticket.deadline, now) { isStale in
                    if isStale { request.staleUsers.insert(position) }
                    left -= 1
                    if left == 0 { completion(.recommendMany(request)) }
                }
            }
        case .similarItems, .item, .record: completion(request)
        }
    }

    /// What metrics and the status page show.
    func reading(_ now: UInt64) -> SharingReading {
        var reading = SharingReading()
        reading.slots = claims.held
        reading.wholeSlots = claims.whole
        reading.suspectSlots = suspects
        reading.unwritten = unwritten.count
        reading.ageNanoseconds = heardAt == 0 ? now &- startedAt : now &- heardAt
        reading.claims = claims.claims
        reading.losses = claims.losses
        reading.loads = [state.loadsFound, state.loadsAbsent, state.loadsFailed, state.loadsLate, state.scanned]
        reading.writes = state.writes
        reading.writesFailed = state.writesFailed
        reading.compactions = state.compactions
        reading.damages = state.damages
        reading.notices = state.notices
        return reading
    }
}
