import Artifacts
import CandidateRanking
import NIOPosix
import RankingModels
import Retrieval
import Serving
import Synchronization
import Telemetry
import TestSupport
import Testing
import Training
import Vocabulary

/// Candidates that are ranked in batches get the scores that they would have got alone.
@Suite(.ownThreads) struct RankedTogetherTests {
    private final class Origin: CallOrigin {
        let number: Int
        private let cancelled: Atomic<Bool>

        init(_ number: Int, isCancelled: Bool = false) {
            self.number = number
            cancelled = Atomic(isCancelled)
        }

        var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
        func cancel() { cancelled.store(true, ordering: .relaxed) }
    }

    /// What became of a call: items and scores, or why there are none.
    private struct Outcome: Equatable {
        var generation: UInt64 = 0
        var items: [SlateItem] = []
        var isSkipped = false
        var rejection: Rejection.Reason?
    }

    /// Calls, and what happens while they are served.
    private struct Course {
        var requests: [RecommendationRequest] = []
        /// Calls that arrive before the shard goes on, one number for each round.
        var arrivals: [Int] = []
        /// Cancelled when so many rounds are over.
        var cancelled: [Int: Int] = [:]
        /// Ticks of the clock after the arrival.
        var deadlines: [Int: UInt64] = [:]
        /// The round before which the next generation comes.
        var swaps: Set<Int> = []
        /// Ticks of the clock that the shard may work in each round.
        var ticks: UInt64 = 3
    }

    private func generations(_ folder: TemporaryFolder, itemParts: Bool) throws -> [Generation] {
        let path = try SmallWorld.makeBundle(in: folder, name: "world") { model, later in
            var network = NetworkConfiguration(
                shape: .init(embeddingWidth: 8, hidden: [24, 16], hasLinear: true, hasPairs: true))
            network.epochs = 1
            var plan = RankerPlan(network: network)
            plan.candidates = 60
            return try RankerFit(plan, k: 10, threads: 2).fit(
                RankerWindow(model: model, later: later, isPast: false), clock: { 0 }
            ).0
        }
        let bundle = try Bundle(opening: path)
        let model = try RetrievalModel(bundle: bundle)
        let file = try bundle.file(NetworkRanker.fileName)
        return try (0..<2).map { number in
            var weights = try NetworkRanker(file)
            // Each generation has scores of its own.
            weights.weights.bias += Float(number)
            var calibration = RankerCalibration(precision: .f32, itemBytesMax: itemParts ? 1 << 30 : 0)
            calibration.forcesItemParts = itemParts
            let ranker = try calibration.ranker(weights, model, path: file.path).ranker
            #expect((ranker.split != nil) == itemParts)
            return Generation(
                number: UInt64(number + 1), label: "w", path: path, model: model, ranker: ranker, memory: [])
        }
    }

    private func follow(
        _ course: Course, _ generations: [Generation], ranking: RankingConfiguration, requestsOfMany: Int? = nil
    ) async throws -> (outcomes: [Int: Outcome], metrics: ShardMetrics) {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let metrics = ShardMetrics(shard: 0, scenarios: [""])
        var many = ScenarioConfiguration(k: 12, rankCandidates: 110)
        many.batchRequestsMax = requestsOfMany
        let shard = Shard(
            index: 0, slots: 0..<16384, executor: loop.executor,
            configuration: ServingConfiguration(
                scenarios: [
                    "": ScenarioConfiguration(k: 12, rankCandidates: 10),
                    "many": many,
                    "plain": ScenarioConfiguration(k: 12, ranker: .none),
                ], callsTogetherMax: 4, ranking: ranking),
            cacheBytesMax: 0, metrics: metrics)
        let outcomes = try await loop.submit {
            shard.assumeIsolated { Self.serve(course, on: $0, generations) }
        }.get()
        return (outcomes, metrics)
    }

