import Artifacts
import NIOCore
import NIOPosix
import Retrieval
import Serving
import Telemetry
import TestSupport
import Testing

/// Misses for the same bytes at the same time are computed once, and nobody gets another's fate.
@Suite struct SingleFlightTests {
    private final class Origin: CallOrigin {
        let number: Int
        let isCancelled: Bool

        init(_ number: Int, isCancelled: Bool) {
            self.number = number
            self.isCancelled = isCancelled
        }
    }

    /// How a call came by its answer.
    private enum Outcome: Equatable {
        case computed, shared
        case rejected(Rejection.Reason)
    }

    private struct Script: Sendable {
        var calls = 8
        var cancelled: Set<Int> = []
        var late: Set<Int> = []
        var explains = false
    }

    private func play(_ script: Script) async throws -> [Int: Outcome] {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "w")
        let model = try RetrievalModel(bundle: Bundle(opening: path), options: RetrievalModel.Options(index: .scan))
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let shard = Shard(
            index: 0, slots: 0..<16384, executor: loop.executor, configuration: ServingConfiguration(),
            cacheBytesMax: 1 << 20, metrics: ShardMetrics(shard: 0, scenarios: [""]))
        return try await loop.submit {
            shard.assumeIsolated { Self.serve(script, on: $0, model, path) }
        }.get()
    }

    private static func serve(
        _ script: Script, on shard: isolated Shard, _ model: RetrievalModel, _ path: String
    ) -> [Int: Outcome] {
        var outcomes: [Int: Outcome] = [:]
        _ = shard.adopt(Generation(number: 1, label: "w", path: path, model: model, memory: []))
        var request = RecommendationRequest(user: SmallWorld.user(3), k: 5)
        request.explain = script.explains
        let key = Array("the request's bytes".utf8)
        for number in 0..<script.calls {
            let rejection = shard.submit(
                ShardCall(
                    request: .recommend(request), arrived: 1, deadline: script.late.contains(number) ? 2 : .max,
                    origin: Origin(number, isCancelled: script.cancelled.contains(number)), key: key))
            #expect(rejection == nil)
        }
        var now: UInt64 = 10
        var (waits, runs) = (true, 0)
        while waits, runs < 100_000 {
            runs += 1
            waits = shard.run(until: now + 3) {
                now += 1
                return now
            } shared: { _, call, kept in
                guard let origin = call.origin as? Origin else { return }
                #expect(outcomes[origin.number] == nil, "answered twice")
                #expect(Array(kept.body) == [1, 2, 3])
                outcomes[origin.number] = .shared
            } answered: { shard, call, answer, _ in
                guard let origin = call.origin as? Origin else { return }
                #expect(outcomes[origin.number] == nil, "answered twice")
                switch answer {
                case .slate(let slate):
                    outcomes[origin.number] = .computed
                    guard slate.isCacheable else { return }
                    key.withUnsafeBytes { key in
                        [UInt8]([1, 2, 3]).withUnsafeBytes {
                            shard.keep(
                                $0, for: key, scenario: "", tag: 0, generation: slate.generation.number, now: now,
                                stamp: slate.stamp)
                        }
                    }
                case .rejected(let rejection): outcomes[origin.number] = .rejected(rejection.reason)
                default: Issue.record("another kind of answer")
                }
            }
        }
        #expect(shard.depth == 0)
        return outcomes
    }

    @Test func `equal calls are computed once`() async throws {
        let outcomes = try await play(Script())
        #expect(outcomes[0] == .computed)
        #expect((1..<8).allSatisfy { outcomes[$0] == .shared })
    }

    @Test func `a leader that was cancelled or late does not take the others along`() async throws {
        for script in [Script(cancelled: [0, 1]), Script(late: [0, 1])] {
            let outcomes = try await play(script)
            let reason: Rejection.Reason = script.late.isEmpty ? .cancelled : .deadlineExceeded
            #expect(outcomes[0] == .rejected(reason))
            #expect(outcomes[1] == .rejected(reason))
            #expect((2..<8).count { outcomes[$0] == .computed } == 1)
            #expect((2..<8).count { outcomes[$0] == .shared } == 5)
        }
    }

    @Test func `who waits keeps its own deadline, and its cancel`() async throws {
        let outcomes = try await play(Script(cancelled: [3], late: [5]))
        #expect(outcomes[3] == .rejected(.cancelled))
        #expect(outcomes[5] == .rejected(.deadlineExceeded))
        #expect([1, 2, 4, 6, 7].allSatisfy { outcomes[$0] == .shared })
    }

    @Test func `an answer that is not kept is nobody else's`() async throws {
        let outcomes = try await play(Script(explains: true))
        #expect((0..<8).allSatisfy { outcomes[$0] == .computed })
    }
}
