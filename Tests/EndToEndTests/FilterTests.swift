import Artifacts
import Catalog
import MartletClient
import NearestNeighbors
import Retrieval
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

@Suite("Filters over the wire", .ownThreads)
struct FilterTests {
    @Test("a slate has k items whenever k pass the filter, the best ones, from 0.01 % to all of the items")
    func selectivities() async throws {
        let world = FilterWorld(userCount: 6, itemCount: 20_000, seed: 51)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let node = try await TestNode(bundle: folder.file("model"))
        var random = SeededGenerator(seed: 52)
        for share in [0.0001, 0.001, 0.005, 0.02, 0.1, 0.3, 0.7, 0.99, 1] {
            let count = Int(Double(world.itemCount) * share)
            for user in [1, 2, 5] {
                let low = Double(Int.random(in: 0...(world.itemCount - count), using: &random))
                let passing = world.places.indices.filter {
                    world.places[$0] >= low && world.places[$0] < low + Double(count)
                }
                #expect(passing.count == count)
                let eligible = Set(passing).subtracting(world.histories[user].map(Int.init))
                for k in [1, 20, 90] {
                    var request = RecommendRequest(user: world.users[user], k: k)
                    request.explain = k == 20
                    request.filter.conditions = [
                        AttributeCondition("place", min: low, max: low + Double(count) - 1)
                    ]
                    let reply = try await node.client.recommend(request)
                    #expect(reply.items == world.best(k, of: user, among: eligible), "\(share), user \(user), k \(k)")
                    #expect(reply.items.count == min(k, eligible.count))
                    if k == 20 { #expect(reply.eligibleItems == eligible.count) }
                }
            }
        }
        await node.stop()
    }

    @Test(
        "random conditions hold for every item of every method, and k pass when k can",
        arguments: [SearchPlanner.Mode.auto, .hnsw])
    func randomConditions(mode: SearchPlanner.Mode) async throws {
        try await withNode(change: { $0.index = mode }) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let items = model.items
            var random = SeededGenerator(seed: 53)
            for _ in 0..<60 {
                let filter = Self.filter(&random)
                let passing = (0..<UInt32(items.count)).filter { Self.satisfies(items, $0, filter) }
                let user = UInt32.random(in: 0..<UInt32(model.users.count), using: &random)
                let eligible = Set(passing).subtracting(model.users.history(of: user))
                var request = RecommendRequest(user: model.users.name(user), k: 15)
                request.filter = filter
                let reply = try await node.client.recommend(request)
                #expect(Set(reply.items.compactMap { items.row(of: $0) }).isSubset(of: eligible))
                #expect(Set(reply.items).count == min(15, eligible.count), "\(filter)")
                #expect(reply.degraded.contains(.shortSlate) == (eligible.count < 15))

                var many = RecommendManyRequest(users: [request.user, "a stranger"], k: 15)
                many.filter = filter
                let both = try await node.client.recommendMany(many)
                #expect(Array(both.items[both.slates[0]]) == reply.items)
                #expect(both.itemCounts[1] == min(15, passing.count))

                let item = UInt32.random(in: 0..<UInt32(items.count), using: &random)
                for source in ["als", "item_to_item"] {
                    var similar = SimilarItemsRequest(item: items.name(item), k: 15, source: source)
                    similar.filter = filter
                    let found = try await node.client.similarItems(similar).items.compactMap { items.row(of: $0) }
                    #expect(Set(found).isSubset(of: Set(passing).subtracting([item])))
                    if source == "als" { #expect(found.count == min(15, Set(passing).subtracting([item]).count)) }
                }
            }
        }
    }

    /// A filter over the sample's language, year and genres.
    private static func filter(_ random: inout SeededGenerator) -> AttributeFilter {
        let languages = ["English", "French", "Spanish", "Japanese", "Esperanto"]
        let year = Double(Int.random(in: 1985...2026, using: &random))
        let all = [
            AttributeCondition("language", anyOf: Array(languages.shuffled(using: &random).prefix(2))),
            AttributeCondition("language", noneOf: Array(languages.shuffled(using: &random).prefix(2))),
            AttributeCondition("year", min: year), AttributeCondition("year", max: year),
            AttributeCondition("year", min: year - 3, max: year + 3), AttributeCondition("year", noneOf: ["2024"]),
            AttributeCondition("genres", anyOf: ["Comedy", "Drama"]),
        ]
        var filter = AttributeFilter()
        filter.conditions = Array(all.shuffled(using: &random).prefix(Int.random(in: 1...2, using: &random)))
        if Int.random(in: 0...3, using: &random) == 0 { filter.noTag = ["Western"] }
        return filter
    }

    private static func satisfies(_ items: ItemCatalog, _ row: UInt32, _ filter: AttributeFilter) -> Bool {
        let tags = items.tags(row)
        if filter.noTag.contains(where: tags.contains) { return false }
        return filter.conditions.allSatisfy { condition in
            var texts = tags
            for attribute in items.details.attributes where attribute.name == condition.attribute {
                switch attribute.content {
                case .text(let text): texts = text.numbers(row).map(text.value)
                case .number(let number):
                    guard let value = number.value(row) else { return false }
                    return value >= condition.min ?? -.infinity && value <= condition.max ?? .infinity
                        && !condition.noneOf.contains { Double($0) == value }
                }
            }
            return (condition.anyOf.isEmpty || condition.anyOf.contains(where: texts.contains))
                && !condition.noneOf.contains(where: texts.contains)
        }
    }

    @Test("a filter that does not fit the items is refused by every method, and says what there is")
    func refusals() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            func refusals(_ condition: AttributeCondition) async -> [String] {
                let filter = AttributeFilter(conditions: [condition])
                var one = RecommendRequest(user: model.users.name(0))
                var many = RecommendManyRequest(users: ["x", "y"])
                var similar = SimilarItemsRequest(item: model.items.name(0))
                (one.filter, many.filter, similar.filter) = (filter, filter, filter)
                var messages: [String] = []
                for call in [
                    { _ = try await node.client.recommend(one) }, { _ = try await node.client.recommendMany(many) },
                    { _ = try await node.client.similarItems(similar) },
                ] as [() async throws -> Void] {
                    do {
                        try await call()
                        messages.append("taken")
                    } catch let error as MartletClientError {
                        #expect(error.code == .invalidArgument)
                        messages.append(error.message)
                    } catch { messages.append("\(error)") }
                }
                return messages
            }
            for (condition, words) in [
                (AttributeCondition("yaer", min: 1), "'yaer'; did you mean 'year'? known: genres, language, year"),
                (AttributeCondition("language", max: 3), "attribute 'language' holds texts"),
                (AttributeCondition("year", anyOf: ["recent"]), "attribute 'year' holds numbers; 'recent' is none"),
                (AttributeCondition("year", min: .nan), "filter.conditions[0].min is not a number"),
                (AttributeCondition("year"), "filter.conditions[0] asks nothing of 'year'"),
            ] {
                for message in await refusals(condition) { #expect(message.contains(words), "\(message)") }
            }
        }
    }

