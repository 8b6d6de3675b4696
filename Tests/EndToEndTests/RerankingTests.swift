import Artifacts
import Catalog
import MartletClient
import NIOCore
import NIOPosix
import Retrieval
import Serving
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import MartletServer

@Suite("Re-ranking over the wire", .ownThreads)
struct RerankingTests {
    private static let epsilon = RerankingConfiguration.Exploration(.epsilon(0.4), protected: 2, among: 50)

    private static func change(_ name: String) -> RerankingConfiguration {
        var reranking = RerankingConfiguration()
        switch name {
        case "diverse": reranking.diversity = .init(by: .factors, strength: 0.4)
        case "capped":
            reranking.diversity = .init(by: .attribute("brand"), strength: 0.4)
            // Every item has the first brand; no two have the same place.
            reranking.caps = [.init(attribute: "brand", most: 20), .init(attribute: "place", most: 1)]
        case "pinned": reranking.pins = [.init(item: "i7", place: 2), .init(item: "i399", place: 5)]
        case "boosted": reranking.boosts = [.init(.value(attribute: "brand", "b2"), factor: 2, add: 0.5)]
        case "epsilon": reranking.exploration = epsilon
        case "softmax": reranking.exploration = .init(.softmax(temperature: 0.2), protected: 0)
        default:
            reranking.diversity = .init(by: .factors, strength: 0.2)
            reranking.caps = [.init(attribute: "brand", most: 3)]
            reranking.pins = [.init(item: "i11", place: 1)]
            reranking.exploration = .init(.softmax(temperature: 0.5), protected: 2)
        }
        return reranking
    }

    private static let names = ["diverse", "capped", "pinned", "boosted", "epsilon", "softmax", "all"]

