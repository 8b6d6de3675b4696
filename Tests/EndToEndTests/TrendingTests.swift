import Foundation
import LiveState
import MartletClient
import Retrieval
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import Artifacts
@testable import MartletServer

@Suite("What trends", .ownThreads)
struct TrendingTests {
    private struct World {
        let folder: TemporaryFolder
        let bundle: String
        let items: [String]
        let users: [String]
        /// Of the first user.
        let had: Set<String>

        init() throws {
            folder = try TemporaryFolder()
            bundle = try SmallWorld.makeBundle(in: folder, name: "world")
            let model = try RetrievalModel(bundle: Bundle(opening: bundle))
            items = (0..<UInt32(model.items.count)).map { model.items.name($0) }
            users = (0..<UInt32(model.users.count)).map { model.users.name($0) }
            had = Set(model.users.history(of: 0).map { model.items.name($0) })
        }

        /// A node with a scenario `now`, which shows what trends, and one `beside`, which shows it among others.
        func start(
            shards: Int = 2, events: String? = nil, change: (inout ServerConfiguration) -> Void = { _ in }
        ) async throws -> TestNode {
            try await TestNode(bundle: bundle, shards: shards) { configuration in
                var now = MartletServer.ScenarioConfiguration()
                now.retrieval = RetrievalMix(sources: [.init(source: .trending, limit: 50, weight: 1)])
                now.cacheTTL = .zero
                configuration.scenarios["now"] = now
                now.retrieval?.sources.append(.init(source: .popular, limit: 50, weight: 0.01))
                configuration.scenarios["beside"] = now
                configuration.liveItems.mergeInterval = .milliseconds(50)
                configuration.events.directory = events.map { folder.file($0) }
                configuration.events.snapshotInterval = .zero
                change(&configuration)
            }
        }

        func click(_ node: TestNode, _ item: String, times: Int, scenario: String = "now") async throws {
            let events = (0..<times).map {
                UserEvent(user: "visitor-\($0)", item: item, type: "click", scenario: scenario)
            }
            let reply = try await node.client.recordEvents(RecordEventsRequest(events: events))
            #expect(reply.stored == times)
        }
    }

    private static func request(_ scenario: String, _ user: String, k: Int = 10) -> RecommendRequest {
        var request = RecommendRequest(user: user, k: k)
        request.scenario = scenario
        request.explain = true
        return request
    }

    /// The items of a slate that the source brought.
    private static func trending(_ reply: RecommendReply) -> [String] {
        reply.shares.filter { $0.source == "trending" }.sorted { $0.rank < $1.rank }.map { reply.items[$0.item] }
    }

