import Foundation
import MartletClient
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletServer
@testable import Serving

/// Nodes of one Redis that tell each other what changed of items.
@Suite(
    "Changes of items that nodes share", .ownThreads, .timeLimit(.minutes(30)),
    .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct NodesSharingItemsTests {
    private static let states = "martlet:{default}:items:1:states"
    private static let changes = "martlet:{default}:items:1:changes"

    /// A Redis, and nodes beside it that are started when they are wanted.
    private final class World {
        let server: RedisServer
        let folder: TemporaryFolder
        let bundle: String

        init() throws {
            server = try RedisServer()
            folder = try TemporaryFolder()
            bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        }

        func start(_ name: String, change: (inout ServerConfiguration) -> Void = { _ in }) async throws -> TestNode {
            try await TestNode(
                bundle: bundle,
                change: {
                    $0.redis.url = "redis://127.0.0.1:\(server.port)"
                    $0.redis.timeout = .seconds(300)
                    $0.redis.sharesItems = true
                    $0.events.directory = folder.file("events-\(name)")
                    $0.events.snapshotInterval = .zero
                    change(&$0)
                })
        }
    }

    private func becomes(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    private func agree(_ nodes: TestNode...) async throws -> Bool {
        try await becomes {
            let states = nodes.map { $0.node.itemDesk.states }
            return states.allSatisfy { $0 == states[0] }
                && nodes.allSatisfy { $0.node.itemDesk.sharingReading.unwritten == 0 && $0.node.itemDesk.isCurrent }
        }
    }

    private func current(_ nodes: TestNode...) async throws -> Bool {
        try await becomes { nodes.allSatisfy { $0.node.itemDesk.isCurrent } }
    }

    private func hide(_ item: String, _ node: TestNode) async throws -> ChangeItemsReply {
        try await node.client.setAvailability(SetAvailabilityRequest(items: [ItemWindow(item: item, isHidden: true)]))
    }

    @Test("what one node is told of items, the other answers by")
    func seen() async throws {
        let world = try World()
        let (first, second) = (try await world.start("a"), try await world.start("b"))
        #expect(try await current(first, second))
        let options = CallOptions(bypassesCache: true)
        let before = try await second.client.recommend(
            RecommendRequest(user: SmallWorld.user(1), k: 10), options: options)
        let deleted = try await first.client.deleteItems(DeleteItemsRequest(items: [before.items[0]]))
        #expect(deleted.stored == 1)
        _ = try await hide(before.items[1], first)
        _ = try await first.client.upsertItems(
            UpsertItemsRequest(items: [ItemDescription(item: "new", title: "A new one", tags: ["t"])]))
        #expect(try await agree(first, second))
        let after = try await second.client.recommend(
            RecommendRequest(user: SmallWorld.user(1), k: 10), options: options)
        #expect(!after.items.contains(before.items[0]) && !after.items.contains(before.items[1]))
        #expect(try await second.client.getItem(GetItemRequest(item: "new")).title == "A new one")
        _ = try await second.client.deleteItems(DeleteItemsRequest(items: [before.items[0]], restore: true))
        #expect(try await becomes { first.node.itemDesk.states[before.items[0]] == nil })
        await first.stop()
        await second.stop()
    }

    @Test("nodes that change the same items at once agree, whatever happens to Redis", arguments: [1, 2, 3])
    func converge(seed: Int) async throws {
        let world = try World()
        var random = SeededGenerator(seed: UInt64(seed))
        // Without a log of its own, a node has all from Redis.
        let change: (inout ServerConfiguration) -> Void = { if seed == 3 { $0.events.directory = nil } }
        var (first, second) = (try await world.start("a", change: change), try await world.start("b"))
        #expect(try await current(first, second))
        for round in 0..<10 {
            let trouble = Int.random(in: 0..<9, using: &random)
            switch trouble {
            case 6...8:
                try world.server.command("COPY \(Self.states) old-states REPLACE")
                try world.server.command("COPY \(Self.changes) old-changes REPLACE")
            case 0: world.server.kill()
            case 1: world.server.freeze()
            case 2: try world.server.command("FLUSHALL")
            case 3: try world.server.command("XTRIM \(Self.changes) MAXLEN 0")
            case 4: try world.server.command("DEL \(Self.changes)")
            default: break
            }
            for step in 0..<12 {
                let node = Bool.random(using: &random) ? first : second
                let item = "item-\(Int.random(in: 0..<6, using: &random))"
                let reply: ChangeItemsReply
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    reply = try await node.client.upsertItems(
                        UpsertItemsRequest(items: [ItemDescription(item: item, title: "\(round) \(step)")]))
                case 1: reply = try await node.client.deleteItems(DeleteItemsRequest(items: [item]))
                case 2: reply = try await node.client.deleteItems(DeleteItemsRequest(items: [item], restore: true))
                default: reply = try await hide(item, node)
                }
                #expect(reply.stored == 1, "seed \(seed), round \(round)")
                if trouble == 0 { #expect(!reply.shared) }
            }
            switch trouble {
            case 0: try world.server.start()
            case 1: world.server.thaw()
            // A server that lost what was written last takes the place of another.
            case 6:
                try world.server.command("RENAME old-states \(Self.states)")
                try world.server.command("RENAME old-changes \(Self.changes)")
            case 7: try world.server.command("RENAME old-states \(Self.states)")
            case 8: try world.server.command("RENAME old-changes \(Self.changes)")
            default: break
            }
            if round % 3 == 2 {
                if Bool.random(using: &random) { await first.node.takeSnapshot() }
                await first.stop()
                first = try await world.start("a", change: change)
            }
            #expect(try await agree(first, second), "seed \(seed), round \(round), trouble \(trouble)")
        }
        let third = try await world.start("c")
        #expect(try await agree(first, second, third), "seed \(seed)")
        await third.stop()
        await first.stop()
        await second.stop()
        // Without Redis, what others said is known from the node's own log.
        let expected = first.node.itemDesk.states
        world.server.kill()
        second = try await world.start("b")
        #expect(second.node.itemDesk.states == expected, "seed \(seed)")
        #expect(!second.node.itemDesk.isCurrent)
        await second.stop()
    }

    @Test("in a Redis cluster, keys and scripts lie in one slot")
    func cluster() async throws {
        let bus = try RedisServer.freePort()
        let server = try RedisServer(["--cluster-enabled", "yes", "--cluster-port", "\(bus)"])
        #expect(try server.command("CLUSTER ADDSLOTSRANGE 0 16383").hasPrefix("+OK"))
        #expect(try await becomes { try server.command("CLUSTER INFO").contains("cluster_state:ok") })
        let world = try World()
        let change: (inout ServerConfiguration) -> Void = {
            $0.redis.url = "redis://127.0.0.1:\(server.port)"
            $0.redis.mode = .cluster
            $0.events.stream.names = ["events"]
            $0.events.stream.consumer = $0.events.directory
        }
        let first = try await world.start("a", change: change)
        let second = try await world.start("b", change: change)
        #expect(try await current(first, second))
        _ = try await hide("item-1", first)
        _ = try await hide("item-2", second)
        #expect(try await agree(first, second))
        #expect(first.node.itemDesk.states.count == 2)
        try server.command("XADD events * user u item item-1 type click")
        #expect(try await becomes { first.node.streamReading.stored + second.node.streamReading.stored == 1 })
        await first.stop()
        await second.stop()
    }

    @Test("a change is acknowledged while Redis is away, says so, and is shared when it is back")
    func away() async throws {
        let world = try World()
        let (first, second) = (try await world.start("a"), try await world.start("b"))
        #expect(try await current(first, second))
        #expect(try await becomes { first.node.itemDesk.sharing?.canWrite ?? false })
        world.server.kill()
        let reply = try await hide("item-1", first)
        #expect(reply.stored == 1 && !reply.shared)
        #expect(first.node.itemDesk.sharingReading.unwritten == 1)
        #expect(try await becomes { !first.node.itemDesk.isCurrent && !second.node.itemDesk.isCurrent })
        // A computed answer and a kept one say so.
        for cached in [false, true] {
            let reply = try await second.client.recommend(RecommendRequest(user: SmallWorld.user(7), k: 10))
            #expect(reply.degraded.contains(.staleUserState), "cached \(cached)")
        }
        // The change survives a restart of its node, too.
        await first.stop()
        let again = try await world.start("a")
        #expect(again.node.itemDesk.sharingReading.unwritten <= 1)
        #expect(again.node.itemDesk.states["item-1"]?.window?.isHidden == true)
        try world.server.start()
        #expect(try await agree(again, second))
        #expect(second.node.itemDesk.states["item-1"]?.window?.isHidden == true)
        // What is kept is not marked for good.
        var isMarked = true
        for _ in 0..<1000 where isMarked {
            let reply = try await second.client.recommend(RecommendRequest(user: SmallWorld.user(7), k: 10))
            isMarked = reply.degraded.contains(.staleUserState)
        }
        #expect(!isMarked)
        #expect(try await becomes { again.node.itemDesk.sharing?.canWrite ?? false })
        var shared = false
        for number in 0..<100 where !shared { shared = try await hide("item-\(number)", again).shared }
        #expect(shared)
        await again.stop()
        await second.stop()
    }

    @Test("what was known before sharing reaches the others, and gives way to what they share")
    func before() async throws {
        let world = try World()
        let alone = try await world.start("a") { $0.redis.sharesItems = false }
        _ = try await hide("item-1", alone)
        _ = try await hide("item-2", alone)
        #expect(alone.node.itemDesk.isCurrent)
        await alone.stop()
        let other = try await world.start("b")
        _ = try await other.client.deleteItems(DeleteItemsRequest(items: ["item-2"]))
        #expect(try await agree(other))
        let node = try await world.start("a")
        #expect(try await agree(node, other))
        #expect(other.node.itemDesk.states["item-1"]?.window?.isHidden == true)
        #expect(other.node.itemDesk.states["item-2"]?.isDeleted == true)
        await node.stop()
        await other.stop()
    }

    @Test("entries and values that no node wrote are counted and passed over")
    func poisoned() async throws {
        let world = try World()
        let (first, second) = (try await world.start("a"), try await world.start("b"))
        #expect(try await current(first, second))
        _ = try await hide("item-1", first)
        #expect(try await agree(first, second))
        let server = world.server
        try server.command("XADD \(Self.changes) * v garbage")
        try server.command("XADD \(Self.changes) * p 1-1 v garbage m 99999999999999999999-1")
        try server.command("XADD \(Self.changes) * a b")
        try server.command("HSET \(Self.states) ditem-9 garbage")
        try server.command("HSET \(Self.states) ditem-8 5-5")
        try server.command("HSET \(Self.states) witem-7 18446744073709551615-18446744073709551615")
        #expect(try await becomes { second.node.itemDesk.sharingReading.malformed >= 3 })
        _ = try await hide("item-2", first)
        #expect(try await agree(first, second))
        #expect(second.node.itemDesk.states["item-2"]?.window?.isHidden == true)
        // A stranger's entry with the last ID there may be.
        try server.command("XADD \(Self.changes) 18446744073709551615-18446744073709551615 a b")
        _ = try await hide("item-3", first)
        #expect(try await agree(first, second))
        #expect(second.node.itemDesk.states["item-3"]?.window?.isHidden == true)
        // Keys of another kind.
        try server.command("SET \(Self.changes) nonsense")
        _ = try await hide("item-4", first)
        #expect(try await agree(first, second))
        #expect(second.node.itemDesk.states["item-4"]?.window?.isHidden == true)
        try server.command("HSET \(Self.states) m:history nonsense")
        _ = try await hide("item-5", second)
        #expect(try await agree(first, second))
        #expect(first.node.itemDesk.states["item-5"]?.window?.isHidden == true)
        let third = try await world.start("c")
        #expect(try await agree(first, second, third))
        #expect(third.node.itemDesk.states["item-9"] == nil)
        await first.stop()
        await second.stop()
        await third.stop()
    }

    @Test("a node at its limit counts what it has no room for, and a node of another bundle takes what it can")
    func limits() async throws {
        let world = try World()
        let other = try SmallWorld.makeBundle(in: world.folder, name: "other", seed: 9)
        let first = try await world.start("a")
        let second = try await world.start("b") {
            $0.items.changesMax = 20
            $0.bundle = other
        }
        #expect(try await current(first, second))
        let many = (0..<40).map {
            ItemDescription(item: "new-\($0)", title: "n", vector: $0 == 0 ? Array(repeating: 0.5, count: 16) : [])
        }
        #expect(try await first.client.upsertItems(UpsertItemsRequest(items: many)).stored == 40)
        #expect(try await becomes { second.node.itemDesk.sharingReading.full == 22 })
        #expect(second.node.itemDesk.states.count == 18)
        // The last tenth is for what takes items off.
        _ = try await hide("item-1", first)
        #expect(try await becomes { second.node.itemDesk.states["item-1"]?.window?.isHidden == true })
        await second.stop()
        // With more room, a restart knows all of it.
        let roomy = try await world.start("b") { $0.bundle = other }
        #expect(try await agree(first, roomy))
        #expect(roomy.node.itemDesk.states.count == 41)
        await first.stop()
        await roomy.stop()
    }
}
