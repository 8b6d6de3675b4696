import CandidateRanking
import Features
import NIOPosix
import RankingModels
import Retrieval
import Serving
import Telemetry
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

/// A shard whose clock the test moves, with what a loop does around it: it counts what was answered.
final class DegradationStage: @unchecked Sendable {
    // Touched on the shard's loop alone.
    /// What became of a call.
    struct Outcome {
        var slate: Slate?
        var many: ManySlates?
        var ranked: RankedItems?
        var rejection: Rejection?
        /// An answer from before.
        var kept: (bytes: [UInt8], isLastResort: Bool)?
        /// On the stage's clock.
        var answeredAt: UInt64 = 0
        var deadline: UInt64 = .max

        var told: [DegradationRow.Told] {
            if kept?.isLastResort == true { return [.degraded(.staleSlate)] }
            if let rejection { return [.rejected(rejection.reason)] }
            if let many { return many.slates.map { .statuses($0.status) } }
            guard let slate else { return [] }
            var told = slate.degraded.members.map { DegradationRow.Told.degraded($0) }
            if slate.fallback != .none { told.append(.fallback(slate.fallback)) }
            if told.isEmpty { told.append(.whole) }
            return told
        }
    }

    private final class Origin: CallOrigin {
        let number: Int
        init(_ number: Int) { self.number = number }
        var isCancelled: Bool { false }
    }

    let metrics: ShardMetrics
    private(set) var generation: Generation
    private(set) var now: UInt64 = 20_000_000_000
    /// What each look at the clock takes.
    var tick: UInt64 = 1_000
    private var outcomes: [Int: Outcome] = [:]
    private var deadlines: [UInt64] = []

    private init(_ metrics: ShardMetrics, _ generation: Generation) {
        self.metrics = metrics
        self.generation = generation
    }

