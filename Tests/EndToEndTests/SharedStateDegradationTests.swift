import MartletClient
import Serving
import TestSupport
import Testing

@testable import MartletServer

/// Rows of the degradation table about what nodes know of users and items together.
@Suite("Degradation of what nodes share", .ownThreads)
struct SharedStateDegradationTests {
    private func value(_ node: TestNode, _ name: String) throws -> Double {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + " ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? 0
    }

    private func becomes(_ condition: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    @Test(
        "each row serves, says and counts what the table has of it, and ends when Redis is back",
        arguments: DegradationRow.allCases.filter { $0.entry.stage == .sharedState })
    func row(_ row: DegradationRow) async throws {
        let server = try RedisServer()
        let port = server.port
        try await withNode(change: {
            $0.redis.url = "redis://127.0.0.1:\(port)"
            $0.redis.node = "a"
            if row == .usersUnheard {
                $0.redis.shareUsers = true
                $0.redis.userWait = .seconds(10)
            } else {
                $0.redis.sharesItems = true
            }
        }) { node, _ in try await check(row, node, server) }
    }

    private func check(_ row: DegradationRow, _ node: TestNode, _ server: RedisServer) async throws {
        func isMarked() async throws -> Bool {
            let reply = try await node.client.recommend(user: SmallWorld.user(3), k: 10)
            #expect(reply.items.count == 10)
            return reply.degraded.contains(.staleUserState)
        }
        #expect(try await becomes { try await !isMarked() })
        server.freeze()
        #expect(try await becomes { try await isMarked() })
        #expect(try value(node, row.entry.counter) > 0)
        #expect(row.entry.told == .degraded(.staleUserState))
        server.thaw()
        #expect(try await becomes { try await !isMarked() })
    }
}
