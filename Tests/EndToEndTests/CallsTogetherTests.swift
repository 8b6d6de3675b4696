import Artifacts
import NIOCore
import NIOPosix
import Retrieval
import Serving
import Synchronization
import Telemetry
import TestSupport
import Testing

/// Calls that a shard serves at the same time get the answers that they would have got one after the other.
@Suite(.ownThreads) struct CallsTogetherTests {
    private final class Origin: CallOrigin {
        let number: Int
        private let cancelled: Mutex<Bool>
        var isCancelled: Bool { cancelled.withLock { $0 } }

        init(_ number: Int, isCancelled: Bool) {
            self.number = number
            cancelled = Mutex(isCancelled)
        }

        func cancel() { cancelled.withLock { $0 = true } }
    }

    private struct Outcome: Equatable {
        var items: [SlateItem] = []
        var rejection: Rejection.Reason?
    }

    /// Answers by number, and how many slates were made together.
    private func answers(
        _ requests: [RecommendationRequest], path: String, together: Int, cancelled: Set<Int> = [],
        late: Set<Int> = [], cancels: [UInt64: Int] = [:]
    ) async throws -> (outcomes: [Int: Outcome], together: UInt64) {
        var options = RetrievalModel.Options(index: .scan)
        options.sharesScans = true
        let model = try RetrievalModel(bundle: Bundle(opening: path), options: options)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let metrics = ShardMetrics(shard: 0, scenarios: [""])
        let shard = Shard(
            index: 0, slots: 0..<16384, executor: loop.executor,
            configuration: ServingConfiguration(
                scenarios: ["": ScenarioConfiguration(k: 12)], callsTogetherMax: together),
            cacheBytesMax: 0, metrics: metrics)
        let outcomes = try await loop.submit {
            shard.assumeIsolated {
                Self.serve(requests, on: $0, model, path, cancelled: cancelled, late: late, cancels: cancels)
            }
        }.get()
        return (outcomes, metrics.together)
    }

    private static func serve(
        _ requests: [RecommendationRequest], on shard: isolated Shard, _ model: RetrievalModel, _ path: String,
        cancelled: Set<Int>, late: Set<Int>, cancels: [UInt64: Int]
    ) -> [Int: Outcome] {
        var outcomes: [Int: Outcome] = [:]
        var origins: [Origin] = []
        _ = shard.adopt(Generation(number: 1, label: "w", path: path, model: model, memory: []))
        for (number, request) in requests.enumerated() {
            let origin = Origin(number, isCancelled: cancelled.contains(number))
            origins.append(origin)
            let rejection = shard.submit(
                ShardCall(
                    request: .recommend(request), arrived: 1, deadline: late.contains(number) ? 2 : .max,
                    origin: origin))
            #expect(rejection == nil)
        }
        var now: UInt64 = 10
        var waits = true
        var runs = 0
        while waits, runs < 100_000 {
            runs += 1
            // Each look at the clock moves it on, and a run is short: calls are left and taken up again in between.
            waits = shard.run(until: now + 3) {
                now += 1
                if let number = cancels[now] { origins[number].cancel() }
                return now
            } answered: { _, call, answer, _ in
                guard let origin = call.origin as? Origin else { return }
                #expect(outcomes[origin.number] == nil, "answered twice")
                switch answer {
                case .slate(let slate): outcomes[origin.number] = Outcome(items: slate.items)
                case .rejected(let rejection): outcomes[origin.number] = Outcome(rejection: rejection.reason)
                default: Issue.record("another kind of answer")
                }
            }
        }
        #expect(shard.depth == 0)
        return outcomes
    }

    @Test("the same answers, whoever else is served at the same time", arguments: [2, 3, 8])
    func sameAnswers(together: Int) async throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        var requests = (0..<40).map { RecommendationRequest(user: SmallWorld.user($0 * 5)) }
        requests[3].user = "nobody"
        requests[7].scenario = "no such"
        requests[11].explain = true
        requests[12].k = 60
        for number in stride(from: 0, to: 40, by: 6) { requests[number].excludedItems = ["item-1", "item-2"] }
        let cancelled: Set = [5, 20]
        let late: Set = [9, 30]
        let alone = try await answers(requests, path: path, together: 1, cancelled: cancelled, late: late)
        let shared = try await answers(requests, path: path, together: together, cancelled: cancelled, late: late)
        #expect(alone.outcomes.count == requests.count && alone.together == 0)
        #expect(shared.outcomes == alone.outcomes)
        #expect(shared.together > 20)
        #expect(alone.outcomes[5]?.rejection == .cancelled && alone.outcomes[9]?.rejection == .deadlineExceeded)
        #expect(alone.outcomes[12]?.items.count == 60)
    }

    /// The clock counts looks at it, so the same moments come again with the same seed.
    @Test(
        "calls that are cancelled while they are answered are given up, and change nothing for the others",
        arguments: 0..<12)
    func cancelledUnderWay(seed: Int) async throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        var random = SeededGenerator(seed: UInt64(seed))
        let requests = (0..<30).map { RecommendationRequest(user: SmallWorld.user($0 * 7)) }
        let alone = try await answers(requests, path: path, together: 1)
        var cancels: [UInt64: Int] = [:]
        for _ in 0..<15 {
            cancels[UInt64.random(in: 11...400, using: &random)] = Int.random(in: 0..<30, using: &random)
        }
        let together = [1, 2, 8][seed % 3]
        let (outcomes, _) = try await answers(requests, path: path, together: together, cancels: cancels)
        #expect(outcomes.count == requests.count)
        for (number, outcome) in outcomes where outcome != alone.outcomes[number] {
            #expect(outcome.rejection == .cancelled && cancels.values.contains(number), "\(number): \(outcome)")
        }
        #expect(outcomes.values.contains { $0.rejection == .cancelled })
    }
}
