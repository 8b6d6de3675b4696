import CandidateRanking
import Dispatch
import Features
import Retrieval
import Synchronization
import VectorMath
import Vocabulary

/// Users with what they went on to choose, and the candidates that retrieval found for them before: what a ranker learns from
/// and is judged by.
struct CandidateExamples {
    /// A user and the items they chose later, ascending, as rows of `model`.
    struct Case: Sendable {
        let user: UInt32
        let relevant: [UInt32]
        /// When the user is asked for, in milliseconds since 1970; nil: when the model was made.
        var moment: Int64? = nil
    }

    let model: RetrievalModel
    /// Candidates of a user that are ranked.
    let candidatesMax: Int
    let threads: Int
    /// What happened when. Users are then asked for at the moment of one of their later choices, with all that they did by
    /// then; what they chose from that moment on is relevant.
    var timeline: EventTimeline? = nil
    /// Kept from one call of `forEach` to the next, whose cases are later; nil: each has its own.
    var replays: ItemReplays? = nil

    /// Users of `later` that the model knows with something by which it can be judged.
    ///
    /// - Parameter seed: Decides which choice's moment is taken.
    func cases(_ later: Interactions, seed: UInt64) -> [Case] {
        let items = (0..<UInt32(later.itemCount)).map { row in
            later.items.withBytes(of: row) { model.items.row(of: UnsafeRawBufferPointer($0)) }
        }
        var cases: [Case] = []
        for laterUser in 0..<later.userCount where !later.range(of: laterUser).isEmpty {
            let found = later.users.withBytes(of: UInt32(laterUser)) {
                model.users.row(of: UnsafeRawBufferPointer($0))
            }
            guard let user = found else { continue }
            let history = Set(model.users.history(of: user))
            var chosen = later.range(of: laterUser).compactMap { place in
                items[Int(later.itemRows[place])].map { (row: $0, time: later.times?[place]) }
            }
            chosen.removeAll { history.contains($0.row) }
            guard !chosen.isEmpty else { continue }
            var moment: Int64?
            if timeline != nil {
                var random = SplitMix64(seed: seed &+ later.users.hash(UInt32(laterUser)))
                moment = chosen[Int(random.next() % UInt64(chosen.count))].time
                if let moment { chosen.removeAll { $0.time ?? moment < moment } }
            }
            cases.append(Case(user: user, relevant: chosen.map(\.row).sorted(), moment: moment))
        }
        return cases.sorted { $0.user < $1.user }
    }

    /// The cases in an order that the seed decides.
    ///
    /// - Throws: `DatasetError` when there are fewer than `usersMin`.
    func shuffledCases(_ later: Interactions, seed: UInt64, usersMin: Int) throws -> [Case] {
        var cases = cases(later, seed: seed)
        var random = SplitMix64(seed: seed)
        cases.shuffle(using: &random)
        guard cases.count >= usersMin else {
            throw DatasetError(
                .empty,
                "only \(cases.count.counted("user")) with a past made later choices that a ranker could be fitted to or judged by; \(usersMin) are needed"
            )
        }
        return cases
    }

    /// Calls `body` for each case with its candidates and features, on several threads; a worker has a fixed run of the cases.
    ///
    /// - Returns: What the workers made, in the order of their cases.
    func forEach<Part>(
        _ cases: [Case], _ plan: FeaturePlan, keepsCrossNumbers: Bool = false, make: @Sendable () -> Part,
        _ body: @Sendable (inout Part, Case, RankingRequest, CandidateFeatures) throws -> Void
    ) throws -> [Part] {
        let workers = max(1, min(threads, cases.count))
        let results = Mutex<[Int: Result<UncheckedPart<Part>, any Error>]>([:])
        let rows = timeline.map { TimelineRows($0, model) }
        var (cases, replays) = (cases, replays)
        if let timeline, plan.live.items {
            // What happened to items is gone through once, in the order of time.
            cases.sort { ($0.moment ?? .min, $0.user) < ($1.moment ?? .min, $1.user) }
            if replays == nil { replays = ItemReplays(timeline) }
        } else {
            replays = nil
        }
        let (ordered, items) = (cases, replays)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            let run = ordered.count * worker / workers..<ordered.count * (worker + 1) / workers
            let result = Result {
                var part = make()
                let generator = CandidateGenerator(model: model)
                let features = CandidateFeatures(plan)
                features.keepsCrossNumbers = keepsCrossNumbers
                var reader: MomentReader?
                if let timeline, let rows {
                    let replay = try run.first.flatMap { first in
                        try items?.replay(
                            worker, before: ordered[first].moment ?? .min, rows, itemCount: model.items.count)
                    }
                    reader = try MomentReader(timeline, rows, model, plan.live, items: replay)
                }
                for place in run {
                    let request = try candidates(of: ordered[place], generator, reader)
                    features.fill(request)
                    try body(&part, ordered[place], request, features)
                }
                return UncheckedPart(part: part)
            }
            results.withLock { $0[worker] = result }
        }
        return try (0..<workers).compactMap { worker in try results.withLock { $0[worker] }?.get().part }
    }

    /// What a worker made. `@unchecked Sendable`: handed over once, after the worker is done with it.
    private struct UncheckedPart<Part>: @unchecked Sendable {
        let part: Part
    }

    private func candidates(
        of one: Case, _ generator: CandidateGenerator, _ reader: MomentReader?
    ) throws -> RankingRequest {
        guard let reader, let moment = one.moment else {
            let known = model.users.history(of: one.user)
            return try request(one.user, known, factor: [], LiveReadings(), generator)
        }
        let now = reader.read(one.user, at: moment)
        return try now.history.withUnsafeBufferPointer {
            try request(one.user, $0, factor: now.factor, now.live, generator)
        }
    }

    private func request(
        _ user: UInt32, _ history: UnsafeBufferPointer<UInt32>, factor: [Float], _ live: LiveReadings,
        _ generator: CandidateGenerator
    ) throws -> RankingRequest {
        generator.mask.begin()
        for item in history { generator.mask.block(item) }
        factor.withUnsafeBufferPointer {
            generator.begin(user: user, factor: $0.isEmpty ? nil : $0, history: history, mix: model.mix)
        }
        while try !generator.step() {}
        var selected: [ScoredRow] = []
        generator.select(candidatesMax, into: &selected)
        var request = RankingRequest(user: user, history: history, candidates: selected, lists: generator.lists)
        request.factor = factor
        request.live = live
        return request
    }
}
