import Foundation
import MartletClient
import MartletServer
import Serving
import TestSupport
import Testing
import Vocabulary

/// What a node does about keys that change in Redis, and about values there that are not its.
@Suite(
    "Changes of shared answers", .ownThreads, .timeLimit(.minutes(30)),
    .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct SharedCacheChangesTests {
    private static let tracking = "martlet_shared_cache_tracking"
    private static let dropped = "martlet_shared_cache_dropped_total"
    private static let forgotten = "martlet_shared_cache_forgotten_total"
    private static let hits = #"martlet_cache_requests_total{level="l2",result="hit"}"#
    private static let stored = #"martlet_shared_cache_stores_total{result="stored"}"#

    private static func misses(_ reason: String) -> String {
        #"martlet_shared_cache_misses_total{reason="\#(reason)"}"#
    }

    private static func value(_ node: TestNode, _ metric: String) throws -> Double {
        DegradationTests.value(of: metric, in: try DegradationTests.scrape(node))
    }

    private static func becomes(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    private static func keys(_ server: RedisServer) throws -> [Substring] {
        try server.command("KEYS martlet:*").split(separator: "\r\n").filter { $0.hasPrefix("martlet:") }
    }

    /// Runs `body` with nodes that share a Redis.
    private func withNodes(
        _ server: RedisServer, count: Int = 2, tracks: Bool = true,
        change: (inout ServerConfiguration) -> Void = { _ in }, _ body: ([TestNode]) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        var nodes: [TestNode] = []
        var failure: (any Error)?
        do {
            for _ in 0..<count {
                let node = try await TestNode(bundle: bundle) {
                    $0.redis.url = "redis://127.0.0.1:\(server.port)"
                    $0.redis.timeout = .seconds(300)
                    $0.cache.ttl = .seconds(3600)
                    change(&$0)
                }
                nodes.append(node)
                if tracks { #expect(try await Self.becomes { try Self.value(node, Self.tracking) == 1 }) }
            }
            try await body(nodes)
        } catch { failure = error }
        for node in nodes { await node.stop() }
        if let failure { throw failure }
    }

    /// Has the first node make the answer to a user, and the second copy it.
    private func copy(_ user: String, _ nodes: [TestNode]) async throws {
        let before = (try Self.value(nodes[0], Self.stored), try Self.value(nodes[1], Self.hits))
        let made = try await nodes[0].client.recommend(user: user, k: 10)
        #expect(try await Self.becomes { try Self.value(nodes[0], Self.stored) == before.0 + 1 })
        #expect(try await nodes[1].client.recommend(user: user, k: 10).items == made.items)
        #expect(try Self.value(nodes[1], Self.hits) == before.1 + 1)
        // From its own cache.
        _ = try await nodes[1].client.recommend(user: user, k: 10)
        #expect(try Self.value(nodes[1], Self.hits) == before.1 + 1)
    }

    @Test("who deletes an answer from Redis takes the copies of nodes along, too")
    func deleted() async throws {
        let server = try RedisServer()
        try await withNodes(server) { nodes in
            let absent = Self.misses("absent")
            for (number, words) in ["DEL", "UNLINK", "SET", "RENAME"].enumerated() {
                let user = SmallWorld.user(number)
                let known = Set(try Self.keys(server))
                try await copy(user, nodes)
                let key = Set(try Self.keys(server)).subtracting(known).first ?? ""
                let (dropped, missed) = (try Self.value(nodes[1], Self.dropped), try Self.value(nodes[1], absent))
                switch words {
                case "SET": try server.command("SET \(key) nonsense")
                case "RENAME": try server.command("RENAME \(key) elsewhere")
                default: try server.command("\(words) \(key)")
                }
                #expect(try await Self.becomes { try Self.value(nodes[1], Self.dropped) == dropped + 1 }, "\(words)")
                let reply = try await nodes[1].client.recommend(user: user, k: 10)
                #expect(reply.items.count == 10)
                // It asked again.
                if words == "SET" {
                    #expect(try Self.value(nodes[1], Self.misses("not_ours")) == 1)
                } else {
                    #expect(try Self.value(nodes[1], absent) == missed + 1, "\(words)")
                }
            }
            // What nobody touched is still there.
            try await copy(SmallWorld.user(30), nodes)
            try server.command("DEL martlet:default:slate:2:0123456789abcdef0123456789abcdef")
            let hits = try Self.value(nodes[1], Self.hits)
            _ = try await nodes[1].client.recommend(user: SmallWorld.user(30), k: 10)
            #expect(try Self.value(nodes[1], Self.hits) == hits)
        }
    }

    @Test(
        "all copies go when all keys do, and when changes are not heard of",
        arguments: ["FLUSHDB", "pubsub", "normal"])
    func forgotten(how: String) async throws {
        let server = try RedisServer()
        try await withNodes(server) { nodes in
            for user in 0..<10 { try await copy(SmallWorld.user(user), nodes) }
            let before = try Self.value(nodes[1], Self.forgotten)
            #expect(before == 0)
            try server.command(how == "FLUSHDB" ? "FLUSHDB" : "CLIENT KILL TYPE \(how)")
            #expect(try await Self.becomes { try Self.value(nodes[1], Self.forgotten) > 0 })
            #expect(try await Self.becomes { try Self.value(nodes[1], Self.tracking) == 1 })
            let hits = try Self.value(nodes[1], Self.hits)
            for user in 0..<10 {
                #expect(try await nodes[1].client.recommend(user: SmallWorld.user(user), k: 10).items.count == 10)
            }
            // Found there again, or computed where it is gone: not from what was copied before.
            #expect(
                try Self.value(nodes[1], how == "FLUSHDB" ? Self.misses("absent") : Self.hits)
                    >= (how == "FLUSHDB" ? 10 : hits + 9))
        }
    }

    @Test("a Redis that does not tell of changes is used all the same")
    func untold() async throws {
        let server = try RedisServer(["--rename-command", "CLIENT", ""])
        try await withNodes(server, tracks: false) { nodes in
            // It is known as soon as the server has refused.
            let user = SmallWorld.user(3)
            _ = try await nodes[0].client.recommend(user: user, k: 10)
            #expect(try await Self.becomes { try Self.value(nodes[0], Self.stored) == 1 })
            var copied = false
            for _ in 0..<6000 where !copied {
                let before = try Self.value(nodes[1], Self.hits)
                _ = try await nodes[1].client.recommend(user: user, k: 10)
                copied = try Self.value(nodes[1], Self.hits) == before
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(copied)
            #expect(try Self.value(nodes[1], Self.tracking) == 0)
        }
    }

    @Test("Redis is asked once for calls of the same bytes")
    func once() async throws {
        let server = try RedisServer()
        try await withNodes(server, count: 1) { nodes in
            server.freeze()
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<40 {
                    group.addTask { try await nodes[0].client.recommend(user: SmallWorld.user(3), k: 10).items }
                }
                let joined = #"martlet_cache_joined_total{level="l1"}"#
                #expect(try await Self.becomes { try Self.value(nodes[0], joined) == 39 })
                server.thaw()
                var answers: Set<[String]> = []
                for try await items in group { answers.insert(items) }
                #expect(answers.count == 1)
            }
            #expect(try Self.value(nodes[0], Self.misses("absent")) == 1)
            // The next one is found there.
        }
    }

    /// Values that some day stand where answers belong; the name says why they do not count.
    private static let corpus: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: Repository.root + "/Tests/Corpus/redis-values")) ?? [])
        .filter { $0.hasSuffix(".bin") }.sorted() + ["too_large", "another_type"]

    @Test("a value that is not an answer of these nodes is a miss with its reason", arguments: corpus)
    func poisoned(name: String) async throws {
        let server = try RedisServer()
        try await withNodes(server) { nodes in
            let user = SmallWorld.user(3)
            let made = try await nodes[0].client.recommend(user: user, k: 10)
            #expect(try await Self.becomes { try Self.value(nodes[0], Self.stored) == 1 })
            let key = try Self.keys(server).first ?? ""
            var reason = String(name.prefix { $0 != "-" })
            switch name {
            case "too_large": try Self.set(server, key, [UInt8](repeating: 0x4D, count: 200_000))
            case "another_type":
                reason = "not_ours"
                try server.command("DEL \(key)")
                try server.command("HSET \(key) a b")
            default:
                let path = Repository.root + "/Tests/Corpus/redis-values/" + name
                try Self.set(server, key, [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
            }
            #expect(try await nodes[1].client.recommend(user: user, k: 10).items == made.items)
            #expect(try Self.value(nodes[1], Self.misses(reason)) == 1)
            #expect(try Self.value(nodes[1], Self.hits) == 0)
        }
    }

    private static func set(_ server: RedisServer, _ key: Substring, _ value: [UInt8]) throws {
        let socket = try BlockingSocket(port: server.port)
        let head = "*3\r\n$3\r\nSET\r\n$\(key.utf8.count)\r\n\(key)\r\n$\(value.count)\r\n"
        try socket.send(Array(head.utf8) + value + Array("\r\n".utf8))
        #expect(String(decoding: try socket.receive(), as: UTF8.self) == "+OK\r\n")
    }

    // MARK: Rows of the degradation table

    @Test(
        "each row of the degradation table serves, says and counts what it has",
        arguments: DegradationRow.allCases.filter { $0.entry.stage == .sharedCache })
    func row(_ row: DegradationRow) async throws {
        let counter = row.entry.counter
        #expect(row.entry.told == .whole)
        switch row {
        case .sharedCacheAway:
            let server = try RedisServer()
            try await withNodes(server, count: 1, change: { $0.redis.timeout = .milliseconds(2) }) { nodes in
                server.freeze()
                try await ask(nodes[0], 20)
                #expect(try Self.value(nodes[0], counter) == 20)
                server.thaw()
            }
        case .sharedCachePoisoned:
            let server = try RedisServer()
            try await withNodes(server) { nodes in
                try await ask(nodes[0], 3)
                #expect(try await Self.becomes { try Self.value(nodes[0], Self.stored) == 3 })
                for key in try Self.keys(server) { try server.command("SETRANGE \(key) 70 xx") }
                try await ask(nodes[1], 3)
                #expect(try Self.value(nodes[1], counter) == 3)
            }
        case .sharedCacheFull:
            let server = try RedisServer(["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"])
            try await withNodes(server, count: 1) { nodes in
                try await ask(nodes[0], 3)
                #expect(try await Self.becomes { try Self.value(nodes[0], counter) == 3 })
            }
        case .invalidationLost:
            let server = try RedisServer()
            try await withNodes(server) { nodes in
                try await copy(SmallWorld.user(7), nodes)
                server.kill()
                #expect(try await Self.becomes { try Self.value(nodes[1], counter) > 0 })
                #expect(try Self.value(nodes[1], Self.tracking) == 0)
                try await ask(nodes[1], 20)
            }
        default: Issue.record("\(row) has no test")
        }
    }

    private func ask(_ node: TestNode, _ users: Int) async throws {
        for user in 0..<users {
            let reply = try await node.client.recommend(user: SmallWorld.user(user), k: 10)
            #expect(reply.items.count == 10 && reply.degraded.isEmpty)
        }
    }
}