    @Test("the filter is part of what the cache answers by, and of what a cursor belongs to")
    func cacheAndCursors() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let cached = Log()
            var options = CallOptions()
            options.onReply = { cached.append($0.isCached) }
            func ask(_ condition: AttributeCondition, cursor: [UInt8] = []) async throws -> RecommendReply {
                var request = RecommendRequest(user: model.users.name(3), k: 5)
                request.filter.conditions = [condition]
                request.cursor = cursor
                return try await node.client.recommend(request, options: options)
            }
            let late = try await ask(AttributeCondition("year", min: 2010))
            let early = try await ask(AttributeCondition("year", max: 2009))
            #expect(try await ask(AttributeCondition("year", min: 2010)) == late)
            #expect(try await ask(AttributeCondition("year", max: 2009)) == early)
            #expect(cached.values == [false, false, true, true])
            #expect(Set(late.items).isDisjoint(with: early.items))

            let second = try await ask(AttributeCondition("year", min: 2010), cursor: late.nextCursor)
            #expect(Set(second.items).isDisjoint(with: late.items))
            for other in [AttributeCondition("year", max: 2010), AttributeCondition("year", min: 2011)] {
                await expectFailure(.invalidArgument) { _ = try await ask(other, cursor: late.nextCursor) }
            }
        }
    }
}

@Suite("Availability over the wire", .ownThreads)
struct AvailabilityTests {
    /// Half of the items come and go with the time, 0 to 100.
    private func world(seed: UInt64) -> FilterWorld {
        var random = SeededGenerator(seed: seed)
        let windows = (0..<300).map { row -> AvailabilityWindow in
            guard row % 2 == 0 else { return AvailabilityWindow() }
            let from = Int64.random(in: 0...90, using: &random)
            return AvailabilityWindow(
                from: Bool.random(using: &random) ? from : nil,
                until: Bool.random(using: &random) ? from + Int64.random(in: 1...40, using: &random) : nil)
        }
        return FilterWorld(userCount: 4, itemCount: 300, windows: windows, seed: seed)
    }