    /// Runs `body` against a node over 400 items with a scenario of each name.
    private func withWorld(_ body: (TestNode, FilterWorld) async throws -> Void) async throws {
        let world = FilterWorld(userCount: 6, itemCount: 400, seed: 91)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let node = try await TestNode(
            bundle: folder.file("model"),
            change: { configuration in
                for name in Self.names {
                    var scenario = MartletServer.ScenarioConfiguration()
                    scenario.reranking = Self.change(name)
                    configuration.scenarios[name] = scenario
                }
            })
        do {
            try await body(node, world)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    @Test("all pages of a scenario together show every eligible item once", arguments: names)
    func pages(name: String) async throws {
        try await withWorld { node, world in
            for (user, k) in [(1, 20), (3, 7), (0, 150)] {
                let eligible = Set(0..<400).subtracting(world.histories[user].map(Int.init))
                var request = RecommendRequest(user: world.users[user], k: k, scenario: name)
                var seen: [String] = []
                for page in 0...400 / k + 1 {
                    let reply = try await node.client.recommend(request)
                    #expect(reply.items.count == min(k, eligible.count - seen.count), "page \(page)")
                    seen += reply.items
                    request.cursor = reply.nextCursor
                    if reply.nextCursor.isEmpty { break }
                }
                #expect(Set(seen).count == seen.count, "an item stands twice")
                #expect(Set(seen) == Set(eligible.map(world.item)))
            }
        }
    }

    @Test("a page drawn by chance says how probable it was, is drawn anew or by its seed, and is not kept")
    func exploration() async throws {
        try await withWorld { node, world in
            for name in ["epsilon", "softmax", "all"] {
                var request = RecommendRequest(user: world.users[1], k: 12, scenario: name)
                var slates: Set<[String]> = []
                for _ in 0..<20 {
                    let (reply, info) = try await node.client.recommendWithInfo(request)
                    #expect(!info.isCached && reply.seed != 0 && reply.propensities.count == 12)
                    #expect(reply.propensities.allSatisfy { $0 > 0 && $0 <= 1 })
                    slates.insert(reply.items)
                    var same = request
                    same.seed = reply.seed
                    let again = try await node.client.recommend(same)
                    #expect(again.items == reply.items && again.propensities == reply.propensities)
                    #expect(again.seed == reply.seed)
                }
                #expect(slates.count > 1)

                request.noExploration = true
                let first = try await node.client.recommendWithInfo(request)
                #expect(first.0.propensities.isEmpty && first.0.seed == 0)
                let second = try await node.client.recommendWithInfo(request)
                #expect(second.1.isCached && second.0.items == first.0.items)
            }
            let plain = try await node.client.recommend(RecommendRequest(user: world.users[1], k: 12))
            var certain = RecommendRequest(user: world.users[1], k: 12, scenario: "epsilon")
            certain.noExploration = true
            #expect(try await node.client.recommend(certain).items == plain.items)
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            let metrics = String(decoding: try socket.receiveAll(), as: UTF8.self)
            #expect(metrics.contains("martlet_reranked_items_total{effect=\"explored\"}"))
            #expect(!metrics.contains("martlet_reranked_items_total{effect=\"explored\"} 0\n"))
            #expect(metrics.contains("martlet_stage_duration_seconds_count{stage=\"rerank\"}"))
        }
    }

    @Test("users of one call are drawn for as each alone with the same seed")
    func many() async throws {
        try await withWorld { node, world in
            var request = RecommendManyRequest(users: world.users + ["nobody"], k: 9, scenario: "epsilon")
            request.seed = 77
            let reply = try await node.client.recommendMany(request)
            #expect(reply.propensities.count == reply.items.count && reply.items.count == 9 * 7)
            var slates: Set<[Float]> = []
            for (user, slate) in zip(request.users, reply.slates) {
                var single = RecommendRequest(user: user, k: 9, scenario: "epsilon")
                single.seed = 77
                let alone = try await node.client.recommend(single)
                #expect(alone.items == Array(reply.items[slate]))
                #expect(alone.propensities == Array(reply.propensities[slate]))
                slates.insert(alone.propensities)
            }
            #expect(slates.count > 1, "users share the draws")
            request.noExploration = true
            #expect(try await node.client.recommendMany(request).propensities.isEmpty)
        }
    }

    @Test("pins of the request come before those of the scenario, and only what may be shown is pinned")
    func pins() async throws {
        try await withWorld { node, world in
            let user = 2
            let seen = world.item(Int(world.histories[user][0]))
            let plain = try await node.client.recommend(RecommendRequest(user: world.users[user], k: 20))
            let free = (0..<400).map(world.item).filter {
                !plain.items.contains($0) && !world.histories[user].map { world.item(Int($0)) }.contains($0)
                    && $0 != "i7" && $0 != "i399"
            }
            // Without any scenario that re-ranks.
            var request = RecommendRequest(user: world.users[user], k: 6)
            request.pins = [
                Pin(item: free[0], place: 3), Pin(item: seen, place: 1), Pin(item: "no such item", place: 2),
                Pin(item: free[1], place: 9),
            ]
            let pinned = try await node.client.recommend(request)
            #expect(pinned.items == [plain.items[0], plain.items[1], free[0]] + plain.items[2...4])
            // Kept, as nothing was drawn.
            #expect(try await node.client.recommendWithInfo(request).1.isCached)
            request.excludeItems = [free[0]]
            #expect(try await node.client.recommend(request).items == Array(plain.items.prefix(6)))
            request.excludeItems = []
            request.cursor = pinned.nextCursor
            let second = try await node.client.recommend(request)
            #expect(second.items == Array(plain.items[5...10]))
            request.pins = []
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(request) }

            request = RecommendRequest(user: world.users[user], k: 6, scenario: "pinned")
            request.pins = [Pin(item: free[0], place: 2)]
            request.explain = true
            let both = try await node.client.recommend(request)
            #expect(both.items[1] == free[0] && both.items[4] == "i399")
            #expect(both.placements.map(\.isPinned) == [false, true, false, false, true, false])
            #expect(both.placements[0].placeBefore == 1)
        }
    }

    @Test("caps hold over the catalogue's values, and an answer says when they could not")
    func caps() async throws {
        try await withWorld { node, world in
            var (held, relaxed) = (0, 0)
            for user in 0..<6 {
                for k in [3, 10, 60] {
                    let reply = try await node.client.recommend(
                        RecommendRequest(user: world.users[user], k: k, scenario: "capped"))
                    #expect(reply.items.count == k)
                    let values = reply.items.flatMap { world.brands[Int($0.dropFirst()) ?? 0] }
                    let most = Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +).values.max() ?? 0
                    #expect(reply.degraded.contains(.capsRelaxed) == (most > 20))
                    if most > 20 { relaxed += 1 } else { held += 1 }
                }
            }
            #expect(held > 0 && relaxed > 0)
        }
    }