    private static func serve(
        _ course: Course, on shard: isolated Shard, _ generations: [Generation]
    ) -> [Int: Outcome] {
        var outcomes: [Int: Outcome] = [:]
        _ = shard.adopt(generations[0])
        var origins: [Origin] = []
        var (now, round, waits, swaps) = (UInt64(10), 0, false, 0)
        while (waits || round < course.arrivals.count), round < 100_000 {
            if course.swaps.contains(round) {
                swaps += 1
                _ = shard.adopt(generations[swaps % generations.count])
            }
            for _ in 0..<(round < course.arrivals.count ? course.arrivals[round] : 0) {
                let number = origins.count
                origins.append(Origin(number))
                let rejection = shard.submit(
                    ShardCall(
                        request: .recommend(course.requests[number]), arrived: now,
                        deadline: course.deadlines[number].map { now + $0 } ?? .max, origin: origins[number]))
                #expect(rejection == nil)
            }
            for (number, at) in course.cancelled where at == round && number < origins.count {
                origins[number].cancel()
            }
            waits = shard.run(until: now + course.ticks) {
                now += 1
                return now
            } answered: { _, call, answer, _ in
                guard let origin = call.origin as? Origin else { return }
                #expect(outcomes[origin.number] == nil, "answered twice")
                switch answer {
                case .slate(let slate):
                    outcomes[origin.number] = Outcome(
                        generation: slate.generation.number, items: slate.items,
                        isSkipped: slate.degraded.contains(DegradationSet(.rankerSkipped)))
                case .rejected(let rejection): outcomes[origin.number] = Outcome(rejection: rejection.reason)
                default: Issue.record("another kind of answer")
                }
            }
            round += 1
        }
        #expect(shard.depth == 0)
        return outcomes
    }

    private func requests(_ count: Int, _ model: RetrievalModel) -> [RecommendationRequest] {
        (0..<count).map { number in
            var request = RecommendationRequest(user: model.users.name(UInt32(number * 7 % model.users.count)))
            if number % 5 == 3 { request.scenario = "many" }
            if number % 11 == 5 { request.scenario = "plain" }
            if number % 23 == 7 { request.user = "nobody" }
            if number % 17 == 9 { request.explain = true }
            return request
        }
    }

    private let alone = RankingConfiguration(batchRequestsMax: 1)

    @Test("the same scores, bit for bit, however many are ranked together", arguments: [16, 128], [false, true])
    func sameScores(rows: Int, itemParts: Bool) async throws {
        let generations = try generations(TemporaryFolder(), itemParts: itemParts)
        for burst in [1, 3, 40] {
            var course = Course(requests: requests(120, generations[0].model))
            course.arrivals = Array(repeating: burst, count: 120 / burst)
            let expected = try await follow(course, generations, ranking: alone)
            let batched = try await follow(
                course, generations, ranking: RankingConfiguration(batchRowsMax: rows, batchRequestsMax: 12))
            #expect(expected.outcomes.count == 120 && batched.outcomes == expected.outcomes)
            #expect(batched.metrics.batchedRows == expected.metrics.batchedRows)
            #expect(expected.metrics.batches(closed: .idle) == 0)
            for group in FeatureGroup.allCases {
                #expect(batched.metrics.missingFeatures(group) == expected.metrics.missingFeatures(group))
            }
            #expect(expected.metrics.missingFeatures(.source) > 0 && expected.metrics.missingFeatures(.context) == 0)
            let count = BatchCloseReason.allCases.reduce(0) { $0 + batched.metrics.batches(closed: $1) }
            if burst == 40 {
                #expect(batched.metrics.batchedRequests > count)
                #expect(batched.metrics.batches(closed: .full) > 3)
            }
        }
    }