    /// Asks until the answer is as wanted; a minute at most.
    private static func until(
        _ node: TestNode, _ request: RecommendRequest, _ isWanted: (RecommendReply) -> Bool
    ) async throws -> RecommendReply {
        let end = ContinuousClock.now + .seconds(60)
        while true {
            let reply = try await node.client.recommend(request)
            if isWanted(reply) { return reply }
            guard ContinuousClock.now < end else {
                Issue.record("not within a minute: \(reply.items), \(reply.degraded)")
                return reply
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test("clicks on an item bring it to everybody; those who had it, and nobody once it is gone, see it")
    func burst() async throws {
        let world = try World()
        let user = world.users[0]
        let new = world.items.filter { !world.had.contains($0) }
        let (first, second) = (new[new.count - 1], new[new.count - 2])
        let node = try await world.start()
        #expect(Self.trending(try await node.client.recommend(Self.request("now", user))).isEmpty)
        try await world.click(node, first, times: 40)
        try await world.click(node, second, times: 20)
        let reply = try await Self.until(node, Self.request("now", user)) { Self.trending($0).count == 2 }
        #expect(Array(reply.items.prefix(2)) == [first, second] && !reply.degraded.contains(.sourceUnavailable))
        #expect(reply.reasons[0].contains("trending, rank 1"))
        // Nothing is known of a stranger: what trends, beside what is popular.
        let stranger = try await node.client.recommend(Self.request("now", "stranger"))
        #expect(stranger.fallback == .unknownUser && Self.trending(stranger) == [first, second])
        // Another scenario has too little of its own.
        let beside = try await node.client.recommend(Self.request("beside", user))
        #expect(Self.trending(beside) == [first, second] && Array(beside.items.prefix(2)) == [first, second])
        let many = try await node.client.recommendMany(
            RecommendManyRequest(users: [user], k: 10, scenario: "now"))
        #expect(Array(many.items[many.slates[0]].prefix(2)) == [first, second])

        // Who clicked it has seen it; who hid it does not want it; a filter and an exclusion hold.
        #expect(
            Self.trending(try await node.client.recommend(Self.request("now", "visitor-1"))).isEmpty)
        _ = try await node.client.recordEvents(
            RecordEventsRequest(events: [UserEvent(user: user, item: first, type: "hide")]))
        #expect(Self.trending(try await node.client.recommend(Self.request("now", user))) == [second])
        var without = Self.request("now", "stranger")
        without.excludeItems = [second]
        #expect(Self.trending(try await node.client.recommend(without)) == [first])
        // Gone: at once, whatever was merged.
        _ = try await node.client.deleteItems(DeleteItemsRequest(items: [first]))
        for user in ["stranger", user, world.users[8]] {
            for scenario in ["now", "beside"] {
                let reply = try await node.client.recommend(Self.request(scenario, user, k: 30))
                #expect(!reply.items.contains(first) && Self.trending(reply).contains(second))
            }
        }
        let status = try StatusPage.read(node)
        let live = try #require(status["live_items"] as? [String: Any])
        #expect((live["items"] as? Int) ?? 0 >= 2 && (live["bytes"] as? Int) ?? 0 > 0)
        let scenarios = try #require(live["scenarios"] as? [[String: Any]])
        #expect(scenarios.compactMap { $0["scenario"] as? String } == ["default", "beside", "now"])
        let listed = try #require(scenarios[0]["trending"] as? [[String: Any]])
        #expect(listed.map { $0["item"] as? String } == [first, second])
        await node.stop()
    }

    @Test("an item that is added trends as others do")
    func added() async throws {
        let world = try World()
        let node = try await world.start()
        _ = try await node.client.upsertItems(
            UpsertItemsRequest(items: [ItemDescription(item: "brand new")]))
        try await world.click(node, "brand new", times: 30)
        let reply = try await Self.until(node, Self.request("now", world.users[0])) {
            Self.trending($0) == ["brand new"]
        }
        #expect(reply.items.first == "brand new" && reply.reasons[0].contains("trending"))
        await node.stop()
    }

    @Test("counts that are too old are not served: the source is silent, and the answer says so")
    func stale() async throws {
        let world = try World()
        let node = try await world.start {
            $0.liveItems.mergeInterval = .seconds(3600)
            $0.liveItems.ageMax = .milliseconds(10)
        }
        try await world.click(node, world.items[100], times: 40)
        let reply = try await Self.until(node, Self.request("now", world.users[0])) {
            $0.degraded.contains(.sourceUnavailable)
        }
        #expect(Self.trending(reply).isEmpty && reply.items.count == 10)
        await node.stop()
    }

    @Test("counts come back: from a snapshot, from the log alone, from both, with other shards", arguments: [2, 1, 3])
    func restart(shards: Int) async throws {
        let world = try World()
        var random = SeededGenerator(seed: UInt64(9700 + shards))
        print("counts come back: seed \(9700 + shards)")
        let now = UInt64(Date().timeIntervalSince1970) - 100
        func record(_ node: TestNode, calls: Int) async throws {
            for _ in 0..<calls {
                let events = (0..<60).map { _ in
                    UserEvent(
                        user: SmallWorld.user(.random(in: 0..<300, using: &random)),
                        item: world.items.randomElement(using: &random) ?? "",
                        type: ["impression", "impression", "click"].randomElement(using: &random) ?? "",
                        timeMilliseconds: (now - .random(in: 0...50_000, using: &random)) * 1000,
                        scenario: ["", "now", "nowhere"].randomElement(using: &random) ?? "")
                }
                _ = try await node.client.recordEvents(RecordEventsRequest(events: events))
            }
        }
        func view(_ node: TestNode) throws -> ItemActivityView {
            node.node.itemActivity.publishAll()
            return try #require(node.node.itemActivity.view)
        }
        func expectSame(_ one: ItemActivityView, _ node: TestNode, _ numbers: [String: UInt32]) throws {
            let other = try view(node)
            // Counts decay between the two views.
            let decay = exp2(-Double(Int64(other.seconds) - Int64(one.seconds)) / 86_400)
            for scenario in 0..<one.scenarios.count {
                #expect(one.itemCount(scenario: scenario) == other.itemCount(scenario: scenario))
                for (item, number) in numbers {
                    let again = try #require(node.node.itemNumbers.number(of: item))
                    let before = one.values(of: number, scenario: scenario)
                    let after = other.values(of: again, scenario: scenario)
                    #expect(abs(before.clicks * decay - after.clicks) < 1e-3 * max(1, before.clicks))
                    #expect(abs(before.impressions * decay - after.impressions) < 1e-3 * max(1, before.impressions))
                }
            }
        }
        func copy(_ name: String) throws {
            try FileManager.default.copyItem(atPath: world.folder.file("events"), toPath: world.folder.file(name))
        }
        let node = try await world.start(events: "events")
        try await record(node, calls: 10)
        try copy("log alone")
        let early = try view(node)
        await node.node.takeSnapshot()
        try await record(node, calls: 10)
        try copy("both")
        let late = try view(node)
        var numbers: [String: UInt32] = [:]
        for item in world.items { numbers[item] = node.node.itemNumbers.number(of: item) }
        await node.stop()
        for (name, expected) in [("log alone", early), ("both", late), ("events", late)] {
            let again = try await world.start(shards: shards, events: name)
            #expect((again.node.restored?.events == 0) == (name == "events"))
            #expect(try StatusPage.merges(again) > 0)
            try expectSame(expected, again, numbers)
            await again.stop()
            // And once more, from what that one stored.
            let more = try await world.start(events: name)
            try expectSame(expected, more, numbers)
            await more.stop()
        }
    }

    @Test("metrics tell of merges, items, bytes and the age of what is served")
    func metrics() async throws {
        let world = try World()
        let node = try await world.start()
        try await world.click(node, world.items[3], times: 5)
        _ = try await Self.until(node, Self.request("now", world.users[0])) { !Self.trending($0).isEmpty }
        let text = try StatusPage.text(node, "/metrics")
        func value(_ name: String) -> Double? {
            text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
                .flatMap { Double($0.split(separator: " ").last ?? "") }
        }
        #expect(value("martlet_live_items") == 1 && value("martlet_live_item_counts") == 2)
        #expect(value("martlet_live_item_bytes") ?? 0 > 0 && value("martlet_live_item_merges_total") ?? 0 > 0)
        #expect(value("martlet_live_item_merge_seconds_total") ?? 0 > 0)
        #expect(value("martlet_live_items_age_seconds") ?? 0 > 0)
        #expect(value("martlet_live_item_events_dropped_total") == 0)
        #expect(text.contains("martlet_retrieval_candidates_total{source=\"trending\"}"))
        await node.stop()
    }
}

/// The HTTP port of a node, as a person reads it.
private enum StatusPage {
    static func text(_ node: TestNode, _ path: String) throws -> String {
        let port = node.httpPort
        let socket = try BlockingSocket(port: port)
        try socket.send(Array("GET \(path) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
        let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
        let body = try #require(answer.range(of: "\r\n\r\n"))
        return String(answer[body.upperBound...])
    }

    static func read(_ node: TestNode) throws -> [String: Any] {
        let text = try text(node, "/status")
        return try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    static func merges(_ node: TestNode) throws -> UInt64 { node.node.itemActivity.reading.merges }
}
