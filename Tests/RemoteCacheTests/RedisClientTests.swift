import NIOCore
import NIOPosix
import Resilience
import TestSupport
import Testing

@testable import RemoteCache

@Suite(.ownThreads, .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct RedisClientTests {
    @Test("reads, writes, deletes and forgets")
    func values() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port)
        #expect(await client.set("a", [1, 2, 3]) == nil)
        #expect(await client.set("b", [], timeToLive: .seconds(100)) == nil)
        #expect(await client.get("a") == .success([1, 2, 3]))
        #expect(await client.get("none") == .success(nil))
        #expect(await client.get(["a", "none", "b"]).values == [[1, 2, 3], nil, []])
        let life = await client.send("PTTL", "b")
        #expect((try life.get().integer ?? 0) > 1)
        let (count, failure) = await client.delete(["a", "b", "none"])
        #expect(count == 2 && failure == nil)
        #expect(await client.get("a") == .success(nil))
        let wrong = await client.send("INCR")
        #expect(wrong == .failure(.error("ERR wrong number of arguments for 'incr' command")))
        await client.close()
    }

    @Test("keys of more than one batch come back in their order")
    func batches() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port)
        let keys = (0..<1300).map { "k\($0)" }
        for place in stride(from: 0, to: keys.count, by: 2) {
            #expect(await client.set(keys[place], Array(keys[place].utf8)) == nil)
        }
        let lookup = await client.get(keys)
        #expect(lookup.failure == nil)
        #expect(lookup.values == keys.enumerated().map { $0.offset.isMultiple(of: 2) ? Array($0.element.utf8) : nil })
        await client.close()
    }

    @Test("thousands of commands in flight get their own replies, over several connections")
    func pipelined() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port) {
            $0.connectionsPerNode = 3
            $0.pipelineMax = 100_000
        }
        let right = await client.with { (client: RedisClient, done: @escaping @Sendable (Int) -> Void) in
            var right = 0
            var left = 20_000
            for number in 0..<20_000 {
                client.send(RedisCommand(["ECHO", "\(number)"])) { result in
                    if case .success(.bytes(let bytes)) = result, bytes == Array("\(number)".utf8) { right += 1 }
                    left -= 1
                    if left == 0 { done(right) }
                }
            }
        }
        #expect(right == 20_000)
        await client.close()
    }

    @Test("AUTH, a database and a name; a wrong password is a failure with the server's words")
    func greeting() async throws {
        let server = try RedisServer(["--requirepass", "s3cret"])
        let client = try await LoopClient(port: server.port) {
            $0.password = "s3cret"
            $0.user = "default"
            $0.database = 3
            $0.clientName = "martlet-test"
        }
        let info = await client.send("CLIENT", "LIST")
        let text = try info.get().text ?? ""
        #expect(text.contains("name=martlet-test") && text.contains("db=3"))
        await client.close()

        let stranger = try await LoopClient(port: server.port) { $0.password = "wrong" }
        guard case .failure(.refused(let words)) = await stranger.get("a") else {
            Issue.record("a wrong password was taken")
            return
        }
        #expect(words.hasPrefix("WRONGPASS"))
        await stranger.close()
        let nobody = try await LoopClient(port: server.port)
        guard case .failure(.refused) = await nobody.get("a") else {
            Issue.record("no password was taken")
            return
        }
        await nobody.close()
    }

    @Test("a server that is killed costs failures, not time; when it is back it is used again")
    func killed() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port)
        #expect(await client.set("a", [1]) == nil)
        server.kill()
        #expect(await eventually { await client.get("a") == .failure(.breakerOpen) })
        #expect(try await client.on { $0.breakerState(writes: false) } == .open)
        try server.start()
        #expect(await eventually { await client.get("a") == .success(nil) })
        #expect(try await client.on { $0.breakerState(writes: false) } == .closed)
        let pool = try await client.on { $0.pool }
        #expect(pool.ready == 1 && pool.connected >= 2 && pool.breakersOpened >= 1)
        await client.close()
    }

    @Test("a frozen server: callers are told in time, and late replies are given to nobody")
    func frozen() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port)
        for number in 0..<40 { #expect(await client.set("k\(number)", [UInt8(number)]) == nil) }
        server.freeze()
        // Fewer than open the breaker.
        for number in 0..<5 { #expect(await client.get("k\(number)", timeout: .milliseconds(5)) == .failure(.timeout)) }
        server.thaw()
        for number in 5..<40 { #expect(await client.get("k\(number)") == .success([UInt8(number)])) }
        await client.close()
    }

    @Test("a server that stays frozen opens the breaker, holds a bounded number of commands, and is reconnected to")
    func stalled() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port) {
            $0.pipelineMax = 5
            // Long enough that a machine with other work does not take its own pauses for the server's.
            $0.stallTimeout = .seconds(5)
        }
        #expect(await client.set("a", [1]) == nil)
        server.freeze()
        #expect(await client.get("a", timeout: .milliseconds(3)) == .failure(.timeout))
        let full = await client.with { (client: RedisClient, done: @escaping @Sendable (Bool) -> Void) in
            var overloaded = false
            for _ in 0..<6 {
                client.get([1], timeout: .milliseconds(1)) { if $0 == .failure(.overloaded) { overloaded = true } }
            }
            done(overloaded)
        }
        #expect(full)
        #expect(await eventually { await client.get("a", timeout: .milliseconds(1)) == .failure(.breakerOpen) })
        #expect(try await client.on { $0.pool.inFlight } <= 5)
        server.thaw()
        #expect(await eventually { await client.get("a") == .success([1]) })
        await client.close()
    }

    @Test("a full server refuses writes, whose breaker opens; reads go on")
    func full() async throws {
        let server = try RedisServer(["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"])
        let client = try await LoopClient(port: server.port)
        #expect(await client.set("a", [7]) == nil)
        let value = [UInt8](repeating: 1, count: 200_000)
        var number = 0
        var failure: RedisFailure?
        while failure == nil, number < 100 {
            failure = await client.set("big\(number)", value)
            number += 1
        }
        #expect(failure?.reason == "full")
        #expect(await eventually { await client.set("more", value) == .breakerOpen })
        #expect(await client.get("a") == .success([7]))
        #expect(try await client.on { $0.breakerState(writes: false) } == .closed)
        await client.close()
    }

    @Test("a replica answers reads and refuses writes")
    func replica() async throws {
        let server = try RedisServer()
        let replica = try RedisServer(["--replicaof", "127.0.0.1 \(server.port)"])
        let writer = try await LoopClient(port: server.port)
        let reader = try await LoopClient(port: replica.port)
        #expect(await writer.set("a", [9]) == nil)
        #expect(await eventually { await reader.get("a") == .success([9]) })
        #expect(await reader.set("a", [1])?.reason == "read_only")
        #expect(await reader.get("a") == .success([9]))
        await writer.close()
        await reader.close()
    }

    @Test("streams: append, read, groups, acknowledgement, waiting")
    func streams() async throws {
        let server = try RedisServer()
        let client = try await LoopClient(port: server.port)
        let stream = Array("martlet:items".utf8)
        let fields = [StreamField([1], [2, 3]), StreamField(Array("x".utf8), [])]
        let added: Result<String, RedisFailure> = await client.with { client, done in
            client.append(fields, to: stream, lengthMax: 1000) { done($0) }
        }
        let first = try added.get()
        let read: Result<[StreamEntry], RedisFailure> = await client.with { client, done in
            client.read(stream, after: "0") { done($0) }
        }
        #expect(try read.get() == [StreamEntry(id: first, fields: fields)])
        // A reader that waits does not hold up others, and hears of the next entry.
        async let waited: Result<[StreamEntry], RedisFailure> = client.with { client, done in
            client.read(stream, after: first, block: .seconds(30)) { done($0) }
        }
        for _ in 0..<5 { #expect(await client.set("beside", [1]) == nil) }
        let second: Result<String, RedisFailure> = await client.with { client, done in
            client.append(fields, to: stream) { done($0) }
        }
        #expect(try await waited.get().map(\.id) == [try second.get()])
        // A group.
        for _ in 0..<2 {
            let failure: RedisFailure? = await client.with { client, done in
                client.createGroup("nodes", of: stream, after: "0") { done($0) }
            }
            #expect(failure == nil)
        }
        let given: Result<[StreamEntry], RedisFailure> = await client.with { client, done in
            client.read(stream, group: "nodes", consumer: "n1") { done($0) }
        }
        let ids = try given.get().map(\.id)
        #expect(ids == [first, try second.get()])
        let count: Result<Int, RedisFailure> = await client.with { client, done in
            client.acknowledge(ids, of: stream, group: "nodes") { done($0) }
        }
        #expect(count == .success(2))
        let none: Result<[StreamEntry], RedisFailure> = await client.with { client, done in
            client.read(stream, after: "$", block: .milliseconds(5)) { done($0) }
        }
        #expect(none == .success([]))
        await client.close()
    }

    @Test("what was changed is heard of; a lost connection means that all is forgotten")
    func tracking() async throws {
        let server = try RedisServer()
        let writer = try await LoopClient(port: server.port)
        let loop = writer.loop
        let heard = NIOLoopBoundBox.makeBoxSendingValue([InvalidationListener.Message](), eventLoop: loop)
        let port = server.port
        let listener = try await loop.submit {
            var configuration = RedisConfiguration(endpoints: [])
            configuration.connectTimeout = .seconds(30)
            configuration.stallTimeout = .seconds(30)
            configuration.reconnectMaximum = .milliseconds(200)
            let listener = InvalidationListener(
                RedisEndpoint(host: "127.0.0.1", port: port), configuration, prefixes: [Array("martlet:".utf8)],
                loop: loop
            ) { heard.value.append($0) }
            listener.start()
            return NIOLoopBound(listener, eventLoop: loop)
        }.get()
        let isTracking = { try await loop.submit { listener.value.isTracking }.get() }
        let messages = { try await loop.submit { heard.value }.get() }
        #expect(try await eventually { try await isTracking() })
        #expect(await writer.set("martlet:a", [1]) == nil)
        #expect(await writer.set("other:a", [1]) == nil)
        #expect(await writer.set("martlet:b", [1]) == nil)
        let changed = { (key: String) in InvalidationListener.Message.changed([Array(key.utf8)]) }
        #expect(try await eventually { try await messages().contains(changed("martlet:b")) })
        #expect(try await messages().contains(changed("martlet:a")))
        #expect(try await !messages().contains(changed("other:a")))
        // The server loses all its keys.
        let before = try await messages().count { $0 == .flush }
        _ = try server.command("FLUSHALL")
        #expect(try await eventually { try await messages().count { $0 == .flush } > before })
        // Each of the two connections is lost in turn.
        for kind in ["pubsub", "normal"] {
            let flushes = try await messages().count { $0 == .flush }
            #expect(await writer.send("CLIENT", "KILL", "TYPE", kind).map { $0.integer ?? 0 > 0 } == .success(true))
            #expect(try await eventually { try await messages().count { $0 == .flush } > flushes })
            #expect(try await eventually { try await isTracking() })
            #expect(await eventually { await writer.set("martlet:after-\(kind)", [1]) == nil })
            #expect(try await eventually { try await messages().contains(changed("martlet:after-\(kind)")) })
        }
        server.kill()
        #expect(try await eventually { try await !isTracking() })
        try await loop.submit { listener.value.close() }.get()
        await writer.close()
    }

    @Test(
        "TLS with a certificate that is trusted; another one is refused",
        .enabled(if: ExternalTool.openssl.mayRun, "\(ExternalTool.openssl.comment)"))
    func tls() async throws {
        let folder = try TemporaryFolder()
        let key = folder.file("key.pem")
        let certificate = folder.file("cert.pem")
        let made = try ExternalTool.openssl.run([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        #expect(made.status == 0, "\(made.output)")
        let server = try RedisServer([
            "--port", "0", "--tls-port", "{port}", "--tls-cert-file", certificate, "--tls-key-file", key,
            "--tls-ca-cert-file",
            certificate, "--tls-auth-clients", "no",
        ])
        let trusted = try RedisTLS.context(trustedFile: certificate)
        let client = try await LoopClient(port: server.port) { $0.tls = trusted }
        #expect(await client.set("a", [1]) == nil)
        #expect(await client.get("a") == .success([1]))
        await client.close()
        let system = try RedisTLS.context()
        let stranger = try await LoopClient(port: server.port) { $0.tls = system }
        guard case .failure = await stranger.get("a") else {
            Issue.record("an unknown certificate was trusted")
            return
        }
        await stranger.close()
    }
}
