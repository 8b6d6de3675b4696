import Foundation
import MartletClient
import TestSupport
import Testing

@testable import MartletServer

/// Frames by hand, from Protos/README.md, for what no client would send.
enum RawFrame {
    static func make(
        kind: UInt8, code: UInt8 = 0, flags: UInt8 = 0, id: UInt32 = 0, microseconds: UInt32 = 0, slot: UInt16 = 0xFFFF,
        body: [UInt8] = [], version: UInt8 = 1, length: UInt32? = nil, extensionBytes: UInt16 = 0
    ) -> [UInt8] {
        func big<I: FixedWidthInteger>(_ value: I) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        return big(length ?? UInt32(16 + body.count)) + [version, kind, code, flags] + big(id) + big(microseconds)
            + big(slot) + big(extensionBytes) + body
    }

    static let hello = make(kind: 1, slot: 0, body: [0x08, 1, 0x10, 1])

    /// A Recommend for `user` with k = 3.
    static func recommend(_ user: String, id: UInt32, microseconds: UInt32 = 0) -> [UInt8] {
        make(
            kind: 3, code: 1, id: id, microseconds: microseconds,
            body: [0x12, UInt8(user.utf8.count)] + Array(user.utf8) + [0x18, 3])
    }

    struct Received {
        var kind: UInt8
        var code: UInt8
        var flags: UInt8
        var id: UInt32
        var body: [UInt8]
    }

    /// The whole frames at the start of `bytes`, which keeps the rest.
    static func take(_ bytes: inout [UInt8]) -> [Received] {
        var frames: [Received] = []
        while bytes.count >= 20 {
            func integer(_ at: Int) -> Int { bytes[at..<(at + 4)].reduce(0) { $0 << 8 | Int($1) } }
            let length = integer(0)
            guard bytes.count >= length + 4 else { break }
            let extra = Int(bytes[18]) << 8 | Int(bytes[19])
            frames.append(
                Received(
                    kind: bytes[5], code: bytes[6], flags: bytes[7], id: UInt32(integer(8)),
                    body: Array(bytes[(20 + extra)..<(length + 4)])))
            bytes.removeFirst(length + 4)
        }
        return frames
    }
}

/// A connection that sends raw frames and reads until it has what it waits for.
final class RawConnection {
    private let socket: BlockingSocket
    private var pending: [UInt8] = []
    private var frames: [RawFrame.Received] = []

    init(port: Int, hello: Bool = true) throws {
        socket = try BlockingSocket(port: port)
        if hello {
            try send(RawFrame.hello)
            #expect(try next()?.kind == 2)
        }
    }

    func send(_ bytes: [UInt8]) throws { try socket.send(bytes) }

    /// The next frame; nil when the node has closed.
    func next() throws -> RawFrame.Received? {
        while frames.isEmpty {
            let bytes = try socket.receive()
            if bytes.isEmpty { return nil }
            pending += bytes
            frames += RawFrame.take(&pending)
        }
        return frames.removeFirst()
    }

    /// Everything until the node closes.
    func rest() throws -> [RawFrame.Received] {
        var result: [RawFrame.Received] = []
        while let frame = try next() { result.append(frame) }
        return result
    }
}

@Suite("A node against bad peers", .timeLimit(.minutes(30)), .ownThreads)
struct RobustnessTests {
    @Test("frames cut into single bytes are served like whole ones")
    func singleBytes() async throws {
        try await withNode { node, _ in
            let connection = try RawConnection(port: node.port)
            let bytes = RawFrame.recommend("a", id: 7) + RawFrame.make(kind: 6, id: 9) + RawFrame.recommend("a", id: 8)
            for byte in bytes { try connection.send([byte]) }
            var ids: Set<UInt32> = []
            for _ in 0..<3 {
                let frame = try #require(try connection.next())
                #expect(frame.kind == 4 && frame.code == 0 || frame.kind == 7)
                ids.insert(frame.id)
            }
            #expect(ids == [7, 8, 9])
        }
    }