    /// Runs `body` with a shard that serves `model`.
    ///
    /// - Returns: What a scraper reads afterwards.
    static func play(
        _ model: RetrievalModel, ranker: CandidateRanker? = nil,
        change: @Sendable (inout ServingConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (isolated Shard, DegradationStage) throws -> Void
    ) async throws -> String {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let metrics = ShardMetrics(shard: 0, scenarios: [""])
        var configuration = ServingConfiguration()
        change(&configuration)
        let generation = Generation(number: 1, label: "w@1", path: "w", model: model, ranker: ranker, memory: [])
        let shard = Shard(
            index: 0, slots: 0..<16384, executor: loop.executor, configuration: configuration, cacheBytesMax: 1 << 20,
            metrics: metrics)
        try await loop.submit {
            try shard.assumeIsolated { shard in
                let stage = DegradationStage(metrics, generation)
                _ = shard.adopt(generation)
                try body(shard, stage)
            }
        }.get()
        let node = NodeMetrics(shards: [metrics], build: BuildInfo(kernels: "none"))
        return String(decoding: node.scrape(.prometheusText), as: UTF8.self)
    }

    func wait(_ nanoseconds: UInt64) { now += nanoseconds }

    /// Serves by the same model under the next number.
    func swap(_ shard: isolated Shard) {
        generation = Generation(
            number: generation.number + 1, label: "w@1", path: "w", model: generation.model, ranker: generation.ranker,
            memory: [])
        _ = shard.adopt(generation)
    }

    /// Asks, and serves until there is an answer.
    @discardableResult
    func ask(
        _ shard: isolated Shard, _ request: ShardRequest, key: String? = nil, within nanoseconds: UInt64? = nil
    ) -> Outcome {
        let number = put(shard, request, key: key, within: nanoseconds)
        run(shard)
        return outcome(number)
    }

    func ask(
        _ shard: isolated Shard, _ request: RecommendationRequest, key: String? = nil, within nanoseconds: UInt64? = nil
    ) -> Outcome {
        ask(shard, .recommend(request), key: key, within: nanoseconds)
    }

    /// Puts a call in line.
    func put(
        _ shard: isolated Shard, _ request: ShardRequest, key: String? = nil, within nanoseconds: UInt64? = nil
    ) -> Int {
        let number = deadlines.count
        deadlines.append(nanoseconds.map { now + $0 } ?? .max)
        let rejection = shard.submit(
            ShardCall(
                request: request, arrived: now, deadline: deadlines[number], origin: Origin(number),
                key: key.map { Array($0.utf8) }))
        if let rejection { outcomes[number] = Outcome(rejection: rejection) }
        return number
    }

    func outcome(_ number: Int) -> Outcome {
        #expect(outcomes[number] != nil, "call \(number) has no answer")
        return outcomes[number] ?? Outcome()
    }

    func run(_ shard: isolated Shard) {
        var (waits, rounds) = (true, 0)
        while waits, rounds < 100_000 {
            rounds += 1
            waits = shard.run(until: now + 10 * tick) {
                self.now += self.tick
                return self.now
            } shared: { _, call, kept in
                self.take(call, Outcome(kept: (Array(kept.body), kept.isLastResort)))
            } answered: { _, call, answer, _ in
                var outcome = Outcome()
                switch answer {
                case .slate(let slate):
                    self.metrics.count(slate)
                    outcome.slate = slate
                case .slates(let slates):
                    self.metrics.count(slates)
                    outcome.many = slates
                case .ranked(let ranked): outcome.ranked = ranked
                case .rejected(let rejection):
                    self.metrics.countRejected(rejection.reason)
                    self.metrics.countLate(rejection)
                    outcome.rejection = rejection
                default: Issue.record("another kind of answer")
                }
                self.take(call, outcome)
            }
        }
        #expect(shard.depth == 0)
    }

    private func take(_ call: ShardCall, _ outcome: Outcome) {
        guard let origin = call.origin as? Origin else { return }
        #expect(outcomes[origin.number] == nil, "answered twice")
        var outcome = outcome
        outcome.answeredAt = now
        outcome.deadline = call.deadline
        outcomes[origin.number] = outcome
    }

    /// Keeps a slate as a loop would.
    func keep(_ shard: isolated Shard, _ slate: Slate, for key: String) {
        Array(key.utf8).withUnsafeBytes { key in
            [UInt8]([1, 2, 3]).withUnsafeBytes {
                shard.keep(
                    $0, for: key, scenario: "", tag: 0, generation: slate.generation.number, now: now,
                    seconds: slate.seconds, stamp: slate.stamp, version: slate.overlay?.version ?? 0,
                    shown: ShownSketch(slate.items))
            }
        }
    }
}

/// Networks that nobody trained.
enum UntrainedRanker {
    static func make(
        _ model: RetrievalModel, fields: [FeatureField], outputScale: Float = 1
    ) throws -> CandidateRanker {
        let schema = FeatureSchema(fields: fields)
        let plan = try FeaturePlan(schema, model, path: "test")
        var random = SeededGenerator(seed: 5)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &random) } }
        let (rows, dense) = (plan.layout.tableRows, plan.layout.dense.count)
        let inputs = plan.layout.categorical.count * 4 + dense
        let weights = NetworkWeights(
            shape: .init(embeddingWidth: 4, hidden: [8], hasLinear: true, hasPairs: true), table: values(rows * 4),
            linear: values(rows), denseLinear: values(dense),
            layers: [.init(weights: values(8 * inputs), bias: values(8))], output: values(8).map { $0 * outputScale },
            bias: 0)
        return CandidateRanker(plan: plan, network: Network(weights, layout: plan.layout, precision: .f32))
    }

    static let score = FeatureField("score", from: .retrievalScore, .dense(.none, missing: 0))
    static let item = FeatureField("item", from: .itemID, .categorical(.hashed(buckets: 40), isMultivalued: false))
    static let heat = FeatureField("heat", from: .context("heat"), .dense(.none, missing: 12))
    static let clicks = FeatureField("clicks", from: .live(.item(.clicks)), timeToLive: 30, .dense(.none, missing: -9))
}