    @Test("an explained answer tells what boosts, diversity and chance did to each item")
    func explanations() async throws {
        try await withWorld { node, world in
            var request = RecommendRequest(user: world.users[4], k: 10, scenario: "boosted")
            request.explain = true
            let boosted = try await node.client.recommend(request)
            #expect(boosted.placements.count == 10 && boosted.placements.contains { $0.boost > 0 })
            #expect(boosted.timings.contains { $0.stage == "rerank" })
            for (index, placement) in boosted.placements.enumerated() {
                let brands = world.brands[Int(boosted.items[index].dropFirst()) ?? 0]
                #expect((placement.boost > 0) == brands.contains("b2"))
                let shares = boosted.shares.filter { $0.item == index }.reduce(0) { $0 + $1.contribution }
                #expect(abs(shares + placement.boost - boosted.scores[index]) < 1e-4)
            }
            #expect(zip(boosted.scores, boosted.scores.dropFirst()).allSatisfy { $0 >= $1 })

            request.scenario = "diverse"
            let diverse = try await node.client.recommend(request)
            #expect(diverse.placements[0].similarity == 0 && diverse.placements[1].similarity != 0)
            #expect(diverse.placements.map(\.placeBefore) != Array(1...10))
            request.scenario = ""
            #expect(try await node.client.recommend(request).placements.isEmpty)
        }
    }

    @Test("items whose window closes between two pages are left out of the second, and nothing moves to another page")
    func windows() async throws {
        let windows = (0..<200).map { AvailabilityWindow(from: nil, until: $0 % 3 == 0 ? 2000 : nil) }
        let world = FilterWorld(userCount: 3, itemCount: 200, windows: windows, seed: 93)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let clock = HandClock(1000)
        let node = try await TestNode(
            bundle: folder.file("model"),
            change: {
                var scenario = MartletServer.ScenarioConfiguration()
                scenario.reranking = Self.change("all")
                $0.scenarios["default"] = scenario
            }, wallClock: clock.read)
        var request = RecommendRequest(user: world.users[1], k: 20)
        var seen: [String] = []
        for page in 0..<12 {
            let reply = try await node.client.recommend(request)
            for item in reply.items where page > 0 {
                #expect((Int(item.dropFirst()) ?? 0) % 3 != 0, "its window closed")
            }
            seen += reply.items
            request.cursor = reply.nextCursor
            clock.set(3000)
            if reply.nextCursor.isEmpty { break }
        }
        #expect(Set(seen).count == seen.count)
        let open = Set((0..<200).filter { $0 % 3 != 0 }).subtracting(world.histories[1].map(Int.init))
        #expect(Set(seen).isSuperset(of: open.map(world.item)))
        await node.stop()
    }

    private final class Origin: CallOrigin {
        var isCancelled: Bool { false }
    }

    @Test("without a seed in the request a shard draws from its own")
    func seeds() async throws {
        let world = FilterWorld(userCount: 3, itemCount: 200, seed: 92)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let model = try RetrievalModel(bundle: Bundle(opening: folder.file("model")))
        let user = world.users[1]
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        func slates(_ seeds: [UInt64]) async throws -> [Slate] {
            let left = Mutex(seeds)
            var scenario = Serving.ScenarioConfiguration(k: 12)
            scenario.reranking = Self.change("softmax")
            let shard = Shard(
                index: 0, slots: 0..<16384, executor: loop.executor,
                configuration: ServingConfiguration(scenarios: ["": scenario]), cacheBytesMax: 0,
                metrics: ShardMetrics(shard: 0, scenarios: [""]), seeds: { left.withLock { $0.removeFirst() } })
            return try await loop.submit {
                shard.assumeIsolated { shard in
                    _ = shard.adopt(Generation(number: 1, label: "w", path: "", model: model, memory: []))
                    var slates: [Slate] = []
                    for _ in seeds {
                        let call = ShardCall(
                            request: .recommend(RecommendationRequest(user: user)), arrived: 1, deadline: .max,
                            origin: Origin())
                        #expect(shard.submit(call) == nil)
                    }
                    var now: UInt64 = 10
                    for _ in 0..<10_000 {
                        let waits = shard.run(until: now + 1) {
                            now += 1
                            return now
                        } answered: { _, _, answer, _ in
                            if case .slate(let slate) = answer { slates.append(slate) }
                        }
                        if !waits { break }
                    }
                    return slates
                }
            }.get()
        }
        let first = try await slates([5, 6, 5])
        #expect(first.map { $0.draws?.seed } == [5, 6, 5])
        #expect(first[0].items == first[2].items && first[0].items != first[1].items)
        #expect(first.allSatisfy { !$0.isCacheable })
        #expect(try await slates([6])[0].items == first[1].items)
    }
}