    @Test("what breaks the protocol gets a goaway with the reason, and the connection ends")
    func protocolErrors() async throws {
        try await withNode { node, _ in
            let cases: [(bytes: [UInt8], word: String)] = [
                (RawFrame.make(kind: 3, version: 9), "version"),
                (RawFrame.make(kind: 3, length: 5 << 20), "bytes"),
                (RawFrame.make(kind: 3, length: 3), "header"),
                (RawFrame.make(kind: 3, extensionBytes: 40), "extension"),
                (RawFrame.hello, "kind 1"),
                (RawFrame.make(kind: 4), "kind 4"),
            ]
            for (bytes, word) in cases {
                let connection = try RawConnection(port: node.port)
                try connection.send(bytes)
                let frames = try connection.rest()
                #expect(frames.last?.kind == 8)
                let reason = String(decoding: frames.last?.body ?? [], as: UTF8.self)
                #expect(reason.contains(word), "\(reason)")
            }
            let early = try RawConnection(port: node.port, hello: false)
            try early.send(RawFrame.recommend("a", id: 1))
            #expect(try early.rest().last?.kind == 8)
            let wrongVersion = try RawConnection(port: node.port, hello: false)
            try wrongVersion.send(RawFrame.make(kind: 1, slot: 0, body: [0x08, 99]))
            #expect(try wrongVersion.rest().last?.kind == 8)
        }
    }

    @Test("a connection may end by a frame that came behind the rest of a cut one")
    func endInsideHeldBytes() async throws {
        try await withNode { node, _ in
            let connection = try RawConnection(port: node.port)
            let call = RawFrame.recommend("a", id: 7)
            try connection.send(RawFrame.make(kind: 6, id: 1) + call.prefix(25))
            // The pong says that the node has read, and now holds, the first part of the call.
            #expect(try connection.next()?.kind == 7)
            try connection.send(Array(call.dropFirst(25)) + RawFrame.hello + call)
            #expect(try connection.rest().last?.kind == 8)
            let another = try RawConnection(port: node.port)
            try another.send(RawFrame.recommend("a", id: 8))
            #expect(try another.next()?.id == 8)
        }
    }

    @Test(
        "unknown kinds and methods are answered UNIMPLEMENTED, bad bodies INVALID_ARGUMENT, and the connection lives on"
    )
    func unknownThings() async throws {
        try await withNode { node, _ in
            let connection = try RawConnection(port: node.port)
            for (frame, code) in [
                (RawFrame.make(kind: 77, id: 1), UInt8(12)), (RawFrame.make(kind: 3, code: 200, id: 2), 12),
                (RawFrame.make(kind: 3, code: 1, id: 3, body: [0xFF, 0xFF, 0xFF]), 3),
                (RawFrame.make(kind: 3, code: 1, id: 4), 3), (RawFrame.make(kind: 3, code: 2, id: 5), 3),
                (RawFrame.recommend("a", id: 6), 0),
            ] {
                try connection.send(frame)
                let reply = try #require(try connection.next())
                #expect(reply.kind == 4)
                #expect(reply.code == code, "call \(reply.id)")
            }
        }
    }

