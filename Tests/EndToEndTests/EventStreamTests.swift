import Foundation
import MartletClient
import NIOCore
import RemoteCache
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletServer

/// Events that come through Redis streams.
@Suite(
    "Events out of streams", .ownThreads, .timeLimit(.minutes(30)),
    .enabled(if: ExternalTool.redis.mayRun, "\(ExternalTool.redis.comment)"))
struct EventStreamTests {
    private final class World {
        let server: RedisServer
        let folder: TemporaryFolder
        let bundle: String

        init() throws {
            server = try RedisServer()
            folder = try TemporaryFolder()
            bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        }

        func start(_ name: String, change: (inout ServerConfiguration) -> Void = { _ in }) async throws -> TestNode {
            try await TestNode(
                bundle: bundle,
                change: {
                    $0.nodeName = name
                    $0.redis.url = "redis://127.0.0.1:\(server.port)"
                    $0.redis.timeout = .seconds(300)
                    $0.events.directory = folder.file("events-\(name)")
                    $0.events.snapshotInterval = .zero
                    $0.events.stream.names = ["events"]
                    $0.events.stream.claimAfter = .milliseconds(200)
                    $0.events.stream.deadLetter = "dead"
                    $0.events.stream.consumer = name
                    change(&$0)
                })
        }

        /// XADD, of any bytes.
        func add(_ fields: [(String, [UInt8])], to stream: String = "events") throws {
            var words = [Array("XADD".utf8), Array(stream.utf8), [UInt8(ascii: "*")]]
            for (name, value) in fields { words += [Array(name.utf8), value] }
            var bytes = Array("*\(words.count)\r\n".utf8)
            for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + [13, 10] }
            let socket = try BlockingSocket(port: server.port)
            try socket.send(bytes)
            let reply = String(decoding: try socket.receive(), as: UTF8.self)
            try #require(reply.hasPrefix("$"), "\(reply)")
        }

        func add(_ user: String, _ item: String, _ type: String, id: String = "", to stream: String = "events") throws {
            var fields = [("user", user), ("item", item), ("type", type)].map { ($0.0, Array($0.1.utf8)) }
            if !id.isEmpty { fields.append(("id", Array(id.utf8))) }
            try add(fields, to: stream)
        }

        func length(of stream: String) throws -> Int {
            Int(try server.command("XLEN \(stream)").dropFirst().prefix { $0.isNumber }) ?? -1
        }

