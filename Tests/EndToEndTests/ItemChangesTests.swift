import Artifacts
import Catalog
import EventLog
import Foundation
import MartletClient
import Retrieval
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletServer
@testable import Serving

@Suite("Items that change", .timeLimit(.minutes(30)), .ownThreads)
struct ItemChangesTests {
    /// A node that serves a `FilterWorld`.
    private struct Served {
        let folder: TemporaryFolder
        let world: FilterWorld
        let clock: HandClock

        init(items: Int = 400, windows: Bool = false, seed: UInt64) throws {
            folder = try TemporaryFolder()
            var random = SeededGenerator(seed: seed)
            let all = (0..<items).map { _ in
                Bool.random(using: &random)
                    ? AvailabilityWindow()
                    : AvailabilityWindow(
                        from: Int64.random(in: 900...1010, using: &random),
                        until: Int64.random(in: 1011...1100, using: &random))
            }
            world = FilterWorld(userCount: 12, itemCount: items, windows: windows ? all : nil, seed: seed)
            clock = HandClock(1000)
            try world.publish(at: folder.file("model"))
        }

        func start(
            shards: Int = 2, events: Bool = true, change: (inout ServerConfiguration) -> Void = { _ in }
        ) async throws -> TestNode {
            try await TestNode(
                bundle: folder.file("model"), shards: shards,
                change: {
                    if events { $0.events.directory = folder.file("events") }
                    $0.events.snapshotInterval = .zero
                    change(&$0)
                }, wallClock: clock.read)
        }
    }

    private static let bypass = CallOptions(bypassesCache: true)

