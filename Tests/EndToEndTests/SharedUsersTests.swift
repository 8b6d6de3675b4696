import Foundation
import MartletClient
import MartletServer
import TestSupport
import Testing
import Vocabulary
import Wire

/// Nodes of one bundle that share what they know of users in one Redis.
@Suite(
    "Users that nodes share", .ownThreads, .timeLimit(.minutes(30)),
    .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct SharedUsersTests {
    private func metric(_ node: TestNode, _ name: String) throws -> Double {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
        guard let line = text.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix(name + " ") }) else {
            return 0
        }
        return Double(line.split(separator: " ").last ?? "") ?? -1
    }

    private func becomes(_ condition: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// A Redis, a bundle, and what is needed to start nodes of them.
    private final class World {
        let server: RedisServer
        let folder: TemporaryFolder
        let bundle: String
        var nodes: [TestNode] = []

        init(_ options: [String] = []) throws {
            server = try RedisServer(options)
            folder = try TemporaryFolder()
            bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        }

        func node(_ name: String, change: (inout ServerConfiguration) -> Void = { _ in }) async throws -> TestNode {
            let port = server.port
            let node = try await TestNode(bundle: bundle) {
                $0.redis.url = "redis://127.0.0.1:\(port)"
                $0.redis.shareUsers = true
                $0.redis.node = name
                // Long enough for a machine with other work.
                $0.redis.userWait = .seconds(10)
                change(&$0)
            }
            nodes.append(node)
            return node
        }

        /// As if it were killed: it says nothing to anybody.
        func cut(_ node: TestNode) async {
            nodes.removeAll { $0 === node }
            await node.client.shutdown()
            await node.node.stop()
        }

        func end() async { for node in nodes { await node.stop() } }
    }

    private func withWorld(_ options: [String] = [], _ body: (World) async throws -> Void) async throws {
        let world = try World(options)
        do {
            try await body(world)
        } catch {
            await world.end()
            throw error
        }
        await world.end()
    }

    @discardableResult
    private func record(_ events: [(String, String)], by user: String, at node: TestNode) async throws
        -> RecordEventsReply
    {
        try await node.client.recordEvents(
            RecordEventsRequest(events: events.map { UserEvent(user: user, item: $1, type: $0) }))
    }

    private func slate(_ user: String, _ node: TestNode, k: Int = 20) async throws -> RecommendReply {
        try await node.client.recommend(user: user, k: k)
    }

    /// Waits until Redis has a user's event of an item.
    private func isShared(_ user: String, _ item: String, _ world: World) async throws -> Bool {
        let key = "martlet:{u\(Slot(user: user).value)}:users:1"
        return try await becomes { try world.server.command("HGET \(key) \(user)").contains(item) }
    }

    /// The first slate without the mark; nil: none within the time.
    private func unmarked(_ user: String, _ node: TestNode, k: Int = 20) async throws -> RecommendReply? {
        var found: RecommendReply?
        _ = try await becomes {
            let reply = try await slate(user, node, k: k)
            if !reply.degraded.contains(.staleUserState) { found = reply }
            return found != nil
        }
        return found
    }

    @Test("a node that takes over a user knows what it did at a node that is gone")
    func takeover() async throws {
        try await withWorld { world in
            let (first, second) = (try await world.node("first"), try await world.node("second"))
            var gone: [String: [String]] = [:]
            for number in 0..<30 {
                let user = SmallWorld.user(number)
                let items = Array(try await slate(user, first).items.prefix(6))
                let reply = try await record(
                    [("click", items[0]), ("view", items[1]), ("hide", items[2]), ("impression", items[3])], by: user,
                    at: first)
                #expect(reply.stored == 4)
                for item in [items[0], items[3]] { #expect(try await isShared(user, item, world)) }
                gone[user] = Array(items.prefix(3))
            }
            await world.cut(first)
            var marked = 0
            for (user, items) in gone {
                let reply = try await slate(user, second, k: 100)
                if reply.degraded.contains(.staleUserState) { marked += 1 }
                #expect(
                    Set(reply.items).isDisjoint(with: items) || reply.degraded.contains(.staleUserState), "\(user)")
                let sure = try #require(try await unmarked(user, second, k: 100))
                #expect(Set(sure.items).isDisjoint(with: items), "\(user)")
            }
            // Marked because nobody can know that the first one is not there any more; counted.
            #expect(try metric(second, "martlet_stale_user_state_total") >= Double(marked))
            #expect(try metric(second, #"martlet_shared_user_damages_total"#) == 0)
            let socket = try BlockingSocket(port: second.httpPort)
            try socket.send(Array("GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            let status = String(decoding: try socket.receiveAll(), as: UTF8.self)
            #expect(status.contains("\"shared_users\"") && status.contains("\"whole_slots\""))
        }
    }

    @Test("a user who comes to another node while both serve is answered without a mark, and the other way round")
    func handOver() async throws {
        try await withWorld { world in
            let (first, second) = (try await world.node("first"), try await world.node("second"))
            let user = SmallWorld.user(3)
            var gone: Set<String> = []
            for round in 0..<12 {
                let (here, there) = round.isMultiple(of: 2) ? (first, second) : (second, first)
                let item = try #require(try await unmarked(user, here)).items[0]
                #expect(!gone.contains(item))
                try await record([("click", item)], by: user, at: here)
                gone.insert(item)
                // Kept answers of before count no more once the word is out.
                #expect(
                    try await becomes {
                        let reply = try await slate(user, there, k: 100)
                        return !reply.degraded.contains(.staleUserState)
                            && Set(reply.items).isDisjoint(with: gone)
                    })
            }
        }
    }

    @Test("events of one user at two nodes at once are all known to both in the end")
    func both() async throws {
        try await withWorld { world in
            let (first, second) = (try await world.node("first"), try await world.node("second"))
            let user = SmallWorld.user(7)
            let items = (0..<SmallWorld.itemCount).map { $0 }
            let names = try await slate(user, first, k: 100).items
            #expect(!items.isEmpty && names.count >= 60)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (place, node) in [first, second].enumerated() {
                    group.addTask {
                        for number in 0..<30 {
                            _ = try await node.client.recordEvents(
                                RecordEventsRequest(events: [
                                    UserEvent(user: user, item: names[2 * number + place], type: "click")
                                ]))
                            if number.isMultiple(of: 7) { _ = try await node.client.recommend(user: user, k: 5) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let done = Set(names.prefix(60))
            for node in [first, second] {
                #expect(
                    try await becomes {
                        let reply = try await slate(user, node, k: 100)
                        return !reply.degraded.contains(.staleUserState)
                            && Set(reply.items).isDisjoint(with: done)
                    })
            }
        }
    }

    @Test(
        "while Redis is frozen, killed or back again no request fails, what may be stale is marked, and nothing is lost"
    )
    func away() async throws {
        try await withWorld { world in
            let (first, second) = (
                try await world.node("first") { $0.redis.userWait = .milliseconds(20) },
                try await world.node("second")
            )
            let (user, other) = (SmallWorld.user(1), SmallWorld.user(2))
            let items = try #require(try await unmarked(user, first)).items
            for isKilled in [false, true] {
                if isKilled { world.server.kill() } else { world.server.freeze() }
                #expect(
                    try await becomes { try await slate(user, first).degraded.contains(.staleUserState) })
                // From the cache, too, and for a user who was never asked for.
                #expect(try await slate(user, first).degraded.contains(.staleUserState))
                // Another loop may have heard of the others a moment later.
                #expect(
                    try await becomes {
                        try await slate(other, first, k: isKilled ? 7 : 8).degraded.contains(.staleUserState)
                    })
                let reply = try await record([("click", items[isKilled ? 0 : 1])], by: user, at: first)
                #expect(reply.stored == 1 && reply.unshared == 1)
                #expect(try await slate(user, first, k: 100).items.contains(items[isKilled ? 0 : 1]) == false)
                // Published once a second.
                #expect(try await becomes { try metric(first, "martlet_shared_user_unwritten") > 0 })
                if isKilled { try world.server.start() } else { world.server.thaw() }
                #expect(try await unmarked(user, first) != nil)
                #expect(
                    try await becomes { try metric(first, "martlet_shared_user_unwritten") == 0 })
            }
            #expect(try metric(first, "martlet_stale_user_state_total") >= 4)
            // Redis came back empty: what the first node knows is there again.
            #expect(
                try await becomes {
                    let reply = try await slate(user, second, k: 100)
                    return !reply.degraded.contains(.staleUserState)
                        && Set(reply.items).isDisjoint(with: items.prefix(2))
                })
        }
    }

    @Test("what lies in Redis damaged, of another kind or of somebody else is counted, and never fails a request")
    func poisoned() async throws {
        try await withWorld { world in
            let first = try await world.node("first")
            let users = (0..<4).map { SmallWorld.user($0) }
            var clicked: [String: String] = [:]
            for user in users {
                let item = try await slate(user, first).items[0]
                try await record([("click", item)], by: user, at: first)
                #expect(try await isShared(user, item, world))
                clicked[user] = item
            }
            await world.cut(first)
            func key(_ user: String, _ kind: String) -> String { "martlet:{u\(Slot(user: user).value)}:\(kind):1" }
            try world.server.command("HSET \(key(users[0], "users")) \(users[0]) rubbish")
            try world.server.command("DEL \(key(users[1], "users"))")
            try world.server.command("SET \(key(users[1], "users")) rubbish")
            try world.server.command("DEL \(key(users[2], "owner"))")
            try world.server.command("RPUSH \(key(users[2], "owner")) a b")
            try world.server.command("XADD martlet:claims:1 * s 99999 x y")
            try world.server.command("HSET martlet:nodes:1 somebody 12")
            let second = try await world.node("second")
            for user in users {
                #expect(try await slate(user, second).items.count == 20)
                let item = try await slate(user, second, k: 30).items[3]
                #expect(try await record([("click", item)], by: user, at: second).stored == 1)
                #expect(try await slate(user, second, k: 100).items.contains(item) == false)
            }
            for user in users[2...] {
                #expect(try await unmarked(user, second, k: 99)?.items.contains(clicked[user] ?? "") == false)
            }
            #expect(try await becomes { try metric(second, "martlet_shared_user_damages_total") >= 2 })
        }
    }

    @Test("a node whose Redis is full serves, says what is not shared, and writes it when there is room")
    func full() async throws {
        try await withWorld { world in
            let first = try await world.node("first")
            let user = SmallWorld.user(5)
            let items = try #require(try await unmarked(user, first)).items
            try world.server.command("CONFIG SET maxmemory 1")
            #expect(try await record([("click", items[0])], by: user, at: first).unshared == 1)
            #expect(try await slate(user, first, k: 100).items.contains(items[0]) == false)
            #expect(try await slate(SmallWorld.user(6), first).items.count == 20)
            // Published once a second.
            #expect(try await becomes { try metric(first, "martlet_shared_user_unwritten") > 0 })
            try world.server.command("CONFIG SET maxmemory 0")
            #expect(try await becomes { try metric(first, "martlet_shared_user_unwritten") == 0 })
            #expect(try await record([("view", items[1])], by: user, at: first).stored == 1)
            for item in items.prefix(2) { #expect(try await isShared(user, item, world)) }
            await world.cut(first)
            let second = try await world.node("second")
            let reply = try await unmarked(user, second, k: 100)
            #expect(reply.map { Set($0.items).isDisjoint(with: items.prefix(2)) } == true)
        }
    }

    @Test("a Redis that has lost everything is told again by the nodes that know")
    func flushed() async throws {
        try await withWorld { world in
            let first = try await world.node("first")
            let user = SmallWorld.user(5)
            let items = try #require(try await unmarked(user, first)).items
            try await record([("click", items[0])], by: user, at: first)
            #expect(try await isShared(user, items[0], world))
            try world.server.command("FLUSHALL")
            #expect(try await isShared(user, items[0], world))
            await world.cut(first)
            let second = try await world.node("second")
            #expect(try await unmarked(user, second, k: 100)?.items.contains(items[0]) == false)
        }
    }

    @Test("a node that drains says goodbye: who takes its users over marks nothing; one that was cut off is waited for")
    func goodbye() async throws {
        try await withWorld { world in
            let second = try await world.node("second")
            for isCut in [false, true] {
                let first = try await world.node("first")
                let user = SmallWorld.user(isCut ? 11 : 12)
                let item = try #require(try await unmarked(user, first)).items[0]
                try await record([("click", item)], by: user, at: first)
                #expect(try await isShared(user, item, world))
                if isCut {
                    await world.cut(first)
                } else {
                    world.nodes.removeAll { $0 === first }
                    await first.stop()
                }
                // Longer than a beat counts as fresh.
                try await Task.sleep(for: .milliseconds(1500))
                if isCut { #expect(try await slate(user, second, k: 90).degraded.contains(.staleUserState)) }
                #expect(try await unmarked(user, second, k: 100)?.items.contains(item) == false)
                let suspects = #"martlet_shared_slots{state="suspect"}"#
                if !isCut { #expect(try metric(second, suspects) == 0) }
            }
        }
    }

    @Test("long records are made short, and a node that reads one knows every item that was seen")
    func compaction() async throws {
        try await withWorld { world in
            let first = try await world.node("first") { $0.redis.userBytes = 4 << 10 }
            let user = SmallWorld.user(9)
            let names = try #require(try await unmarked(user, first)).items
            for _ in 0..<30 {
                try await record(names.map { ("click", $0) }, by: user, at: first)
            }
            #expect(
                try await becomes { try metric(first, #"martlet_shared_user_writes_total{result="compacted"}"#) > 0 })
            for name in names { #expect(try await isShared(user, name, world)) }
            await world.cut(first)
            let second = try await world.node("second") { $0.redis.userBytes = 4 << 10 }
            let reply = try await unmarked(user, second, k: 100)
            #expect(reply.map { Set($0.items).isDisjoint(with: names) } == true)
        }
    }

    @Test("many users and a ranked list say of whom other nodes may know more; one node alone marks nothing")
    func otherCalls() async throws {
        try await withWorld { world in
            let alone = try await TestNode(bundle: world.bundle)
            world.nodes.append(alone)
            for number in 0..<20 { _ = try await slate(SmallWorld.user(number), alone) }
            #expect(try metric(alone, "martlet_stale_user_state_total") == 0)
            let node = try await world.node("first") { $0.redis.userWait = .milliseconds(20) }
            let users = (0..<20).map { SmallWorld.user($0) }
            #expect(
                try await becomes {
                    try await node.client.recommendMany(RecommendManyRequest(users: users, k: 5)).staleUsers.isEmpty
                })
            world.server.kill()
            #expect(
                try await becomes {
                    try await node.client.recommendMany(RecommendManyRequest(users: users, k: 5)).staleUsers
                        == Array(0..<20)
                })
            var request = RecommendRequest(user: users[0], k: 5)
            request.explain = true
            let explained = try await node.client.recommend(request)
            #expect(explained.degraded.contains(.staleUserState))
            #expect((explained.timings.first { $0.stage == "user_state_age" }?.microseconds ?? 0) > 400_000)
        }
    }

    @Test("sharing without a Redis is told before anything is served")
    func setup() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        await #expect(throws: RedisSetupFailure.self) {
            _ = try await TestNode(bundle: bundle) { $0.redis.shareUsers = true }
        }
    }
}
