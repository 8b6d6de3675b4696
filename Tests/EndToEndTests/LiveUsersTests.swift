import MartletClient
import MartletServer
import Retrieval
import Serving
import TestSupport
import Testing
import VectorMath
import Vocabulary
import Wire

@testable import Artifacts

@Suite("Events count in the next request", .timeLimit(.minutes(30)), .ownThreads)
struct LiveUsersTests {
    private func event(_ user: String, _ item: String, _ type: String = "click", id: String = "") -> UserEvent {
        UserEvent(user: user, item: item, type: type, id: id)
    }

    private func record(_ node: TestNode, _ events: UserEvent...) async throws {
        let reply = try await node.client.recordEvents(RecordEventsRequest(events: events))
        #expect(reply.faults.isEmpty && reply.stored + reply.duplicates == events.count)
    }

    @Test("what a user saw or hid is not in the next slate, cached or not, and the others' slates stay")
    func seenAndHidden() async throws {
        try await withNode { node, _ in
            for number in 0..<20 {
                let user = SmallWorld.user(number * 7)
                let other = SmallWorld.user(number * 7 + 1)
                let before = try await node.client.recommend(user: user, k: 10)
                let others = try await node.client.recommend(user: other, k: 10)
                let clicked = before.items[number % 10]
                let hidden = before.items[(number + 3) % 10]
                try await record(node, event(user, clicked), event(user, hidden, "hide"))
                let after = try await node.client.recommend(user: user, k: 10)
                #expect(!after.items.contains(clicked) && !after.items.contains(hidden))
                #expect(after.items.count == 10 && after.fallback == .none)
                // No page, no method shows them.
                var all = Set<String>()
                var request = RecommendRequest(user: user, k: 25)
                repeat {
                    let page = try await node.client.recommend(request)
                    all.formUnion(page.items)
                    request.cursor = page.nextCursor
                } while !request.cursor.isEmpty
                #expect(!all.contains(clicked) && !all.contains(hidden))
                let many = try await node.client.recommendMany(RecommendManyRequest(users: [user, other], k: 10))
                #expect(Array(many.items[many.slates[0]]) == after.items)
                #expect(try await node.client.recommend(user: other, k: 10).items == others.items)
            }
        }
    }

    @Test("a stranger's first events bring a slate of its own, and so do recent items without a user")
    func strangers() async throws {
        try await withNode { node, folder in
            var options = RetrievalModel.Options()
            options.foldsIn = true
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")), options: options)
            let popular = try await node.client.recommend(user: "stranger", k: 12)
            #expect(popular.fallback == .unknownUser)
            let liked = [90, 100, 110].map { model.items.name(UInt32($0)) }
            try await record(
                node, event("stranger", liked[0]), event("stranger", liked[1]), event("stranger", liked[2], "purchase"),
                event("stranger", "nobody knows it"))
            let own = try await node.client.recommend(user: "stranger", k: 12)
            #expect(own.fallback == .none && own.items != popular.items && Set(own.items).isDisjoint(with: liked))
            // As the sources say by themselves of such a history and its factor: a purchase weighs three clicks.
            let rows = liked.compactMap { model.items.row(of: $0) }
            func expected(_ weights: [Float]) throws -> [String] {
                let generator = CandidateGenerator(model: model)
                let factor = try #require(model.foldIn).factor(rows: rows, weights: weights)
                generator.mask.begin()
                for row in rows { generator.mask.block(row) }
                rows.withUnsafeBufferPointer { rows in
                    factor.withUnsafeBufferPointer {
                        generator.begin(user: nil, factor: $0, history: rows, mix: model.mix)
                    }
                }
                while try !generator.step() {}
                var best: [ScoredRow] = []
                generator.select(12, into: &best)
                return best.map { model.items.name($0.row) }
            }
            #expect(own.items == (try expected([1, 1, 3])))
            var request = RecommendRequest(user: "", k: 12)
            request.recentItems = liked
            let anonymous = try await node.client.recommend(request)
            #expect(anonymous.items == (try expected([1, 1, 1])) && anonymous.fallback == .none)
            // Recent items stand beside what is known of a user.
            request.user = SmallWorld.user(3)
            let beside = try await node.client.recommend(request)
            #expect(Set(beside.items).isDisjoint(with: liked))
            request.recentItems = []
            #expect(try await node.client.recommend(request).items != beside.items)
            request.user = ""
            await #expect(throws: MartletClientError.self) { try await node.client.recommend(request) }
        }
    }

    @Test("events under an ID count once, whether together, one after the other or over a restart")
    func repeats() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        func start(shards: Int) async throws -> TestNode {
            try await TestNode(bundle: bundle, shards: shards) { $0.events.directory = folder.file("events") }
        }
        let events = (0..<40).map { number in
            event(SmallWorld.user(number % 5), "item \(number / 2)", id: "e\(number / 2)")
        }
        let distinct = Set(events.map { "\($0.user) \($0.id)" }).count
        let node = try await start(shards: 2)
        let first = try await node.client.recordEvents(RecordEventsRequest(events: events))
        #expect(first.stored == distinct && first.duplicates == 40 - distinct)
        let second = try await node.client.recordEvents(RecordEventsRequest(events: events))
        #expect(second.stored == 0 && second.duplicates == 40)
        await node.stop()
        // With other shards, too.
        let again = try await start(shards: 3)
        let third = try await again.client.recordEvents(RecordEventsRequest(events: events))
        #expect(third.stored == 0 && third.duplicates == 40)
        await again.stop()
        #expect(try RecordEventsTests.logged(folder.file("events")).count == distinct)
    }

    @Test("slates are the same after a restart, with as many shards or others")
    func restart() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let model = try RetrievalModel(bundle: Bundle(opening: bundle))
        var slates: [[String]] = []
        for shards in [2, 2, 1, 4] {
            let node = try await TestNode(bundle: bundle, shards: shards) { configuration in
                configuration.events.directory = folder.file("events")
                configuration.events.segmentBytes = 64 << 10
            }
            if slates.isEmpty {
                var random = SeededGenerator(seed: 3)
                for _ in 0..<40 {
                    let events = (0..<50).map { _ in
                        event(
                            SmallWorld.user(Int.random(in: 0..<300, using: &random)),
                            model.items.name(UInt32.random(in: 0..<120, using: &random)),
                            ["view", "click", "hide", "purchase"].randomElement(using: &random) ?? "view")
                    }
                    let reply = try await node.client.recordEvents(RecordEventsRequest(events: events))
                    #expect(reply.stored == 50)
                }
                for number in 0..<300 {
                    slates.append(try await node.client.recommend(user: SmallWorld.user(number), k: 20).items)
                }
            } else {
                for number in 0..<300 {
                    let items = try await node.client.recommend(user: SmallWorld.user(number), k: 20).items
                    #expect(items == slates[number], "user \(number), \(shards) shards")
                }
            }
            await node.stop()
        }
    }
}
