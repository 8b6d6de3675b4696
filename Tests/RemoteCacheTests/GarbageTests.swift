import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import RemoteCache

@Suite(.ownThreads) struct GarbageTests {
    @Test("a server that sends anything at all fails commands and nothing else", arguments: 0..<12)
    func garbage(seed: Int) async throws {
        let generator = Locked(SeededGenerator(seed: UInt64(seed)))
        let server = try await FakeRedis { request in
            generator.with { generator -> [UInt8]? in
                // The greeting is answered soundly, half of the time.
                let text = String(decoding: request, as: UTF8.self)
                if text.contains("PING"), !text.contains("GET"), Bool.random(using: &generator) {
                    return Array("+OK\r\n+PONG\r\n".utf8)
                }
                switch Int.random(in: 0..<9, using: &generator) {
                case 0:
                    return (0..<Int.random(in: 1...5000, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                case 1: return Array("$2147483648\r\n".utf8)
                case 2: return Array("*1000000000\r\n".utf8)
                case 3: return Array("$100\r\nhalf".utf8)
                case 4: return Array("+OK\r\n+OK\r\n+OK\r\n+OK\r\n".utf8)
                case 5: return nil
                case 6: return []
                case 7: return Array("*-7\r\n$-9\r\n".utf8)
                default: return Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
                }
            }
        }
        let client = try await LoopClient(port: server.port) {
            $0.stallTimeout = .milliseconds(50)
            $0.connectTimeout = .milliseconds(200)
            $0.reconnectFirst = .milliseconds(1)
            $0.reconnectMaximum = .milliseconds(2)
        }
        for number in 0..<150 {
            switch await client.get("k\(number)", timeout: .milliseconds(20)) {
            case .success(let bytes): #expect(bytes == nil, "seed \(seed)")
            case .failure: break
            }
        }
        #expect(try await client.on { $0.pool.inFlight } <= 4096)
        #expect(try await client.on { $0.statistics.commands } == 150)
        await client.close()
        await server.close()
    }

    @Test("nobody listens: commands fail at once, time and again")
    func nobody() async throws {
        let client = try await LoopClient(port: try RedisServer.freePort())
        for _ in 0..<300 {
            guard case .failure = await client.get("a") else {
                Issue.record("an answer from nobody")
                return
            }
        }
        #expect(try await client.on { $0.pool.inFlight } == 0)
        await client.close()
    }

    @Test("a reply that nobody asked for closes the connection: what follows would belong to others")
    func unasked() async throws {
        let server = try await FakeRedis { request in
            let text = String(decoding: request, as: UTF8.self)
            return Array((text.contains("PING") ? "+OK\r\n+PONG\r\n" : "$1\r\nA\r\n$1\r\nB\r\n").utf8)
        }
        let client = try await LoopClient(port: server.port)
        for _ in 0..<20 {
            switch await client.get("a") {
            case .success(let bytes): #expect(bytes == [65])
            case .failure: break
            }
        }
        #expect(try await client.on { $0.pool.lost } > 0)
        await client.close()
        await server.close()
    }
}
