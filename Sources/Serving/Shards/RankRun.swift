import CandidateRanking
import VectorMath
import Vocabulary

/// Items that the caller found, in the order of the bundle's ranker.
final class RankRun: ShardRun {
    private let engine: Engine
    private let request: RankRequest
    private let seat: RankingSeat
    private let user: UInt32?
    private var history = UserHistory()
    /// As of the call's beginning, for all of its items.
    private let live: LiveReadings
    /// The known items, by their place in the request.
    private var known: [(place: UInt32, row: UInt32)] = []
    private var unknown: [UInt32] = []
    private var scores: [Float] = []
    /// Items whose features are under work.
    private var chunk = 0..<0
    private var contributions: FeatureContributions?
    private var started: UInt64 = 0
    private(set) var times = StageTimes()
    private(set) var answer = ShardAnswer.rejected(Rejection(.internalFault, "the run has not ended"))

    /// Items of a call that explains.
    static let explainedMax = 200
    /// Items whose features are computed in one step: about 100 microseconds.
    private static let chunkItems = 256

    /// - Throws: `Rejection` when the bundle has no ranker, or too much is to be explained.
    init(engine: Engine, seat: RankingSeat?, request: RankRequest) throws {
        guard let seat else {
            throw Rejection(
                .failedPrecondition, "the bundle holds no ranker; train it with --ranker, or load one that has")
        }
        if request.explain, request.items.count > Self.explainedMax {
            throw Rejection(
                .invalidArgument, "\(request.items.count) items; at most \(Self.explainedMax) with explain")
        }
        self.engine = engine
        self.request = request
        self.seat = seat
        let model = engine.generation.model
        user = model.users.row(of: request.user)
        let overlay = engine.overlay
        history.make(of: request.user, known: user.map { model.users.history(of: $0) }, engine, overlay)
        live = engine.liveReadings(of: request.user)
        let now = engine.now(overlay) ?? 0
        for (place, item) in request.items.enumerated() {
            // One that is gone, or that a change keeps from being shown, is as good as unknown.
            if let row = model.items.row(of: item), !overlay.isWithdrawn(row, at: now) {
                known.append((UInt32(place), row))
            } else {
                unknown.append(UInt32(place))
            }
        }
    }

    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool {
        if started == 0 { started = now }
        if now >= deadline {
            seat.leave(isLate: true)
            answer = .rejected(
                Rejection(.deadlineExceeded, "the deadline passed with \(scores.count) of \(known.count) items scored"))
            return true
        }
        if scores.count < known.count {
            guard score(now, deadline) else { return true }
            if scores.count < known.count { return false }
        }
        if request.explain, !known.isEmpty {
            if contributions == nil {
                contributions = FeatureContributions(seat.scorer.ranker, seat.scorer.features.rows, scores.indices)
            }
            if let contributions, !contributions.step() { return false }
        }
        finish()
        times.rank = clock() &- started
        return true
    }

    var waitsForScores: RankingBatcher? { chunk.isEmpty || seat.isScored ? nil : seat.batcher }

    /// Takes the scores of some items, or puts the next ones in line; false, with an answer, where too many wait there.
    private func score(_ now: UInt64, _ deadline: UInt64) -> Bool {
        guard chunk.isEmpty else {
            guard seat.isScored else { return true }
            for place in chunk.indices { scores.append(seat.scorer.logit(place - chunk.lowerBound)) }
            chunk = 0..<0
            return true
        }
        chunk = scores.count..<min(scores.count + Self.chunkItems, known.count)
        var wanted = RankingRequest(
            user: user, history: history.rows, context: request.context,
            candidates: known[chunk].map { ScoredRow(row: $0.row, score: 0) }, isRetrieved: false)
        wanted.factor = history.factor
        wanted.live = live
        let isTaken = seat.enter(
            wanted,
            keepsRows: request.explain, deadline: deadline, now)
        if !isTaken {
            answer = .rejected(Rejection(.queueFull, "too many calls wait for the ranker", retryIsSafe: true))
        }
        return isTaken
    }

    private func finish() {
        guard scores.allSatisfy(\.isFinite) else {
            answer = .rejected(Rejection(.internalFault, "the ranker gives scores that are not finite"))
            return
        }
        let order = known.indices.sorted { (scores[$1], known[$0].place) < (scores[$0], known[$1].place) }
        var ranked = RankedItems(
            places: order.map { known[$0].place }, scores: order.map { scores[$0] }, unknown: unknown,
            generation: engine.generation)
        ranked.isUserStale = request.isUserStale
        if let contributions {
            let width = contributions.names.count
            ranked.features = contributions.names
            for item in order {
                ranked.values += contributions.values[item * width..<(item + 1) * width]
                ranked.contributions += contributions.contributions[item * width..<(item + 1) * width]
            }
        }
        answer = .ranked(ranked)
    }
}
