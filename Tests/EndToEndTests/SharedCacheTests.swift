import MartletClient
import MartletServer
import Retrieval
import TestSupport
import Testing
import Vocabulary
import Wire

/// Two nodes of one bundle and one Redis.
@Suite(
    "Answers that nodes share", .ownThreads, .timeLimit(.minutes(30)),
    .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct SharedCacheTests {
    private func redis(_ server: RedisServer) -> (inout ServerConfiguration) -> Void {
        let port = server.port
        return {
            $0.redis.url = "redis://127.0.0.1:\(port)"
            // Long enough for a machine with other work.
            $0.redis.timeout = .seconds(300)
        }
    }

    private func metric(_ node: TestNode, _ name: String) throws -> Double {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
        guard let line = text.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix(name + " ") }) else {
            return 0
        }
        return Double(line.split(separator: " ").last ?? "") ?? -1
    }

    private func hits(_ node: TestNode) throws -> Double {
        try metric(node, #"martlet_cache_requests_total{level="l2",result="hit"}"#)
    }

    private func stored(_ node: TestNode) throws -> Double {
        try metric(node, #"martlet_shared_cache_stores_total{result="stored"}"#)
    }

    private func misses(_ node: TestNode, _ reason: String) throws -> Double {
        try metric(node, #"martlet_shared_cache_misses_total{reason="\#(reason)"}"#)
    }

    /// The keys of all values.
    private func names(_ server: RedisServer) throws -> [Substring] {
        try server.command("KEYS martlet:*").split(separator: "\r\n").filter { $0.hasPrefix("martlet:") }
    }

    private func becomes(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<60_000 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// Runs `body` with a Redis and two nodes.
    private func withNodes(
        change: @escaping (inout ServerConfiguration) -> Void = { _ in },
        _ body: (RedisServer, TestNode, TestNode) async throws -> Void
    ) async throws {
        let server = try RedisServer()
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let set = redis(server)
        let both: (inout ServerConfiguration) -> Void = {
            set(&$0)
            change(&$0)
        }
        let first = try await TestNode(bundle: bundle, change: both)
        let second = try await TestNode(bundle: bundle, change: both)
        do {
            // From then on answers that are found are copied.
            for node in [first, second] {
                #expect(try await becomes { try metric(node, "martlet_shared_cache_tracking") == 1 })
            }
            try await body(server, first, second)
        } catch {
            await first.stop()
            await second.stop()
            throw error
        }
        await first.stop()
        await second.stop()
    }

    @Test("what one node made the other serves, until it knows something else of the user")
    func shared() async throws {
        try await withNodes { _, first, second in
            for number in 0..<20 {
                let user = SmallWorld.user(number)
                let made = try await first.client.recommend(user: user, k: 10)
                #expect(try await becomes { try stored(first) == Double(number + 1) })
                let found = try await second.client.recommend(user: user, k: 10)
                #expect(found.items == made.items && found.scores == made.scores)
                #expect(try hits(second) == Double(number + 1))
                // From its own cache, now.
                _ = try await second.client.recommend(user: user, k: 10)
                #expect(try hits(second) == Double(number + 1))
            }
            // The second node hears of a click and a hide that the first does not know of.
            let user = SmallWorld.user(3)
            let before = try await first.client.recommend(user: user, k: 10)
            _ = try await second.client.recordEvents(
                RecordEventsRequest(events: [
                    UserEvent(user: user, item: before.items[0], type: "click"),
                    UserEvent(user: user, item: before.items[1], type: "hide"),
                ]))
            let after = try await second.client.recommend(user: user, k: 10)
            #expect(!after.items.contains(before.items[0]) && !after.items.contains(before.items[1]))
            #expect(try misses(second, "other_stamp") == 1)
            #expect(try hits(second) == 20)
            // The first node still knows what it knew: the newer answer in Redis is not for it.
            var request = RecommendRequest(user: user, k: 10)
            request.excludeItems = [before.items[9]]
            let again = try await first.client.recommend(request)
            #expect(again.items.contains(before.items[0]))
        }
    }

    @Test("what depends on what trends at one node is not shared")
    func trending() async throws {
        try await withNodes(change: {
            $0.scenarios["lively"] = $0.scenarios["default"]
            $0.scenarios["lively"]?.retrieval = RetrievalMix(
                sources: [
                    .init(source: .als, limit: 100, weight: 1), .init(source: .trending, limit: 20, weight: 1),
                ], normalisation: .zscore)
        }) { server, first, second in
            for node in [first, second] {
                _ = try await node.client.recommend(user: SmallWorld.user(5), k: 10, scenario: "lively")
                #expect(try misses(node, "own_knowledge") == 1)
            }
            _ = try await first.client.recommend(user: SmallWorld.user(5), k: 10)
            #expect(try await becomes { try stored(first) == 1 })
            #expect(try names(server).count == 1)
            #expect(try hits(second) == 0)
        }
    }

    @Test("values that were tampered with, are another's, or are from elsewhere are misses with a reason")
    func poisoned() async throws {
        try await withNodes { server, first, second in
            _ = try await first.client.recommend(user: SmallWorld.user(1), k: 10)
            _ = try await first.client.recommend(user: SmallWorld.user(2), k: 10)
            #expect(try await becomes { try stored(first) == 2 })
            let keys = try names(server)
            #expect(keys.count == 2)
            // A value under another's name; a word of another program; a damaged one.
            try server.command("COPY \(keys[0]) \(keys[1]) REPLACE")
            let expected = try await first.client.recommend(user: SmallWorld.user(2), k: 10).items
            var served = try await second.client.recommend(user: SmallWorld.user(1), k: 10).items
            served = try await second.client.recommend(user: SmallWorld.user(2), k: 10).items
            #expect(served == expected)
            #expect(try misses(second, "other_key") == 1)
            let third = SmallWorld.user(3)
            let made = try await first.client.recommend(user: third, k: 10)
            #expect(try await becomes { try stored(first) == 3 })
            for key in try names(server) {
                try server.command("SETRANGE \(key) 70 xx")
            }
            #expect(try await second.client.recommend(user: third, k: 10).items == made.items)
            #expect(try misses(second, "bad_checksum") == 1)
            let fourth = SmallWorld.user(4)
            let whole = try await first.client.recommend(user: fourth, k: 10)
            #expect(try await becomes { try stored(first) == 4 })
            for key in try names(server) {
                try server.command("SET \(key) hello")
            }
            #expect(try await second.client.recommend(user: fourth, k: 10).items == whole.items)
            #expect(try misses(second, "not_ours") == 1)
            // A list where a value belongs.
            let fifth = SmallWorld.user(5)
            let right = try await first.client.recommend(user: fifth, k: 10)
            #expect(try await becomes { try stored(first) == 5 })
            for key in try names(server) {
                try server.command("DEL \(key)")
                try server.command("RPUSH \(key) a b")
            }
            #expect(try await second.client.recommend(user: fifth, k: 10).items == right.items)
            #expect(try misses(second, "not_ours") == 2)
        }
    }

    @Test("no request fails while Redis is killed, frozen, full or back again")
    func away() async throws {
        let server = try RedisServer(["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"])
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let node = try await TestNode(bundle: bundle) {
            redis(server)(&$0)
            $0.redis.timeout = .milliseconds(2)
            // Every call is computed, or asks Redis.
            $0.cache.ttl = .milliseconds(1)
        }
        func ask(_ count: Int) async throws {
            for number in 0..<count {
                let answer = try await node.client.recommend(
                    user: SmallWorld.user(number % SmallWorld.userCount), k: 10)
                #expect(answer.items.count == 10)
            }
        }
        try await ask(50)
        server.freeze()
        try await ask(100)
        server.thaw()
        try await ask(50)
        server.kill()
        try await ask(200)
        #expect(try await becomes { try metric(node, #"martlet_breaker_state{dependency="redis_reads"}"#) > 0 })
        try server.start()
        let filler = String(repeating: "x", count: 50_000)
        var isFull = false
        for number in 0..<100 where !isFull {
            isFull = try server.command("SET fill\(number) \(filler)").hasPrefix("-OOM")
        }
        #expect(isFull)
        try await ask(100)
        await node.stop()
    }

    @Test("a Redis that cannot be set up is told before anything is served")
    func setup() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        await #expect(throws: RedisSetupFailure.self) {
            _ = try await TestNode(bundle: bundle) {
                $0.redis.url = "redis://127.0.0.1:1"
                $0.redis.passwordFile = folder.file("nothing")
            }
        }
        for address in ["redis://:secret@h", "redis://u:secret@h:1,redis://:secret@i", "rediss://u:se:secret@x@h"] {
            let refused = #expect(throws: (any Error).self) {
                _ = try ServerConfiguration.load(environment: ["MARTLET_REDIS_URL": address])
            }
            let words = "\(refused.map { "\($0)" } ?? "")"
            #expect(words.contains("redis.url") && words.contains("redis.password_file"), "\(words)")
            #expect(!words.contains("secret"), "\(words)")
        }
        #expect(throws: (any Error).self) {
            _ = try ServerConfiguration.load(environment: ["MARTLET_REDIS_URL": "http://h"])
        }
    }
}
