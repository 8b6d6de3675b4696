import Artifacts
import Catalog
import Foundation
import MartletClient
import Retrieval
import TestSupport
import Testing
import VectorMath
import Vocabulary

@Suite("A node over the wire", .ownThreads)
struct NodeTests {
    @Test("answers with k items that the user has not seen, best first, all of one generation", arguments: [1, 3])
    func slates(shards: Int) async throws {
        try await withNode(shards: shards) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            for number in stride(from: 1, through: SmallWorld.userCount, by: 7) {
                let user = model.users.name(UInt32(number - 1))
                let reply = try await node.client.recommend(user: user, k: 20)
                #expect(reply.items.count == 20)
                #expect(Set(reply.items).count == 20)
                #expect(reply.fallback == .none)
                #expect(reply.generation == 1)
                #expect(reply.model == "world@1")
                #expect(zip(reply.scores, reply.scores.dropFirst()).allSatisfy { $0 >= $1 })
                let seen = model.users.history(of: UInt32(number - 1)).map { model.items.name($0) }
                #expect(Set(reply.items).isDisjoint(with: seen))
            }
        }
    }

    @Test("the second answer comes from the cache, is the same, and a bypass is computed anew")
    func caching() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let cached = Log()
            var options = CallOptions()
            options.onReply = { cached.append($0.isCached) }
            let user = model.users.name(3)
            let first = try await node.client.recommend(RecommendRequest(user: user, k: 10), options: options)
            let second = try await node.client.recommend(RecommendRequest(user: user, k: 10), options: options)
            options.bypassesCache = true
            let third = try await node.client.recommend(RecommendRequest(user: user, k: 10), options: options)
            #expect(cached.values == [false, true, false])
            #expect(first == second)
            #expect(first == third)
        }
    }

    @Test("serves what the retrieval room gives for the same bundle")
    func sameAsOffline() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let generator = CandidateGenerator(model: model)
            // One list for all users: a selection replaces the one before.
            var best: [ScoredRow] = []
            for row in stride(from: UInt32(0), to: UInt32(model.users.count), by: 11) {
                let history = model.users.history(of: row)
                generator.mask.begin()
                for item in history { generator.mask.block(item) }
                generator.begin(user: row, history: history, mix: model.mix)
                while try !generator.step() {}
                generator.select(15, into: &best)
                let reply = try await node.client.recommend(user: model.users.name(row), k: 15)
                #expect(reply.items == best.map { model.items.name($0.row) })
            }
        }
    }

    @Test("an unknown user gets popular items, and the answer says so")
    func unknownUser() async throws {
        try await withNode { node, _ in
            let reply = try await node.client.recommend(user: "nobody-knows-me", k: 10)
            #expect(reply.fallback == .unknownUser)
            #expect(reply.items.count == 10)
        }
    }

    @Test("pages follow each other without a repetition until everything unseen was shown", arguments: [1, 7, 50])
    func paging(k: Int) async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let user = model.users.name(5)
            var shown: [String] = []
            var request = RecommendRequest(user: user, k: k)
            for _ in 0...SmallWorld.itemCount {
                let reply = try await node.client.recommend(request)
                shown += reply.items
                if reply.nextCursor.isEmpty { break }
                request.cursor = reply.nextCursor
            }
            let seen = Set(model.users.history(of: 5).map { model.items.name($0) })
            let unseen = Set((0..<UInt32(model.items.count)).map { model.items.name($0) }).subtracting(seen)
            #expect(shown.count == Set(shown).count)
            #expect(Set(shown) == unseen)
            // The first items do not depend on how they are cut into pages.
            let whole = try await node.client.recommend(user: user, k: min(40, unseen.count))
            #expect(Array(shown.prefix(whole.items.count)) == whole.items)
        }
    }

    @Test("a cursor of another request, or of no request, is refused")
    func wrongCursor() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let first = try await node.client.recommend(user: model.users.name(1), k: 5)
            var other = RecommendRequest(user: model.users.name(2), k: 5)
            other.cursor = first.nextCursor
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(other) }
            other.cursor = [1, 2, 3]
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(other) }
        }
    }

    @Test("filters and exclusions hold exactly, and the slate is full while enough items are eligible")
    func filters() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let items = model.items
            for tag in 0..<UInt32(items.tagCount) {
                let user = UInt32(tag) % UInt32(model.users.count)
                let seen = Set(model.users.history(of: user))
                var request = RecommendRequest(user: model.users.name(user), k: 10)
                request.filter.anyTag = [items.tagName(tag)]
                let having = (0..<UInt32(items.count)).filter { items.hasTag(tag, row: $0) && !seen.contains($0) }
                request.excludeItems = having.prefix(2).map { items.name($0) } + ["no such item"]
                let eligible = Set(having.dropFirst(2).map { items.name($0) })
                let reply = try await node.client.recommend(request)
                #expect(reply.items.count == min(10, eligible.count))
                #expect(Set(reply.items).isSubset(of: eligible))
                #expect(reply.degraded.contains(.shortSlate) == (eligible.count < 10))
                request.filter = AttributeFilter(noTag: [items.tagName(tag)])
                request.excludeItems = []
                let without = try await node.client.recommend(request)
                #expect(
                    without.items.allSatisfy { name in items.row(of: name).map { !items.hasTag(tag, row: $0) } ?? false
                    })
            }
            var impossible = RecommendRequest(user: model.users.name(0), k: 10)
            impossible.filter.allTags = ["no such tag"]
            let none = try await node.client.recommend(impossible)
            #expect(none.items.isEmpty)
            #expect(none.degraded.contains(.shortSlate))
        }
    }

    @Test("RecommendMany gives each user what Recommend gives, in the order asked, over all shards")
    func many() async throws {
        try await withNode(shards: 3) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let users = (0..<40).map { model.users.name(UInt32($0 * 5)) } + ["a stranger"]
            let reply = try await node.client.recommendMany(RecommendManyRequest(users: users, k: 6))
            #expect(reply.itemCounts.count == users.count)
            for (index, range) in reply.slates.enumerated() {
                let single = try await node.client.recommend(user: users[index], k: 6)
                #expect(Array(reply.items[range]) == single.items)
                #expect(reply.statuses[index] == .ok)
                #expect(reply.fallbacks[index] == single.fallback)
            }
        }
    }

    @Test("explains: a reason for each item, and shares that add up to its score")
    func explanations() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            var request = RecommendRequest(user: model.users.name(9), k: 10)
            request.explain = true
            let reply = try await node.client.recommend(request)
            #expect(reply.reasons.count == 10)
            #expect(reply.titles.count == 10)
            #expect(reply.reasons.allSatisfy { !$0.isEmpty })
            #expect(reply.timings.contains { $0.stage == "retrieve" })
            for (index, score) in reply.scores.enumerated() {
                let sum = reply.shares.filter { $0.item == index }.reduce(0) { $0 + $1.contribution }
                #expect(abs(sum - score) <= 1e-4 * max(1, abs(score)))
            }
        }
    }

    @Test("finds items like an item, and an item's details")
    func items() async throws {
        try await withNode { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let item = model.items.name(4)
            for source in ["", "item_to_item", "als", "spectral"] {
                let reply = try await node.client.similarItems(SimilarItemsRequest(item: item, k: 5, source: source))
                #expect(reply.items.count == 5)
                #expect(!reply.items.contains(item))
                #expect(reply.source == (source.isEmpty ? "item_to_item" : source))
            }
            let details = try await node.client.getItem(GetItemRequest(item: item))
            #expect(details.title == model.items.title(4))
            #expect(details.tags == model.items.tags(4))
            #expect(details.popularityRank == 5)
            await expectFailure(.notFound) { _ = try await node.client.getItem(GetItemRequest(item: "no such item")) }
            await expectFailure(.invalidArgument) {
                _ = try await node.client.similarItems(SimilarItemsRequest(item: item, source: "popular"))
            }
        }
    }

    @Test("what cannot be served is refused with the right code")
    func refusals() async throws {
        try await withNode { node, _ in
            await expectFailure(.notFound) { _ = try await node.client.recommend(user: "u", scenario: "no such place") }
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(user: "") }
            await expectFailure(.invalidArgument) {
                _ = try await node.client.recommend(user: String(repeating: "x", count: 256))
            }
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(user: "u", k: 1001) }
            var request = RecommendRequest(user: "u")
            request.tenant = "another"
            await expectFailure(.invalidArgument) { _ = try await node.client.recommend(request) }
        }
    }

    @Test("health says what serves")
    func health() async throws {
        try await withNode(shards: 2) { node, _ in
            let health = try await node.client.health()
            #expect(health.state == .ready)
            #expect(health.shardCount == 2)
            #expect(health.model == "world@1")
        }
    }
}

/// The answer must be an error of this code.
func expectFailure(
    _ code: StatusCode, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("expected \(code.name)", sourceLocation: sourceLocation)
    } catch let error as MartletClientError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}

/// Values gathered from several threads.
final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: [Bool] = []
    func append(_ value: Bool) { lock.withLock { stored.append(value) } }
    var values: [Bool] { lock.withLock { stored } }
}
