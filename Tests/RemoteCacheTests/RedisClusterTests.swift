import NIOCore
import TestSupport
import Testing

@testable import RemoteCache

@Suite(.ownThreads, .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct RedisClusterTests {
    /// Three servers that share the slots.
    private func cluster() async throws -> [RedisServer] {
        var servers: [RedisServer] = []
        var buses: [Int] = []
        for _ in 0..<3 {
            let bus = try RedisServer.freePort()
            buses.append(bus)
            servers.append(
                try RedisServer([
                    "--cluster-enabled", "yes", "--cluster-port", "\(bus)", "--cluster-require-full-coverage", "no",
                ]))
        }
        for (place, range) in [(0, "0 5460"), (1, "5461 10922"), (2, "10923 16383")] {
            #expect(try servers[place].command("CLUSTER ADDSLOTSRANGE \(range)").hasPrefix("+OK"))
        }
        for place in 1..<3 {
            #expect(
                try servers[0].command("CLUSTER MEET 127.0.0.1 \(servers[place].port) \(buses[place])").hasPrefix("+OK")
            )
        }
        let formed = try await eventually {
            try servers.allSatisfy {
                let info = try $0.command("CLUSTER INFO")
                return info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
            }
        }
        #expect(formed)
        return servers
    }

    /// Key numbers that lie in the slots of each server.
    private let keys = (0..<300).map { "key\($0)" }

    @Test("commands find the server of their key; many keys are asked for by slot; a slot that moves is followed")
    func moves() async throws {
        let servers = try await cluster()
        let client = try await LoopClient(port: servers[0].port) { $0.isCluster = true }
        for key in keys {
            #expect(await eventually { await client.set(key, Array(key.utf8)) == nil }, "\(key)")
        }
        let lookup = await client.get(keys)
        #expect(lookup.failure == nil)
        #expect(lookup.values == keys.map { Array($0.utf8) })
        #expect(try await client.on { $0.pool.servers } == 3)
        let learnt = try await client.on { $0.statistics.redirects }
        // Half way: the slot of key0 is on its way from its server to another one.
        let slot = KeySlot.slot(of: Array("key0".utf8))
        let from = slot <= 5460 ? 0 : slot <= 10_922 ? 1 : 2
        let to = (from + 1) % 3
        func id(_ server: RedisServer) throws -> String {
            let reply = try server.command("CLUSTER MYID")
            return String(reply.split(separator: "\r\n")[1])
        }
        let (fromID, toID) = (try id(servers[from]), try id(servers[to]))
        #expect(try servers[to].command("CLUSTER SETSLOT \(slot) IMPORTING \(fromID)").hasPrefix("+OK"))
        #expect(try servers[from].command("CLUSTER SETSLOT \(slot) MIGRATING \(toID)").hasPrefix("+OK"))
        // A key that the old server has not: ASK.
        let fresh = "{key0}fresh"
        #expect(await client.set(fresh, [1, 2]) == nil)
        #expect(await client.get(fresh) == .success([1, 2]))
        #expect(await client.get("key0") == .success(Array("key0".utf8)))
        #expect(try await client.on { $0.statistics.redirects } >= learnt + 2)
        // The other half: MOVED.
        #expect(try servers[from].command("MIGRATE 127.0.0.1 \(servers[to].port) key0 0 30000").hasPrefix("+OK"))
        for server in [to, from] {
            #expect(try servers[server].command("CLUSTER SETSLOT \(slot) NODE \(toID)").hasPrefix("+OK"))
        }
        #expect(await client.get("key0") == .success(Array("key0".utf8)))
        #expect(await client.get(fresh) == .success([1, 2]))
        let (count, failure) = await client.delete(Array(keys.prefix(50)))
        #expect(count == 50 && failure == nil)
        // One server less: its keys fail, the others' do not.
        servers[to].kill()
        let left = await eventually {
            let lookup = await client.get(Array(self.keys.suffix(250)))
            return lookup.failure != nil && lookup.values.contains { $0 != nil } && lookup.values.contains { $0 == nil }
        }
        #expect(left)
        await client.close()
    }

    @Test("servers that send a command round in circles end it")
    func circles() async throws {
        let port = Locked(0)
        let server = try await FakeRedis { request in
            // One reply a command, however they come.
            var replies = ""
            for command in String(decoding: request, as: UTF8.self).split(separator: "*") {
                if command.contains("PING") {
                    replies += "+PONG\r\n"
                } else if command.contains("SLOTS") {
                    replies += "*0\r\n"
                } else if command.contains("GET") {
                    replies += "-MOVED 12182 :\(port.with { $0 })\r\n"
                } else {
                    replies += "+OK\r\n"
                }
            }
            return Array(replies.utf8)
        }
        let own = server.port
        port.with { $0 = own }
        let client = try await LoopClient(port: server.port) {
            $0.isCluster = true
            $0.clientName = "circles"
        }
        #expect(await client.get("foo") == .failure(.tooManyRedirects))
        #expect(try await client.on { $0.statistics.redirects } == 5)
        await client.close()
        await server.close()
    }
}