    @Test("a scenario says how many of its calls are ranked together")
    func limitsOfScenarios() async throws {
        let generations = try generations(TemporaryFolder(), itemParts: false)
        var requests = requests(40, generations[0].model)
        for number in requests.indices { requests[number].scenario = "many" }
        let course = Course(requests: requests, arrivals: [40])
        let together = RankingConfiguration(batchRowsMax: 4096, batchRequestsMax: 12)
        let expected = try await follow(course, generations, ranking: alone)
        for (limit, ranking) in [(1, together), (3, together), (12, alone)] {
            let (outcomes, metrics) = try await follow(
                course, generations, ranking: ranking, requestsOfMany: limit)
            let batches = BatchCloseReason.allCases.reduce(0) { $0 + metrics.batches(closed: $1) }
            #expect(outcomes == expected.outcomes)
            #expect(metrics.batchedRequests <= batches * UInt64(limit), "\(limit)")
            #expect((metrics.batchedRequests > batches) == (limit > 1), "\(limit)")
        }
    }

    @Test("items' parts go with the generation that they belong to")
    func dropped() async throws {
        let kept = WeakParts()
        try await serveOnce(kept)
        // A loop may still be at its last task.
        for _ in 0..<200_000 where kept.first != nil || kept.second != nil {
            try await Task.sleep(for: .milliseconds(2))
        }
        #expect(kept.wereThere && kept.first == nil && kept.second == nil)
    }

    private final class WeakParts {
        weak var first: SplitNetwork?
        weak var second: SplitNetwork?
        var wereThere = false
    }

    private func serveOnce(_ kept: WeakParts) async throws {
        let generations = try generations(TemporaryFolder(), itemParts: true)
        (kept.first, kept.second) = (generations[0].ranker?.split, generations[1].ranker?.split)
        var course = Course(requests: requests(40, generations[0].model), arrivals: Array(repeating: 4, count: 10))
        course.swaps = [2, 5]
        let (outcomes, _) = try await follow(
            course, generations, ranking: RankingConfiguration(batchRowsMax: 64, batchRequestsMax: 12))
        #expect(outcomes.count == 40)
        kept.wereThere = kept.first != nil && kept.second != nil
    }

    @Test("calls that are cancelled, late, or overtaken by a new generation harm no others", arguments: [1, 2])
    func disturbed(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let generations = try generations(TemporaryFolder(), itemParts: seed % 2 == 0)
        var course = Course(requests: requests(160, generations[0].model))
        course.ticks = UInt64.random(in: 2...12, using: &random)
        while course.arrivals.reduce(0, +) < 160 {
            let left = 160 - course.arrivals.reduce(0, +)
            course.arrivals.append(min(left, Int.random(in: 0...12, using: &random)))
        }
        course.swaps = [3, 9, 14]
        for number in 0..<160 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: course.cancelled[number] = Int.random(in: 0..<60, using: &random)
            case 1: course.deadlines[number] = UInt64.random(in: 1...120, using: &random)
            default: break
            }
        }
        let (outcomes, metrics) = try await follow(
            course, generations, ranking: RankingConfiguration(batchRowsMax: 64, batchRequestsMax: 12))
        #expect(outcomes.count == 160)
        // What each generation answers when nothing happens.
        let calm = Course(requests: course.requests, arrivals: [160])
        var expected: [UInt64: [Int: Outcome]] = [:]
        for generation in generations {
            expected[generation.number] = try await follow(calm, [generation], ranking: alone).outcomes
        }
        var (whole, skipped, gone) = (0, 0, 0)
        for (number, outcome) in outcomes {
            if let rejection = outcome.rejection {
                gone += 1
                #expect(rejection == .cancelled ? course.cancelled[number] != nil : course.deadlines[number] != nil)
            } else if outcome.isSkipped {
                skipped += 1
                #expect(course.deadlines[number] != nil && outcome.items.count == 12)
            } else if course.deadlines[number] == nil {
                whole += 1
                #expect(outcome == expected[outcome.generation]?[number], "call \(number), seed \(seed)")
            }
        }
        #expect(whole > 90 && gone > 0, "seed \(seed): \(whole) whole, \(skipped) skipped, \(gone) gone")
        #expect(metrics.batchesExpired == UInt64(skipped))
        #expect(Set(outcomes.values.map(\.generation)).isSuperset(of: [1, 2]))
    }
}