    @Test("a call id in flight cannot be used again, and too many calls are turned away with a safe retry")
    func inFlightLimits() async throws {
        try await withNode(shards: 1, change: { $0.limits.callsInFlightMax = 4 }) { node, _ in
            let connection = try RawConnection(port: node.port)
            var burst: [UInt8] = []
            for id in 0..<20 { burst += RawFrame.recommend("different-\(id)", id: UInt32(id)) }
            burst += RawFrame.recommend("again", id: 0)
            try connection.send(burst)
            var codes: [UInt8: Int] = [:]
            for _ in 0..<21 {
                let reply = try #require(try connection.next())
                codes[reply.code, default: 0] += 1
                if reply.code == 8 { #expect(reply.flags & 2 == 2) }
            }
            #expect((codes[0] ?? 0) >= 4)
            #expect((codes[8] ?? 0) >= 1)
        }
    }

    @Test("a call whose deadline has passed in the queue is not worked on")
    func deadlines() async throws {
        try await withNode(shards: 1) { node, _ in
            let connection = try RawConnection(port: node.port)
            var burst: [UInt8] = []
            // A microsecond is over before the queue is reached behind a hundred others.
            for id in 0..<100 { burst += RawFrame.recommend("slow-\(id)", id: UInt32(id)) }
            for id in 100..<110 { burst += RawFrame.recommend("late-\(id)", id: UInt32(id), microseconds: 1) }
            try connection.send(burst)
            var late = 0
            for _ in 0..<110 {
                let reply = try #require(try connection.next())
                if reply.id >= 100, reply.code == 4 { late += 1 }
            }
            #expect(late == 10)
        }
    }

    @Test("a cancelled call is answered CANCELLED, or was finished before")
    func cancellation() async throws {
        try await withNode(shards: 1) { node, _ in
            let connection = try RawConnection(port: node.port)
            var burst: [UInt8] = []
            for id in 0..<200 { burst += RawFrame.recommend("busy-\(id)", id: UInt32(id)) }
            for id in 100..<200 { burst += RawFrame.make(kind: 5, id: UInt32(id), slot: 0) }
            try connection.send(burst)
            var cancelled = 0
            for _ in 0..<200 {
                let reply = try #require(try connection.next())
                #expect(reply.code == 0 || reply.code == 1 && reply.id >= 100)
                if reply.code == 1 { cancelled += 1 }
            }
            #expect(cancelled > 0)
        }
    }

    @Test("mutated and truncated frames never stop the node from answering good calls", arguments: [1, 2])
    func fuzz(seed: UInt64) async throws {
        try await withNode { node, _ in
            var random = SeededGenerator(seed: seed)
            let good =
                RawFrame.recommend("someone", id: 1) + RawFrame.make(kind: 3, code: 2, id: 2, body: [0x12, 1, 0x61])
            for round in 0..<300 {
                let socket = try BlockingSocket(port: node.port)
                var bytes = RawFrame.hello + good
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    let at = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes.removeSubrange(at...)
                    default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
                    }
                    if bytes.isEmpty { break }
                }
                // The node may close before all is sent.
                try? socket.send(bytes)
                if round % 3 == 0 {
                    socket.finishSending()
                    _ = try? socket.receiveAll()
                }
            }
            let reply = try await node.client.recommend(user: "after all that", k: 5)
            #expect(reply.items.count == 5)
        }
    }

    @Test("a connection that never finishes its hello or its frame is closed; others are served meanwhile")
    func slowWriters() async throws {
        try await withNode(change: { $0.limits.handshakeTimeout = .milliseconds(300) }) { node, _ in
            let silent = try RawConnection(port: node.port, hello: false)
            // On a machine that is slow enough the hello comes too late; then there is nothing to cut off.
            var half: RawConnection?
            while half == nil {
                let connection = try RawConnection(port: node.port, hello: false)
                try? connection.send(RawFrame.hello)
                if try connection.next()?.kind == 2 { half = connection }
            }
            try? half?.send(Array(RawFrame.recommend("a", id: 1).dropLast(3)))
            var items = 0
            while items == 0 { items = (try? await node.client.recommend(user: "b", k: 5).items.count) ?? 0 }
            #expect(items == 5)
            #expect(try silent.rest().last?.kind == 8)
            #expect(try half?.rest().last?.kind == 8)
        }
    }

    @Test("too many connections: the one too many is told so and closed")
    func connectionLimit() async throws {
        try await withNode(change: { $0.limits.connectionsMax = 3 }) { node, _ in
            let first = [
                try RawConnection(port: node.port), try RawConnection(port: node.port),
                try RawConnection(port: node.port),
            ]
            let refused = try RawConnection(port: node.port, hello: false)
            #expect(try refused.rest().last?.kind == 8)
            try first[0].send(RawFrame.recommend("a", id: 1))
            #expect(try first[0].next()?.code == 0)
        }
    }

    @Test("draining: calls in flight are answered, new ones turned away, the client hears of it")
    func drain() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let node = try await TestNode(bundle: bundle, shards: 1)
        let connection = try RawConnection(port: node.port)
        var burst: [UInt8] = []
        for id in 0..<300 { burst += RawFrame.recommend("u-\(id)", id: UInt32(id)) }
        try connection.send(burst)
        // One answer says that the burst has arrived and waits.
        #expect(try connection.next()?.code == 0)
        await node.node.drain()
        await node.node.stop()
        let frames = try connection.rest()
        // A machine that is slow enough reads a part of the burst after the grace; that part may be sent again elsewhere.
        let replies = frames.filter { $0.kind == 4 }
        #expect(replies.count == 299)
        #expect(replies.allSatisfy { $0.code == 0 || $0.code == 14 && $0.flags & 2 == 2 })
        #expect(replies.contains { $0.code == 0 })
        #expect(frames.contains { $0.kind == 8 })
        await node.client.shutdown()
    }
}