    /// Compares a node's answers with the oracle's.
    private static func check(
        _ node: TestNode, _ oracle: ItemChangeOracle, _ now: Int64, _ random: inout SeededGenerator
    ) async throws {
        let world = oracle.world
        let user = Int.random(in: 1..<world.userCount, using: &random)
        let name = world.users[user]
        let k = Int.random(in: 1...60, using: &random)
        var filter = AttributeFilter()
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            filter.conditions = [
                AttributeCondition("place", min: Double.random(in: 0...200, using: &random), max: 350)
            ]
        case 1: filter.conditions = [AttributeCondition("brand", anyOf: ["b1", "b3"])]
        case 2: filter.conditions = [AttributeCondition("brand", noneOf: ["b2"])]
        default: break
        }
        let excluded = (0..<3).map { _ in
            ([world.item(0)] + oracle.newItems).randomElement(using: &random) ?? ""
        }
        let eligible = oracle.eligible(user, filter, excluded: excluded, at: now)
        let expected = oracle.best(k, of: user, among: eligible)
        var request = RecommendRequest(user: name, k: k)
        request.filter = filter
        request.excludeItems = excluded
        let reply = try await node.client.recommend(request, options: bypass)
        // Only what the source brings has an order by score.
        #expect(Array(reply.items.prefix(min(k, 100))) == expected)
        #expect(reply.items.count == min(k, eligible.count))
        // Whatever is kept shows nothing that may not be shown.
        for _ in 0..<2 {
            let kept = try await node.client.recommend(request)
            #expect(Set(kept.items).isSubset(of: eligible))
        }
        var many = RecommendManyRequest(users: [name, world.users[user]], k: k)
        many.filter = filter
        many.excludeItems = excluded
        let slates = try await node.client.recommendMany(many)
        for slate in slates.slates { #expect(Array(slates.items[slate]) == expected) }
        try await checkPages(node, request, eligible)
        request.user = "a stranger"
        let all = oracle.eligible(0, filter, excluded: excluded, at: now)
        #expect(world.histories[0].isEmpty)
        let strange = try await node.client.recommend(request, options: bypass)
        #expect(Set(strange.items).isSubset(of: all) && strange.items.count == min(k, all.count))
        for item in [world.item(Int.random(in: 0..<world.itemCount, using: &random))] + oracle.newItems.suffix(2) {
            let found = try? await node.client.getItem(GetItemRequest(item: item))
            #expect((found != nil) == !oracle.isDeleted(item), "\(item)")
            if let found, let title = oracle.title(item) { #expect(found.title == title) }
        }
        let item = world.item(Int.random(in: 0..<world.itemCount, using: &random))
        if let similar = try? await node.client.similarItems(Wire.SimilarItemsRequest(item: item, k: k)) {
            #expect(!oracle.isDeleted(item))
            #expect(Set(similar.items).isSubset(of: oracle.eligible(0, AttributeFilter(), excluded: [], at: now)))
        } else {
            #expect(oracle.isDeleted(item))
        }
    }

    private static func checkPages(
        _ node: TestNode, _ request: RecommendRequest, _ eligible: Set<String>
    ) async throws {
        var page = request
        page.k = 60
        var shown: [String] = []
        for _ in 0..<20 {
            let reply = try await node.client.recommend(page)
            shown += reply.items
            if reply.nextCursor.isEmpty { break }
            page.cursor = reply.nextCursor
        }
        #expect(Set(shown).count == shown.count && Set(shown).isSubset(of: eligible))
        // The first page may be a kept one, made before some items came; the others are not.
        #expect(shown.count <= eligible.count)
    }

    @Test("answers obey every change that was answered, through restarts and reloads", arguments: [false, true])
    func changesAndRequests(windows: Bool) async throws {
        let served = try Served(windows: windows, seed: 61)
        var oracle = ItemChangeOracle(served.world)
        var random = SeededGenerator(seed: windows ? 62 : 63)
        var now: Int64 = 1000
        var node = try await served.start()
        for round in 0..<36 {
            let changes = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                random.itemChange(served.world, around: now)
            }
            let isStored = try await node.change(changes)
            #expect(isStored)
            for change in changes { oracle.apply(change) }
            if round % 5 == 4 {
                now += Int64.random(in: -10...30, using: &random)
                served.clock.set(now)
            }
            try await Self.check(node, oracle, now, &random)
            if round % 12 == 5 { await node.node.takeSnapshot() }
            if round % 12 == 8 {
                await node.stop()
                node = try await served.start(shards: round == 8 ? 1 : 2)
                // Rows of a new process stand in another order; equal scores do not occur.
                try await Self.check(node, oracle, now, &random)
            }
            if round % 12 == 11 {
                _ = try await node.client.loadModel(
                    LoadModelRequest(path: "model"))
                try await Self.check(node, oracle, now, &random)
            }
        }
        await node.stop()
    }

