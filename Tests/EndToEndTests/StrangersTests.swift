import Artifacts
import Foundation
import MartletClient
import Retrieval
import TestSupport
import Testing

@testable import MartletServer

/// Programs that share no code with the node: a client written from the protocol's page, and Prometheus' own checker.
@Suite("A node and strangers", .ownThreads)
struct StrangersTests {
    private static let bash = ExternalTool("bash")
    private static let script = Repository.root + "/Tests/PythonClient/run.sh"
    /// Whether the Python client's environment is there, or could be made.
    private static let hasPython = (try? bash.run([script, "--prepare"]))?.status == 0

    @Test(
        "a Python client written from Protos/README.md alone gets every method and rule right",
        .enabled(
            if: hasPython || ExternalTool.isContinuousIntegration,
            "needs python3, protoc and the protobuf package of PyPI"))
    func pythonClient() async throws {
        try await withNode(shards: 2) { node, folder in
            _ = try SmallWorld.makeBundle(in: folder, name: "other")
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let arguments =
                [Self.script, "127.0.0.1:\(node.port)", "--load", "other"]
                + (0..<3).flatMap { ["--user", model.users.name(UInt32($0))] }
            let result = try Self.bash.run(arguments)
            #expect(result.status == 0, "\(result.output)")
        }
    }

    @Test(
        "promtool finds nothing to say about a scrape of a node that has worked",
        .enabled(if: ExternalTool.promtool.mayRun, "\(ExternalTool.promtool.comment)"))
    func promtool() async throws {
        try await withNode { node, _ in
            for number in 0..<50 { _ = try await node.client.recommend(user: "u\(number % 20)", k: 5) }
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
            let body = try #require(answer.range(of: "\r\n\r\n").map { String(answer[$0.upperBound...]) })
            #expect(body.contains("martlet_requests_total{method=\"Recommend\",code=\"OK\"} 50"))
            #expect(body.contains("martlet_cache_requests_total{level=\"l1\",result=\"hit\"} 30"))
            let result = try ExternalTool.promtool.run(["check", "metrics"], input: Array(body.utf8))
            #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
        }
    }

    @Test("an answer that no frame can carry is refused, and counted as what it is answered with")
    func oversizedAnswers() async throws {
        try await withNode(shards: 2) {
            $0.limits.frameBytesMax = 4096
        } _: { node, _ in
            let users = (0..<60).map { "u\($0)" }
            for _ in 0..<2 {
                await expectFailure(.resourceExhausted) {
                    _ = try await node.client.recommendMany(RecommendManyRequest(users: users, k: 20))
                }
                // Twice the same question: the refusal is not kept, and neither is the answer that was too large.
                var request = RecommendRequest(user: "u", k: 100)
                request.includeDetails = true
                await expectFailure(.resourceExhausted) { _ = try await node.client.recommend(request) }
            }
            _ = try await node.client.recommend(user: "u", k: 5)
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
            for method in ["Recommend", "RecommendMany"] {
                #expect(text.contains("martlet_requests_total{method=\"\(method)\",code=\"RESOURCE_EXHAUSTED\"} 2\n"))
            }
            #expect(text.contains("martlet_requests_total{method=\"Recommend\",code=\"OK\"} 1\n"))
            #expect(text.contains("martlet_requests_total{method=\"RecommendMany\",code=\"OK\"} 0\n"))
            #expect(
                text.contains(
                    "martlet_request_duration_seconds_count{scenario=\"default\",outcome=\"failed\"} 2\n"))
        }
    }

    @Test("readiness and status follow the node's life")
    func lifeOverHTTP() async throws {
        try await withNode { node, _ in
            func get(_ path: String) throws -> String {
                let socket = try BlockingSocket(port: node.httpPort)
                try socket.send(Array("GET \(path) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
                return String(decoding: try socket.receiveAll(), as: UTF8.self)
            }
            #expect(try get("/healthz").hasPrefix("HTTP/1.1 200"))
            #expect(try get("/readyz").hasPrefix("HTTP/1.1 200"))
            let status = try get("/status")
            for word in ["\"state\" : \"ready\"", "\"model\" : \"world@1\"", "user_factors", "resident_bytes"] {
                #expect(status.contains(word), "\(word)")
            }
            #expect(status.contains("\"item_rows\" : \"f32\""))
            await node.node.drain()
            #expect(try get("/readyz").hasPrefix("HTTP/1.1 503"))
        }
    }

    @Test("status says whether item_rows took effect")
    func itemRows() async throws {
        try await withNode(change: { $0.itemRows = .f16 }) { node, _ in
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            #expect(String(decoding: try socket.receiveAll(), as: UTF8.self).contains("\"item_rows\" : \"f16\""))
        }
    }

    @Test("a node without a bundle says that it is not ready, and is after LoadModel")
    func startsEmpty() async throws {
        let folder = try TemporaryFolder()
        _ = try SmallWorld.makeBundle(in: folder, name: "world")
        let node = try await TestNode(bundle: nil, shards: 1) { $0.modelsRoot = folder.path }
        await expectFailure(.unavailable) { _ = try await node.client.recommend(user: "u") }
        #expect(try await node.client.health().state == .loading)
        _ = try await node.client.loadModel(.init(path: "world"))
        #expect(try await node.client.health().state == .ready)
        #expect(try await node.client.recommend(user: "u", k: 4).items.count == 4)
        await node.stop()
    }
}
