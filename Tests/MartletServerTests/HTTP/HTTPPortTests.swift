import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Telemetry
import TestSupport
import Testing

@testable import MartletServer

@Suite(.timeLimit(.minutes(30)), .ownThreads) struct HTTPPortTests {
    /// A plain blocking socket, so that the tests do not check NIO with NIO.
    final class Client {
        private let socket: BlockingSocket

        init(_ endpoint: SocketEndpoint) throws { socket = try BlockingSocket(port: endpoint.port) }

        func send(_ text: String) throws { try socket.send(Array(text.utf8)) }

        /// Everything until the node closes.
        func rest() throws -> String { String(decoding: try socket.receiveAll(), as: UTF8.self) }

        /// One answer: its head, and a body of its content-length.
        func answer(hasBody: Bool = true) throws -> (head: String, body: String) {
            var bytes: [UInt8] = []
            while true {
                if let end = Self.headEnd(bytes) {
                    let head = String(decoding: bytes[..<end], as: UTF8.self)
                    let length =
                        head.lowercased().split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
                        .flatMap { Int($0.dropFirst("content-length: ".count)) } ?? 0
                    if !hasBody || bytes.count >= end + 4 + length {
                        return (head, String(decoding: bytes[(end + 4)...], as: UTF8.self))
                    }
                }
                let more = try socket.receive()
                if more.isEmpty { return (String(decoding: bytes, as: UTF8.self), "") }
                bytes += more
            }
        }

        private static func headEnd(_ bytes: [UInt8]) -> Int? {
            let mark = Array("\r\n\r\n".utf8)
            guard bytes.count >= 4 else { return nil }
            return (0...(bytes.count - 4)).first { Array(bytes[$0..<$0 + 4]) == mark }
        }
    }

    /// Times long enough to never pass on a busy machine; tests of such a time set it.
    static var patient: HTTPPortLimits {
        var limits = HTTPPortLimits()
        limits.requestTimeout = .seconds(300)
        limits.idleTimeout = .seconds(300)
        limits.responseTimeout = .seconds(300)
        return limits
    }

    static func withPort(
        limits: HTTPPortLimits = patient, readiness: Readiness = .ready, body: (HTTPPort) async throws -> Void
    ) async throws {
        let shard = ShardMetrics(shard: 0, scenarios: ["default"])
        let node = NodeMetrics(shards: [shard], build: BuildInfo(kernels: "scalar"))
        let endpoints = HTTPEndpoints(
            metrics: { node.scrape($0) }, readiness: { readiness }, status: { #"{"node":"test"}"# })
        let port = try await HTTPPort.open(
            at: SocketEndpoint(host: "127.0.0.1", port: 0), endpoints, limits: limits, logger: Logger(label: "test"))
        do {
            try await body(port)
        } catch {
            await port.close()
            throw error
        }
        await port.close()
    }

    @Test func `each path answers with its type, and the connection serves them one after the other`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            for (path, type, beginning) in [
                ("/healthz", "text/plain; charset=utf-8", "ok\n"), ("/readyz", "text/plain; charset=utf-8", "ready\n"),
                ("/status", "application/json", #"{"node":"test"}"#),
                ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP martlet_requests_total "),
                ("/metrics?name=x", "text/plain; version=0.0.4; charset=utf-8", "# HELP martlet_requests_total "),
            ] {
                try client.send("GET \(path) HTTP/1.1\r\nHost: n\r\n\r\n")
                let (head, body) = try client.answer()
                #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(path)")
                #expect(head.contains("content-type: \(type)\r\n"), "\(path)")
                #expect(head.contains("cache-control: no-store"))
                #expect(body.hasPrefix(beginning), "\(path)")
            }
        }
    }

    @Test func `the Accept header chooses OpenMetrics`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            try client.send(
                "GET /metrics HTTP/1.1\r\nHost: n\r\nAccept: application/openmetrics-text;version=1.0.0\r\n"
                    + "Accept: text/plain;q=0.5\r\n\r\n")
            let (head, body) = try client.answer()
            #expect(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"))
            #expect(body.hasSuffix("# EOF\n"))
        }
    }

    @Test(.enabled(if: ExternalTool.promtool.mayRun, "needs promtool in PATH (`make deps` installs it)"))
    func `promtool accepts what comes over the wire`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            try client.send("GET /metrics HTTP/1.1\r\nHost: n\r\n\r\n")
            let result = try ExternalTool.promtool.run(
                ["check", "metrics"], input: Array(try client.answer().body.utf8))
            #expect(result.status == 0)
            #expect(result.output == "")
        }
    }

    @Test func `HEAD has the head of GET and no body`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            try client.send("HEAD /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            let (head, body) = try client.answer(hasBody: false)
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(head.contains("content-length: 3\r\n"))
            #expect(body == "")
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.answer().body == "ok\n")
        }
    }

    @Test func `a node that is not ready says why`() async throws {
        try await Self.withPort(readiness: .notReady("draining")) { port in
            let client = try Client(port.endpoint)
            try client.send("GET /readyz HTTP/1.1\r\nHost: n\r\n\r\n")
            let (head, body) = try client.answer()
            #expect(head.hasPrefix("HTTP/1.1 503 "))
            #expect(body == "not ready: draining\n")
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.answer().head.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func `unknown paths are not found and other methods are not allowed`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            try client.send("GET / HTTP/1.1\r\nHost: n\r\n\r\n")
            let missing = try client.answer()
            #expect(missing.head.hasPrefix("HTTP/1.1 404 "))
            #expect(missing.body.contains("/metrics"))
            try client.send("POST /metrics HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello")
            let refused = try client.answer()
            #expect(refused.head.hasPrefix("HTTP/1.1 405 "))
            #expect(refused.head.contains("allow: GET, HEAD"))
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.answer().body == "ok\n")
        }
    }

    @Test func `requests sent together are answered in their order`() async throws {
        try await Self.withPort { port in
            let client = try Client(port.endpoint)
            let last = "GET /readyz HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
            try client.send(String(repeating: "GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n", count: 300) + last)
            let bodies = try client.rest().components(separatedBy: "HTTP/1.1 200 OK").dropFirst()
            #expect(bodies.count == 301)
            #expect(bodies.dropLast().allSatisfy { $0.hasSuffix("ok\n") })
            #expect(bodies.last?.hasSuffix("ready\n") == true)
        }
    }

    @Test func `the connection is closed when the client asks for it, and after HTTP 1.0`() async throws {
        try await Self.withPort { port in
            for request in [
                "GET /healthz HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n",
            ] {
                let client = try Client(port.endpoint)
                try client.send(request)
                #expect(try client.rest().hasSuffix("ok\n"))
            }
        }
    }

    @Test func `a request that is too large is refused and its connection closed`() async throws {
        var limits = Self.patient
        limits.requestBytesMax = 2048
        try await Self.withPort(limits: limits) { port in
            let manyHeaders = try Client(port.endpoint)
            try manyHeaders.send("GET /healthz HTTP/1.1\r\nX: \(String(repeating: "x", count: 3000))")
            #expect(try manyHeaders.rest().hasPrefix("HTTP/1.1 431 "))
            let largeBody = try Client(port.endpoint)
            try largeBody.send(
                "POST /status HTTP/1.1\r\nContent-Length: 100000\r\n\r\n\(String(repeating: "x", count: 3000))")
            #expect(try largeBody.rest().hasPrefix("HTTP/1.1 413 "))
        }
    }

    @Test func `what is not HTTP is answered with 400 or closed`() async throws {
        try await Self.withPort { port in
            for text in [
                "\u{0}\u{1}\u{2}\r\n\r\n", "hello\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                "GET /\r\nx\r\n\r\n",
            ] {
                let client = try Client(port.endpoint)
                try client.send(text)
                let answer = try client.rest()
                #expect(answer == "" || answer.hasPrefix("HTTP/1.") && answer.contains(" 400 "), "\(text): \(answer)")
            }
        }
    }

    @Test func `a connection that does not finish its request is closed`() async throws {
        var limits = Self.patient
        limits.requestTimeout = .milliseconds(100)
        try await Self.withPort(limits: limits) { port in
            let silent = try Client(port.endpoint)
            let slow = try Client(port.endpoint)
            // On a machine that is slow enough the time is over before.
            try? slow.send("GET /healthz HT")
            #expect(try silent.rest() == "")
            #expect(try slow.rest() == "")
        }
    }

    @Test func `a connection that rests too long between requests is closed`() async throws {
        var limits = Self.patient
        limits.idleTimeout = .milliseconds(100)
        try await Self.withPort(limits: limits) { port in
            let client = try Client(port.endpoint)
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.rest().hasSuffix("ok\n"))
        }
    }

    @Test func `connections beyond the maximum are closed at once, and room is made by those that leave`() async throws
    {
        var limits = Self.patient
        limits.connectionsMax = 2
        try await Self.withPort(limits: limits) { port in
            var kept: [Client] = []
            for _ in 0..<2 {
                let client = try Client(port.endpoint)
                try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
                #expect(try client.answer().body == "ok\n")
                kept.append(client)
            }
            #expect(try Client(port.endpoint).rest() == "")
            kept.removeAll()
            while port.connectionCount == 2 { try await Task.sleep(for: .milliseconds(5)) }
            let client = try Client(port.endpoint)
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.answer().body == "ok\n")
        }
    }

    @Test func `random bytes never stop the port`() async throws {
        try await Self.withPort { port in
            var state: UInt64 = 7
            func next(_ bound: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int((state >> 33) % UInt64(bound))
            }
            let seed = Array(
                "GET /metrics HTTP/1.1\r\nHost: n\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc".utf8)
            for _ in 0..<200 {
                var bytes = seed
                for _ in 0...next(6) { bytes[next(bytes.count)] = UInt8(next(256)) }
                let socket = try BlockingSocket(port: port.endpoint.port)
                try socket.send(Array(bytes.prefix(next(bytes.count) + 1)))
                socket.finishSending()
                _ = try? socket.receiveAll()
            }
            let client = try Client(port.endpoint)
            try client.send("GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
            #expect(try client.answer().body == "ok\n")
        }
    }

    @Test func `a port that is taken is named, with what to do`() async throws {
        try await Self.withPort { port in
            let endpoints = HTTPEndpoints(metrics: { _ in [] }, readiness: { .ready }, status: { "{}" })
            let failure = await #expect(throws: ListenFailure.self) {
                _ = try await HTTPPort.open(at: port.endpoint, endpoints, logger: Logger(label: "test"))
            }
            let text = failure.map { "\($0)" } ?? ""
            #expect(text.contains("another process has the port"), "\(text)")
            #expect(text.contains("--http HOST:PORT"), "\(text)")
        }
    }
}