    @Test("an item outside of its window is in no answer, however it is asked for, and all that are inside can be")
    func everyPath() async throws {
        let world = world(seed: 61)
        let windows = try #require(world.windows)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let clock = HandClock(0)
        let node = try await TestNode(
            bundle: folder.file("model"),
            change: {
                // Every source alone, beside the bundle's own mix.
                for source in [RetrievalSource.als, .popular, .recent] {
                    var scenario = ScenarioConfiguration()
                    scenario.retrieval = RetrievalMix(sources: [.init(source: source, limit: 30)])
                    $0.scenarios[source.rawValue] = scenario
                }
            }, wallClock: clock.read)
        var random = SeededGenerator(seed: 62)
        for step in 0..<40 {
            // Hits of the cache, small steps, and leaps to either side.
            let now = step % 4 == 0 ? Int64.random(in: -5...110, using: &random) : Int64(step * 3)
            clock.set(now)
            let inside = Set(
                windows.indices.filter {
                    (windows[$0].from.map { $0 <= now } ?? true) && (windows[$0].until.map { now < $0 } ?? true)
                }.map(world.item))
            for (user, name) in world.users.enumerated() {
                let eligible = inside.subtracting(world.histories[user].map { world.item(Int($0)) })
                for scenario in ["", "als", "popular", "recent"] {
                    for _ in 0..<2 {
                        let reply = try await node.client.recommend(user: name, k: 40, scenario: scenario)
                        #expect(Set(reply.items).isSubset(of: eligible), "at \(now), user \(user), '\(scenario)'")
                        #expect(reply.items.count == 40)
                    }
                }
            }
            // Whoever comes into their window is seen at once past the cache.
            var options = CallOptions()
            options.bypassesCache = true
            let stranger = try await node.client.recommend(RecommendRequest(user: "nobody", k: 300), options: options)
            #expect(stranger.items.count == min(300, inside.count) && Set(stranger.items) == inside)
            let similar = try await node.client.similarItems(SimilarItemsRequest(item: "i0", k: 300, source: "als"))
            #expect(Set(similar.items) == inside.subtracting(["i0"]))
            let many = try await node.client.recommendMany(RecommendManyRequest(users: world.users, k: 30))
            #expect(Set(many.items).isSubset(of: inside) && many.itemCounts.allSatisfy { $0 == 30 })
            // What is known of an item is told at any time.
            #expect(try await node.client.getItem(GetItemRequest(item: "i2")).item == "i2")
        }
        await node.stop()
    }

    @Test("pages leave out what has gone in between and never repeat")
    func pages() async throws {
        let world = world(seed: 63)
        let windows = try #require(world.windows)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let clock = HandClock(0)
        let node = try await TestNode(bundle: folder.file("model"), wallClock: clock.read)
        var request = RecommendRequest(user: world.users[2], k: 9)
        var shown: [String] = []
        for page in 0..<100 {
            clock.set(Int64(page * 3))
            let reply = try await node.client.recommend(request)
            for item in reply.items {
                let window = windows[Int(item.dropFirst()) ?? 0]
                #expect(window.from ?? .min <= Int64(page * 3) && Int64(page * 3) < window.until ?? .max)
            }
            shown += reply.items
            if reply.nextCursor.isEmpty { break }
            request.cursor = reply.nextCursor
        }
        #expect(shown.count == Set(shown).count && shown.count > 100)
        await node.stop()
    }

    @Test("an answer is served again until one of its items goes, and is made anew then")
    func resultCache() async throws {
        let windows = (0..<50).map { AvailabilityWindow(from: $0 == 40 ? 5 : nil, until: $0 == 0 ? 20 : nil) }
        let world = FilterWorld(userCount: 1, itemCount: 50, windows: windows, seed: 64)
        let folder = try TemporaryFolder()
        try world.publish(at: folder.file("model"))
        let clock = HandClock(10)
        let node = try await TestNode(bundle: folder.file("model"), shards: 1, wallClock: clock.read)
        let cached = Log()
        var options = CallOptions()
        options.onReply = { cached.append($0.isCached) }
        func ask() async throws -> [String] {
            try await node.client.recommend(RecommendRequest(user: "nobody", k: 50), options: options).items
        }
        let first = try await ask()
        #expect(first.count == 50 && first.contains("i0"))
        clock.set(19)
        #expect(try await ask() == first)
        clock.set(20)
        let second = try await ask()
        #expect(second.count == 49 && !second.contains("i0"))
        #expect(try await ask() == second)
        // The clock is set back to before one of the items came.
        clock.set(4)
        let third = try await ask()
        #expect(third.contains("i0") && !third.contains("i40"))
        #expect(cached.values == [false, true, false, true, false])
        await node.stop()
    }
}