        /// Entries that nobody of the group has acknowledged; -1: there is no group.
        func pending() throws -> Int {
            let reply = try server.command("XPENDING events martlet")
            guard reply.hasPrefix("*"), let line = reply.split(separator: "\r\n").dropFirst().first, line.hasPrefix(":")
            else { return -1 }
            return Int(line.dropFirst()) ?? -1
        }
    }

    private func becomes(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    private static let bypass = CallOptions(bypassesCache: true)

    private func slate(_ node: TestNode, _ user: Int) async throws -> [String] {
        try await node.client.recommend(
            RecommendRequest(user: SmallWorld.user(user), k: 10), options: Self.bypass
        ).items
    }

    @Test("what a producer adds by fields or as a message counts in slates, and is acknowledged")
    func counts() async throws {
        let world = try World()
        let node = try await world.start("a")
        let before = try await slate(node, 1)
        try world.add(SmallWorld.user(1), before[0], "hide")
        let request = RecordEventsRequest(events: [
            UserEvent(user: SmallWorld.user(1), item: before[1], type: "hide"),
            UserEvent(user: SmallWorld.user(1), item: before[2], type: "click", value: 2),
        ])
        try world.add([("request", Array(request.encodedBody.readableBytesView)), ("other", [1, 2, 3])])
        #expect(try await becomes { node.node.streamReading.stored == 3 })
        let after = try await slate(node, 1)
        #expect(!after.contains(before[0]) && !after.contains(before[1]) && !after.contains(before[2]))
        #expect(try await becomes { try world.pending() == 0 })
        #expect(node.node.streamReading.acknowledged == 2)
        await node.stop()
        // What was stored is there after a restart, and nothing comes twice.
        let again = try await world.start("a")
        let kept = try await slate(again, 1)
        #expect(!kept.contains(before[0]) && !kept.contains(before[1]))
        try world.add(SmallWorld.user(2), before[0], "hide")
        #expect(try await becomes { again.node.streamReading.stored == 1 })
        #expect(again.node.streamReading.read == 1)
        await again.stop()
    }

    @Test("what is delivered again counts once, and what a consumer left that died is taken over")
    func again() async throws {
        let world = try World()
        var node = try await world.start("a")
        for number in 0..<50 { try world.add(SmallWorld.user(number), "item-\(number)", "click") }
        #expect(try await becomes { node.node.streamReading.stored == 50 })
        await node.stop()
        #expect(try world.pending() == 0)
        // As if the node had died between storing and acknowledging: all of it is given out once more.
        try world.server.command("XGROUP SETID events martlet 0")
        node = try await world.start("a")
        #expect(try await becomes { node.node.streamReading.duplicates == 50 })
        #expect(node.node.streamReading.stored == 0)
        #expect(try await becomes { try world.pending() == 0 })
        await node.stop()
        // Another consumer was given entries and is gone; this one was, too, under its own name.
        for number in 0..<30 { try world.add(SmallWorld.user(number), "item-\(number)", "view") }
        try world.server.command("XREADGROUP GROUP martlet ghost COUNT 20 STREAMS events >")
        try world.server.command("XREADGROUP GROUP martlet a COUNT 5 STREAMS events >")
        #expect(try world.pending() == 25)
        node = try await world.start("a")
        #expect(try await becomes { node.node.streamReading.stored == 30 })
        #expect(try await becomes { try world.pending() == 0 })
        #expect(node.node.streamReading.duplicates == 0)
        #expect(node.node.streamReading.claimed >= 20)
        await node.stop()
    }

    @Test("two nodes of one group share what comes, and nothing is lost when one of them stops")
    func shared() async throws {
        let world = try World()
        let first = try await world.start("a") { $0.events.stream.batch = 10 }
        let second = try await world.start("b") { $0.events.stream.batch = 10 }
        for number in 0..<200 { try world.add(SmallWorld.user(number), "item-\(number % 100)", "click") }
        #expect(try await becomes { first.node.streamReading.stored + second.node.streamReading.stored == 200 })
        #expect(first.node.streamReading.duplicates + second.node.streamReading.duplicates == 0)
        #expect(try await becomes { try world.pending() == 0 })
        let before = second.node.streamReading.stored
        await first.stop()
        for number in 0..<50 { try world.add(SmallWorld.user(number), "item-\(number)", "view") }
        #expect(try await becomes { second.node.streamReading.stored == before + 50 })
        #expect(try await becomes { try world.pending() == 0 })
        await second.stop()
    }

    @Test("entries that are no events are counted, copied and acknowledged, and those between them count")
    func poison() async throws {
        let world = try World()
        let node = try await world.start("a")
        let text = { (text: String) in Array(text.utf8) }
        let sound = [("user", text("u")), ("item", text("item-1")), ("type", text("click"))]
        var bad: [[(String, [UInt8])]] = [
            [("a", text("b"))],
            [("user", text("u")), ("type", text("click"))],
            [("user", text("u")), ("item", text("item-1")), ("type", text("no such type"))],
            sound + [("value", text("many"))],
            sound + [("value", text("nan"))],
            sound + [("time", text("yesterday"))],
            sound + [("time", text("-5"))],
            sound + [("time", text("99999999999999999"))],
            sound + [("id", text(String(repeating: "x", count: 65)))],
            [("user", [0xFF, 0xFE]), ("item", text("item-1")), ("type", text("click"))],
            [("user", text(String(repeating: "u", count: 256))), ("item", text("item-1")), ("type", text("click"))],
            [("request", [1, 2, 3])],
            [("request", [])],
        ]
        // Twelve megabytes together are more than a client takes in one reply; one of two is more than an entry may have.
        bad += (0..<3).map { _ in sound + [("padding", [UInt8](repeating: 65, count: 2 << 20))] }
        var good = 0
        for fields in bad {
            try world.add(fields)
            try world.add(sound)
            good += 1
        }
        for _ in 0..<12 {
            try world.add(sound + [("padding", [UInt8](repeating: 65, count: 1_000_000))])
            good += 1
        }
        #expect(try await becomes { node.node.streamReading.malformed >= UInt64(bad.count) })
        #expect(try await becomes { node.node.streamReading.stored == UInt64(good) })
        #expect(try await becomes { try world.pending() == 0 })
        // Where an answer of Redis took too long, an entry is copied once more.
        #expect(try world.length(of: "dead") >= bad.count)
        // A message some of whose events are good.
        let request = RecordEventsRequest(events: [
            UserEvent(user: "u", item: "item-1", type: "nonsense"), UserEvent(user: "u", item: "item-2", type: "click"),
        ])
        try world.add([("request", Array(request.encodedBody.readableBytesView))])
        #expect(try await becomes { node.node.streamReading.stored == UInt64(good) + 1 })
        #expect(try await becomes { try world.length(of: "dead") >= bad.count + 1 })
        await node.stop()
    }

    @Test("Redis killed, a group deleted, a stream deleted or of another kind: the node goes on when it can")
    func trouble() async throws {
        let world = try World()
        let node = try await world.start("a")
        try world.add("u", "item-1", "click")
        #expect(try await becomes { node.node.streamReading.stored == 1 })
        world.server.kill()
        #expect(try await becomes { node.node.streamReading.failures > 0 })
        _ = try await slate(node, 1)
        try world.server.start()
        // The group begins with what the stream holds.
        try world.add("u", "item-2", "click")
        #expect(try await becomes { node.node.streamReading.stored == 2 })
        try world.server.command("XGROUP DESTROY events martlet")
        try world.add("u", "item-3", "click")
        #expect(try await becomes { node.node.streamReading.stored == 3 })
        // The one before the group was deleted came again and was known.
        #expect(try await becomes { node.node.streamReading.duplicates == 1 })
        try world.server.command("DEL events")
        try world.add("u", "item-4", "click")
        #expect(try await becomes { node.node.streamReading.stored == 4 })
        try world.server.command("DEL events")
        try world.server.command("SET events nonsense")
        let failures = node.node.streamReading.failures
        #expect(try await becomes { node.node.streamReading.failures > failures + 1 })
        try world.server.command("DEL events")
        try world.add("u", "item-5", "click")
        #expect(try await becomes { node.node.streamReading.stored == 5 })
        #expect(try await becomes { try world.pending() == 0 })
        // Frozen, it holds up neither calls nor the node's end.
        world.server.freeze()
        _ = try await slate(node, 1)
        await node.stop()
        world.server.thaw()
    }

    @Test("any bytes in an entry are events or a fault")
    func mutations() {
        var random = SeededGenerator(seed: 5)
        let arena = DecodeArena()
        let rules = EventRules(typeNames: ["click"], wallClock: { 1_700_000_000_000 })
        let request = Array(
            RecordEventsRequest(events: [UserEvent(user: "u", item: "i", type: "click", value: 1)]).encodedBody
                .readableBytesView)
        for _ in 0..<5000 {
            var body = request
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                body[Int.random(in: 0..<body.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            body = Array(body.prefix(Int.random(in: 0...body.count, using: &random)))
            let name =
                Bool.random(using: &random) ? "request" : ["user", "value", "time", "id"].randomElement(using: &random)
            let entry = StreamEntry(id: "1-1", fields: [StreamField(Array((name ?? "").utf8), body)])
            let streamed = StreamedEvents(entry, of: "s", rules, arena: arena)
            #expect(streamed.fault != nil || !streamed.events.isEmpty)
        }
        let entry = StreamEntry(
            id: "1699999999000-7",
            fields: [("user", "u"), ("item", "i"), ("type", "click")].map {
                StreamField(Array($0.0.utf8), Array($0.1.utf8))
            })
        let streamed = StreamedEvents(entry, of: "s", rules, arena: arena)
        #expect(streamed.fault == nil)
        // The time of the entry, and a name that the entry has for ever.
        #expect(streamed.events.first?.timeMilliseconds == 1_699_999_999_000)
        #expect(streamed.events.first?.id == StreamedEvents(entry, of: "s", rules, arena: arena).events.first?.id)
        #expect(streamed.events.first?.id != StreamedEvents(entry, of: "t", rules, arena: arena).events.first?.id)
    }
}