    @Test("what is deleted or hidden is in no answer to a call that began after that was answered, kept ones included")
    func hammer() async throws {
        let served = try Served(items: 120, seed: 64)
        let node = try await served.start()
        let client = node.client
        let stop = Flag()
        let gone = GoneItems()
        let users = served.world.users
        try await withThrowingTaskGroup(of: Int.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(worker))
                    var count = 0
                    while !stop.isSet {
                        let before = gone.all
                        let user = Int.random(in: 1..<12, using: &random)
                        let items: [String]
                        if count % 5 == 4 {
                            items = try await client.recommendMany(
                                RecommendManyRequest(users: users, k: 10)
                            ).items
                        } else {
                            items = try await client.recommend(user: users[user], k: 20).items
                        }
                        #expect(before.isDisjoint(with: items))
                        count += 1
                    }
                    return count
                }
            }
            for row in 0..<60 {
                let item = served.world.item(row)
                let change: ItemChange =
                    row % 3 == 0 ? .window(ItemWindow(item: item, isHidden: true)) : .delete(item)
                let isStored = try await node.change([change])
                #expect(isStored)
                gone.insert(item)
            }
            stop.set()
            for try await count in group { #expect(count > 0) }
        }
        let figures = node.node.changedItems
        #expect(figures.changed == 60 && figures.deleted == 40)
        await node.stop()
    }

    @Test("a new item stands in the slates of users who like its kind, by its own vector or by what it has in common")
    func newItems() async throws {
        let served = try Served(seed: 65)
        let node = try await served.start()
        let world = served.world
        let user = 3
        let top = world.best(1, of: user, among: 0..<world.itemCount)
        var description = ItemDescription(item: "brand new", title: "Brand new", tags: [])
        // Longer than that of any other item of the kind.
        description.vector = world.userFactors[user].map { 3 * $0 }
        let reply = try await node.client.upsertItems(UpsertItemsRequest(items: [description]))
        #expect(reply.stored == 1 && reply.unknownItems == 1 && reply.durability == .synced && reply.version > 0)
        var request = RecommendRequest(user: world.users[user], k: 10)
        request.explain = true
        let slate = try await node.client.recommend(request)
        #expect(slate.items.contains("brand new"))
        let place = slate.items.firstIndex(of: "brand new") ?? 0
        #expect(slate.titles[place] == "Brand new" && !slate.reasons[place].isEmpty)
        #expect(slate.shares.contains { $0.item == place && $0.source == "als" })
        let details = try await node.client.getItem(GetItemRequest(item: "brand new"))
        #expect(details.title == "Brand new" && details.popularityRank == 0)
        // By factors it is like other items, and they are like it.
        let alike = ItemDescription(item: "alike", vector: description.vector.map { 0.1 * $0 })
        _ = try await node.client.upsertItems(UpsertItemsRequest(items: [alike]))
        let similar = try await node.client.similarItems(Wire.SimilarItemsRequest(item: "brand new", k: 20))
        #expect(similar.items.first == "alike" && abs((similar.scores.first ?? 0) - 1) < 1e-5)
        let byAngle = (0..<world.itemCount).map { row in
            let (a, b) = (world.itemFactors[row], world.userFactors[user])
            func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
            return (row: row, cosine: dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot())
        }.sorted { $0.cosine > $1.cosine }
        #expect(similar.items.dropFirst() == byAngle.prefix(19).map { world.item($0.row) }[...])
        let back = try await node.client.similarItems(
            Wire.SimilarItemsRequest(item: world.item(byAngle[0].row), k: 400))
        #expect(Set(back.items).isSuperset(of: ["alike", "brand new"]) && back.items.count == 400)
        await #expect(throws: MartletClientError.self) {
            try await node.client.similarItems(
                Wire.SimilarItemsRequest(item: "brand new", k: 20, source: "item_to_item"))
        }
        _ = try await node.client.recordEvents(
            RecordEventsRequest(events: [UserEvent(user: world.users[user], item: "brand new", type: "purchase")]))
        let after = try await node.client.recommend(request)
        #expect(!after.items.contains("brand new") && !top.isEmpty)
        // Without a vector: like the items that have its rare brand.
        let brand = (0..<12).map { "b\($0)" }.min { a, b in
            world.brands.count { $0.contains(a) } < world.brands.count { $0.contains(b) }
        }
        var other = ItemDescription(item: "by brand")
        other.attributes = [ItemAttributeValue("brand", texts: [brand ?? ""])]
        _ = try await node.client.upsertItems(UpsertItemsRequest(items: [other]))
        var filtered = RecommendRequest(user: world.users[5], k: 200)
        filtered.filter.conditions = [AttributeCondition("brand", anyOf: [brand ?? ""])]
        #expect(try await node.client.recommend(filtered).items.contains("by brand"))
        await node.stop()
    }

    @Test("a model that knows an added item takes it over, and what was deleted stays so")
    func takenOver() async throws {
        let served = try Served(items: 300, seed: 66)
        let larger = FilterWorld(userCount: 12, itemCount: 340, seed: 66)
        try larger.publish(at: served.folder.file("larger"))
        let node = try await served.start()
        let descriptions = (300..<345).map { number in
            ItemDescription(item: "i\(number)", vector: [Float](repeating: 0.5, count: served.world.rank))
        }
        _ = try await node.client.upsertItems(UpsertItemsRequest(items: descriptions))
        _ = try await node.client.deleteItems(DeleteItemsRequest(items: ["i3", "i310", "i344"]))
        #expect(node.node.changedItems.added == 43)
        _ = try await node.client.loadModel(
            LoadModelRequest(path: "larger"))
        #expect(node.node.changedItems.added == 4)
        let slate = try await node.client.recommend(user: "a stranger", k: 400)
        #expect(slate.items.count == 342 && Set(slate.items).isDisjoint(with: ["i3", "i310", "i344"]))
        #expect(try await node.client.getItem(GetItemRequest(item: "i320")).popularityRank == 321)
        // A page that the generation before began goes on, without what is gone since.
        await node.stop()
    }

    @Test("what is wrong with an item costs that item alone, and says why")
    func faults() async throws {
        let served = try Served(items: 100, seed: 67)
        let node = try await served.start()
        let good = ItemDescription(item: "n1")
        func changed(_ change: (inout ItemDescription) -> Void) -> ItemDescription {
            var description = good
            change(&description)
            return description
        }
        let items = [
            good, changed { $0.item = "" }, changed { $0.item = String(repeating: "x", count: 256) },
            changed { $0.vector = [1, 2, 3] }, changed { $0.vector = [.nan] },
            changed {
                $0.fromSeconds = 5; $0.untilSeconds = 5
            }, changed { $0.tags = [""] },
            changed { $0.attributes = [ItemAttributeValue("a"), ItemAttributeValue("a")] },
            changed { $0.attributes = [ItemAttributeValue("place", number: .infinity)] },
            changed { $0.title = String(repeating: "t", count: 1025) }, changed { $0.item = "n2" },
        ]
        let reply = try await node.client.upsertItems(UpsertItemsRequest(items: items))
        #expect(reply.stored == 2 && reply.faults.map(\.item) == Array(1...9))
        #expect(reply.faults.allSatisfy { $0.status == .invalid && $0.message.utf8.count < 300 })
        #expect(reply.faults[2].message.contains("8"))
        let none = try await node.client.deleteItems(DeleteItemsRequest(items: [""]))
        #expect(none.stored == 0 && none.faults.count == 1)
        for count in [0, 1001] {
            await #expect(throws: MartletClientError.self) {
                try await node.client.deleteItems(DeleteItemsRequest(items: Array(repeating: "i", count: count)))
            }
        }
        await node.stop()
    }

    @Test("a node keeps as many changes as it may, says so, and takes others when some are taken back")
    func bounds() async throws {
        let served = try Served(items: 100, seed: 68)
        let node = try await served.start(events: false) { $0.items.changesMax = 5 }
        let reply = try await node.client.deleteItems(
            DeleteItemsRequest(items: (0..<8).map { served.world.item($0) }))
        #expect(reply.stored == 5 && reply.durability == .memory && reply.faults.map(\.item) == [5, 6, 7])
        #expect(reply.faults.allSatisfy { $0.status == .full && $0.message.contains("items.changes_max") })
        let again = try await node.client.deleteItems(DeleteItemsRequest(items: [served.world.item(2)]))
        #expect(again.stored == 1)
        let restored = try await node.client.deleteItems(
            DeleteItemsRequest(items: [served.world.item(0)], restore: true))
        #expect(restored.stored == 1)
        let hidden = try await node.client.setAvailability(
            SetAvailabilityRequest(items: [ItemWindow(item: served.world.item(9), isHidden: true)]))
        #expect(hidden.stored == 1)
        let slate = try await node.client.recommend(user: "a stranger", k: 100)
        #expect(
            Set((0..<100).map { served.world.item($0) }).subtracting(slate.items)
                == Set([1, 2, 3, 4, 9].map { served.world.item($0) }))
        await node.stop()
    }

    @Test(
        "re-ranked pages show added items, pinned ones too, and nothing that may not be shown",
        arguments: ["factors", "attribute", "caps", "boosts", "softmax"])
    func reranked(kind: String) async throws {
        let served = try Served(seed: 69)
        let node = try await served.start { configuration in
            var reranking = RerankingConfiguration()
            switch kind {
            case "factors": reranking.diversity = .init(by: .factors, strength: 0.4)
            case "attribute": reranking.diversity = .init(by: .attribute("brand"), strength: 0.4)
            case "caps": reranking.caps = [.init(attribute: "brand", most: 2)]
            case "boosts": reranking.boosts = [.init(.value(attribute: "brand", "b2"), factor: 2, add: 0.5)]
            default: reranking.exploration = .init(.softmax(temperature: 0.5), protected: 0)
            }
            var scenario = configuration.scenarios["default"] ?? MartletServer.ScenarioConfiguration()
            scenario.reranking = reranking
            configuration.scenarios["default"] = scenario
        }
        var oracle = ItemChangeOracle(served.world)
        var random = SeededGenerator(seed: 70)
        let changes = (0..<60).map { _ in random.itemChange(served.world, around: 1000) }
        let isStored = try await node.change(changes)
        #expect(isStored)
        for change in changes { oracle.apply(change) }
        var isAddedShown = false
        for user in 1..<12 {
            var request = RecommendRequest(user: served.world.users[user], k: 40)
            request.explain = user % 2 == 0
            request.pins = oracle.newItems.prefix(3).enumerated().map { Pin(item: $1, place: $0 + 2) }
            let eligible = oracle.eligible(user, AttributeFilter(), excluded: [], at: 1000)
            var shown: [String] = []
            var pages = 0
            for _ in 0..<3 {
                let reply = try await node.client.recommend(request)
                if shown.isEmpty {
                    let pinned = oracle.newItems.prefix(3).enumerated().filter { eligible.contains($1) }
                    for (place, item) in pinned { #expect(reply.items[place + 1] == item) }
                }
                shown += reply.items
                pages += 1
                if reply.nextCursor.isEmpty { break }
                request.cursor = reply.nextCursor
            }
            #expect(Set(shown).count == shown.count && Set(shown).isSubset(of: eligible))
            #expect(shown.count == 40 * pages && pages == 3)
            isAddedShown = isAddedShown || !Set(shown).isDisjoint(with: oracle.newItems)
        }
        #expect(isAddedShown)
        await node.stop()
    }

    @Test("rows of items that are long gone are used again, and answers stay right")
    func manyComeAndGo() async throws {
        let served = try Served(items: 100, seed: 71)
        let node = try await served.start(events: false) { $0.items.changesMax = 4 }
        for round in 0..<12 {
            let names = (0..<3).map { "item \(round) \($0)" }
            let vector = served.world.userFactors[2].map { 5 * $0 }
            let reply = try await node.client.upsertItems(
                UpsertItemsRequest(items: names.map { ItemDescription(item: $0, title: $0, vector: vector) }))
            #expect(reply.stored == 3)
            // Kept under the same bytes in every round.
            let request = RecommendRequest(user: served.world.users[2], k: 10)
            let fresh = try await node.client.recommend(request, options: Self.bypass)
            #expect(Array(fresh.items.prefix(3)).sorted() == names)
            let kept = try await node.client.recommend(request)
            #expect(Set(kept.items.filter { $0.hasPrefix("item") }).isSubset(of: names))
            _ = try await node.client.deleteItems(DeleteItemsRequest(items: names, restore: true))
            let after = try await node.client.recommend(request)
            #expect(!after.items.contains { $0.hasPrefix("item") })
        }
        #expect(node.node.changedItems.changed == 0 && node.node.changedItems.added == 0)
        await node.stop()
    }

    @Test("new items leave a tenth of the room to deletions")
    func roomForDeletions() async throws {
        let served = try Served(items: 100, seed: 75)
        let node = try await served.start(events: false) { $0.items.changesMax = 20 }
        let names = (0..<30).map { "item \($0)" }
        let reply = try await node.client.upsertItems(
            UpsertItemsRequest(items: names.map { ItemDescription(item: $0) }))
        #expect(reply.stored == 18 && reply.faults.allSatisfy { $0.status == .full })
        // What is there may be said anew.
        let again = try await node.client.upsertItems(
            UpsertItemsRequest(items: names.prefix(18).map { ItemDescription(item: $0, title: "again") }))
        #expect(again.stored == 18)
        let deleted = try await node.client.deleteItems(
            DeleteItemsRequest(items: (0..<3).map { served.world.item($0) }))
        #expect(deleted.stored == 2 && deleted.faults.map(\.item) == [2])
        await node.stop()
    }

    @Test("thousands of changes between two hits of a kept answer are as good as a change of it")
    func manyChanges() async throws {
        let served = try Served(items: 100, seed: 74)
        let node = try await served.start(events: false)
        let names = (0..<3000).map { "item \($0)" }
        let vector = served.world.userFactors[2].map { 5 * $0 }
        func upsert() async throws {
            for first in stride(from: 0, to: 3000, by: 1000) {
                let reply = try await node.client.upsertItems(
                    UpsertItemsRequest(
                        items: names[first..<first + 1000].map { ItemDescription(item: $0, vector: vector) }))
                #expect(reply.stored == 1000)
            }
        }
        try await upsert()
        let request = RecommendRequest(user: served.world.users[2], k: 10)
        #expect(try await node.client.recommend(request).items.allSatisfy { $0.hasPrefix("item") })
        for _ in 0..<2 {
            for first in stride(from: 0, to: 3000, by: 1000) {
                _ = try await node.client.deleteItems(DeleteItemsRequest(items: Array(names[first..<first + 1000])))
            }
            let reply = try await node.client.recommend(request)
            #expect(reply.items.count == 10 && !reply.items.contains { $0.hasPrefix("item") })
            try await upsert()
            #expect(
                try await node.client.recommend(request, options: Self.bypass).items.allSatisfy {
                    $0.hasPrefix("item")
                })
            #expect(try await node.client.recommend(user: served.world.users[2], k: 9).items.count == 9)
        }
        await node.stop()
    }

    @Test("an answer that was kept is shown until one of its items changes, or too many others have")
    func keptAnswers() throws {
        let served = try Served(items: 100, seed: 72)
        let model = try RetrievalModel(bundle: Bundle(opening: served.folder.file("model")))
        var random = SeededGenerator(seed: 73)
        for _ in 0..<100 {
            let shown = (0..<5).map { _ in SlateItem(row: UInt32.random(in: 0..<100, using: &random), score: 0) }
            var content = ItemOverlay.Content()
            content.removalsFloor = UInt64.random(in: 0...5, using: &random)
            for version in content.removalsFloor + 1...content.removalsFloor + 4 {
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    content.removals.append(
                        ItemOverlay.Removal(version: version, row: UInt32.random(in: 0..<200, using: &random)))
                }
            }
            let last = content.removalsFloor + 4
            let overlay = ItemOverlay(content, version: last, of: model)
            for version in 0...last {
                let since = content.removals.filter { $0.version > version }
                let sketch = ShownSketch(shown)
                let isFit = version >= content.removalsFloor && !since.contains { sketch.mayContain($0.row) }
                #expect(overlay.shows(sketch, since: version) == isFit)
            }
        }
    }
}

/// Items whose going was answered.
private final class GoneItems: @unchecked Sendable {
    private let lock = NSLock()
    private var items: Set<String> = []
    var all: Set<String> { lock.withLock { items } }
    func insert(_ item: String) { lock.withLock { _ = items.insert(item) } }
}
