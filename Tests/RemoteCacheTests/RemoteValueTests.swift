import TestSupport
import Testing

@testable import RemoteCache

@Suite struct RemoteValueTests {
    private let key = RemoteKeys(tenant: "shop", kind: "slate", version: 1).key(Array("u1".utf8))

    private func sample(_ generator: inout SeededGenerator) -> RemoteValue {
        let payload = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
        return RemoteValue(
            kind: 3, stamp: UInt64.random(in: 0 ... .max, using: &generator), madeAt: 1000, goodUntil: 5000,
            payload: payload[...])
    }

    @Test("what was put in comes out", arguments: 0..<100)
    func same(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let value = sample(&generator)
        let opened = RemoteValue.open(value.encoded(for: key), key: key, kind: 3, stamp: value.stamp, now: 1500)
        #expect(opened.map { Array($0.payload) } == .success(Array(value.payload)))
        #expect((try? opened.get())?.madeAt == 1000)
    }

    @Test("any change of its bytes is a miss", arguments: 0..<2000)
    func mutated(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let value = sample(&generator)
        let bytes = value.encoded(for: key)
        let changed = generator.mutated(bytes)
        guard changed != bytes else { return }
        let opened = RemoteValue.open(changed, key: key, kind: 3, stamp: value.stamp, now: 1500)
        #expect(throws: RemoteValue.Miss.self, "seed \(seed)") { try opened.get() }
    }

    @Test("the reason of a miss is the first thing that is wrong")
    func reasons() {
        var generator = SeededGenerator(seed: 5)
        let value = sample(&generator)
        let bytes = value.encoded(for: key)
        func miss(
            _ bytes: [UInt8]?, key: [UInt8]? = nil, kind: UInt8 = 3, stamp: UInt64? = nil, now: Int64 = 1500,
            most: Int = 1 << 20
        )
            -> RemoteValue.Miss?
        {
            let opened = RemoteValue.open(
                bytes, key: key ?? self.key, kind: kind, stamp: stamp, now: now, bytesMax: most)
            if case .failure(let miss) = opened { return miss }
            return nil
        }
        #expect(miss(bytes) == nil)
        #expect(miss(nil) == .absent)
        #expect(miss([]) == .notOurs)
        #expect(miss(Array("\"a session of another program\"".utf8)) == .notOurs)
        #expect(miss(bytes, most: bytes.count - 1) == .tooLarge)
        #expect(miss(Array(bytes.dropLast())) == .truncated)
        #expect(miss(Array(bytes.prefix(20))) == .truncated)
        #expect(miss(bytes, key: Array("martlet:shop:slate:2:u2".utf8)) == .otherKey)
        #expect(miss(bytes, kind: 4) == .otherKind)
        #expect(miss(bytes, stamp: value.stamp &+ 1) == .otherStamp)
        #expect(miss(bytes, now: 5000) == .expired)
        var version = bytes
        version[3] = 2
        #expect(miss(version) == .otherVersion)
        var damaged = bytes
        damaged[16] ^= 1
        #expect(miss(damaged) == .badChecksum)
    }
}

@Suite struct ClusterTests {
    @Test("slots are those of the cluster specification")
    func slots() {
        func slot(_ key: String) -> UInt16 { KeySlot.slot(of: Array(key.utf8)) }
        #expect(slot("123456789") == 0x31C3)
        #expect(slot("foo") == 12_182)
        #expect(slot("{user1000}.following") == slot("{user1000}.followers"))
        #expect(slot("{user1000}.following") == slot("user1000"))
        #expect(slot("foo{}{bar}") != slot("bar"))
        #expect(slot("foo{{bar}}zap") == slot("{bar"))
        #expect(slot("foo{bar}{zap}") == slot("bar"))
        #expect(slot("foo{bar") != slot("bar"))
    }

    @Test("a redirection is read, or it is none")
    func redirects() {
        let asked = RedisEndpoint(host: "a", port: 1)
        #expect(
            Redirect("MOVED 3999 127.0.0.1:6381", asked: asked)?.endpoint
                == RedisEndpoint(host: "127.0.0.1", port: 6381))
        #expect(Redirect("ASK 3999 ::1:6381", asked: asked)?.endpoint == RedisEndpoint(host: "::1", port: 6381))
        #expect(Redirect("MOVED 1 :7000", asked: asked)?.endpoint == RedisEndpoint(host: "a", port: 7000))
        for text in [
            "MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a:0", "MOVED 1 a:70000", "MOVED 1 a",
            "ERR x y z:1",
        ] {
            #expect(Redirect(text, asked: asked) == nil, "\(text)")
        }
    }

    @Test("the slots of a cluster are taken whole or not at all", arguments: 0..<500)
    func map(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let asked = RedisEndpoint(host: "a", port: 1)
        func range(_ first: Int64, _ last: Int64, _ host: RedisReply, _ port: Int64) -> RedisReply {
            .array([.integer(first), .integer(last), .array([host, .integer(port), .bytes([1])])])
        }
        var map = SlotMap(nodesMax: 3)
        let sound = RedisReply.array([range(0, 8000, .bytes(Array("b".utf8)), 2), range(8001, 16_383, .null, 3)])
        let isTaken = map.take(sound, asked: asked)
        #expect(isTaken)
        #expect(map.knownSlots == 16_384 && map.owner(of: 8001) == RedisEndpoint(host: "a", port: 3))
        let moves = ["c", "d"].map { map.moved(5, to: RedisEndpoint(host: $0, port: 4)) }
        #expect(moves == [true, false])
        #expect(map.owner(of: 5) == RedisEndpoint(host: "c", port: 4))
        // Any numbers: no crash, and refused unless they make sense.
        let numbers: [Int64] = [-1, 0, 1, 16_383, 16_384, .max, .min]
        let one = { numbers.randomElement(using: &generator) ?? 0 }
        let (first, last, port) = (one(), one(), one())
        let taken = map.take(.array([range(first, last, .bytes([0xFF]), port)]), asked: asked)
        #expect(taken == (first >= 0 && first <= last && last < 16_384 && port > 0 && port < 65_536))
        for reply in [RedisReply.null, .array([]), .array([.null]), .array([.array([.integer(1)])]), .integer(1)] {
            var unchanged = map
            let isTaken = unchanged.take(reply, asked: asked)
            #expect(!isTaken)
        }
    }
}

@Suite struct RedisURLTests {
    @Test("an address is read with all its parts")
    func parts() throws {
        let url = try RedisURL("rediss://us%3Aer:p%40ss@redis.example:7000/3")
        #expect(url.endpoint == RedisEndpoint(host: "redis.example", port: 7000))
        #expect(url.user == "us:er" && url.password == "p@ss" && url.database == 3 && url.isTLS)
        let short = try RedisURL("redis://localhost")
        #expect(short.endpoint == RedisEndpoint(host: "localhost", port: 6379) && !short.isTLS && short.database == 0)
        #expect(try RedisURL("redis://[::1]:7001").endpoint == RedisEndpoint(host: "::1", port: 7001))
        #expect(try RedisURL("redis://:secret@h").password == "secret")
    }

    @Test(
        "what is no address is refused without its password",
        arguments: [
            "http://h", "redis://", "redis://:hush@", "redis://h:0", "redis://h:x", "redis://h/a", "redis://hush:%zz@h",
            "redis://h:70000",
            "redis://h/70000", "",
        ])
    func refused(text: String) {
        do {
            _ = try RedisURL(text)
            Issue.record("\(text) was taken")
        } catch { #expect(!error.description.contains("hush")) }
    }
}
