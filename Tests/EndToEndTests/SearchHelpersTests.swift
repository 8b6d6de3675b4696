import Artifacts
import Foundation
import NIOPosix
import NearestNeighbors
import Retrieval
import Serving
import Telemetry
import TestSupport
import Testing
import Training

@testable import MartletServer

/// Slates whose scans others help with are those that a shard makes alone.
@Suite(.ownThreads) struct SearchHelpersTests {
    private final class Origin: CallOrigin {
        let number: Int
        let isCancelled = false
        init(_ number: Int) { self.number = number }
    }

    /// Asks a thread for each scan; `@unchecked Sendable`: `ask` runs on one loop.
    private final class Threads: SearchHelpers, @unchecked Sendable {
        let nanosecondsMin = 0.0
        private(set) var asked = 0
        private let group = DispatchGroup()

        func ask(_ makeInvitation: () -> ScanInvitation?) {
            guard let invitation = makeInvitation() else { return }
            asked += 1
            group.enter()
            Thread.detachNewThread { [group] in
                let scratch = SearchScratch()
                while invitation.help(scratch) {}
                group.leave()
            }
        }

        func wait() { group.wait() }
    }

    private static func serve(
        _ requests: [RecommendationRequest], _ model: RetrievalModel, helpers: Threads?, late: Set<Int>
    ) async throws -> [Int: [SlateItem]] {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let shard = Shard(
            index: 0, slots: 0..<16384, executor: loop.executor,
            configuration: ServingConfiguration(callsTogetherMax: 1), cacheBytesMax: 0,
            metrics: ShardMetrics(shard: 0, scenarios: [""]))
        return try await loop.submit {
            shard.assumeIsolated { shard in
                shard.setHelpers(helpers)
                _ = shard.adopt(Generation(number: 1, label: "w", path: "", model: model, memory: []))
                for (number, request) in requests.enumerated() {
                    // Late ones are given up in the middle of their scan.
                    _ = shard.submit(
                        ShardCall(
                            request: .recommend(request), arrived: 1,
                            deadline: late.contains(number) ? UInt64(20 * number + 20) : .max, origin: Origin(number)))
                }
                var slates: [Int: [SlateItem]] = [:]
                var now: UInt64 = 10
                var runs = 0
                while runs < 1_000_000_000,
                    shard.run(
                        until: now + 3,
                        clock: {
                            now += 1
                            return now
                        },
                        answered: { _, call, answer, _ in
                            guard let origin = call.origin as? Origin else { return }
                            if case .slate(let slate) = answer { slates[origin.number] = slate.items }
                        })
                { runs += 1 }
                #expect(shard.depth == 0)
                return slates
            }
        }.get()
    }

    @Test func `slates are the same whoever helps, under filters of their own and after searches that were given up`()
        async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.file("made")
        try SyntheticBundle(users: 300, items: 12_000, rank: 8, interactions: 6000).write(
            into: BundleWriter(destination: path))
        let model = try RetrievalModel(
            bundle: Bundle(opening: path), options: RetrievalModel.Options(index: .scan))
        var requests: [RecommendationRequest] = []
        for number in 0..<60 {
            var request = RecommendationRequest(user: String(format: "u%07d", number * 5 + 1))
            request.k = 50
            request.excludedItems = (0..<number).map { String(format: "i%06d", $0 * 7 + 1) }
            requests.append(request)
        }
        let late = Set(stride(from: 3, to: 60, by: 9))
        let alone = try await Self.serve(requests, model, helpers: nil, late: [])
        let threads = Threads()
        let helped = try await Self.serve(requests, model, helpers: threads, late: late)
        threads.wait()
        #expect(alone.count == 60 && threads.asked > 30)
        for number in 0..<60 where !late.contains(number) {
            #expect(helped[number] == alone[number], "request \(number)")
        }
    }

    @Test func `a loop is asked only while it has nothing to do, and by one at a time`() {
        let helping = LoopHelping()
        let millisecond: UInt64 = 1_000_000
        var now = 1000 * millisecond
        #expect(helping.mayBeAsked(now))
        #expect(helping.ask())
        #expect(!helping.ask() && !helping.mayBeAsked(now), "it is on its way")
        helping.setBusy(true, now)
        #expect(!helping.mayBeAsked(now) && !helping.ask())
        // A call now and then.
        now += millisecond
        helping.setBusy(false, now)
        #expect(helping.mayBeAsked(now))
        // One after the other, with a short pause in between: it only seems to be idle.
        for _ in 0..<20 {
            helping.setBusy(true, now)
            now += millisecond
            helping.setBusy(false, now)
            now += millisecond / 20
        }
        #expect(!helping.mayBeAsked(now))
        #expect(helping.mayBeAsked(now + 2 * millisecond))
        #expect(helping.mayBeAsked(now - millisecond) == false, "a clock that is behind changes nothing")
    }

    @Test func `a loop that reads all the time is not asked, one that reads now and then is`() {
        let millisecond: UInt64 = 1_000_000
        for (readsPerMillisecond, isAsked) in [(UInt64(1), true), (3, true), (40, false), (200, false)] {
            let helping = LoopHelping()
            var now = 5000 * millisecond
            for _ in 0..<20 * readsPerMillisecond {
                now += millisecond / readsPerMillisecond
                helping.countWork(now)
            }
            #expect(helping.mayBeAsked(now) == isAsked, "\(readsPerMillisecond)")
            #expect(helping.mayBeAsked(now + 10 * millisecond))
        }
    }
}
