import Foundation
import NIOCore
import Testing
import Vocabulary

@testable import Wire

/// Protos/README.md, found from this file.
private func protocolPage() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent("Protos/README.md"), encoding: .utf8)
}

/// The bytes of the page's block that opens with "```hex NAME".
private func workedBytes(_ name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var isInside = false
    for line in try protocolPage().split(separator: "\n", omittingEmptySubsequences: false) {
        if line == "```hex \(name)" {
            isInside = true
        } else if isInside, line.hasPrefix("```") {
            return bytes
        } else if isInside {
            let code = line.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)[0]
            for word in code.split(separator: " ") { bytes.append(try #require(UInt8(word, radix: 16), "\(line)")) }
        }
    }
    Issue.record("Protos/README.md has no block \(name)")
    return []
}

@Suite("Worked bytes of Protos/README.md")
struct WorkedBytesTests {
    private let arena = DecodeArena()

    private func frame(_ message: some ProtoEncodable, _ header: FrameHeader) -> [UInt8] {
        var buffer = ByteBuffer()
        message.writeFrame(header, to: &buffer)
        return Array(buffer.readableBytesView)
    }

    /// The one frame in the page's block.
    private func read(_ name: String) throws -> Frame {
        var decoder = FrameDecoder()
        decoder.feed(ByteBuffer(bytes: try workedBytes(name)))
        let frame = try #require(try decoder.next())
        #expect(decoder.pendingBytes == 0)
        return frame
    }

    @Test("the handshake is what the code writes and reads")
    func handshake() throws {
        let hello = Hello(protocolVersion: 1, partitionMapVersion: 1, shard: 0, clientName: "page")
        #expect(frame(hello, FrameHeader(kind: .hello, bodyBytes: 0)) == (try workedBytes("hello")))
        #expect(try Hello(decoding: read("hello").body, arena: arena) == hello)

        let welcome = Welcome(
            protocolVersion: 1, partitionMapVersion: 1, shardCount: 2, shard: 0, frameBytesMax: 1 << 20,
            callsInFlightMax: 1024, nodeName: "node-a", softwareVersion: "0.1.0")
        #expect(frame(welcome, FrameHeader(kind: .welcome, bodyBytes: 0)) == (try workedBytes("welcome")))
        #expect(try Welcome(decoding: read("welcome").body, arena: arena) == welcome)
    }

    @Test("the call and its reply are what the code writes and reads")
    func call() throws {
        let request = RecommendRequest(user: "196", k: 3)
        let call = FrameHeader.call(
            .recommend, id: 1, timeoutMicroseconds: 50_000, slot: Slot(user: "196"), bodyBytes: 0)
        #expect(frame(request, call) == (try workedBytes("call")))
        #expect(try RecommendRequest(decoding: read("call").body, arena: arena) == request)

        var reply = RecommendReply()
        reply.items = ["50", "181", "258"]
        reply.scores = [2.5, 1.25, -0.5]
        reply.generation = 7
        reply.model = "demo@1"
        let header = FrameHeader.reply(
            .ok, id: 1, flags: .cached, serverMicroseconds: 38, loadHint: 655, bodyBytes: 0)
        #expect(frame(reply, header) == (try workedBytes("reply")))
        #expect(try RecommendReply(decoding: read("reply").body, arena: arena) == reply)

        let error = ErrorBody(message: "busy", retryIsSafe: true, retryAfterMilliseconds: 20)
        let refusal = FrameHeader.reply(
            .resourceExhausted, id: 2, flags: .retryIsSafe, serverMicroseconds: 12, loadHint: 65535, bodyBytes: 0)
        #expect(frame(error, refusal) == (try workedBytes("error")))
        #expect(try ErrorBody(decoding: read("error").body, arena: arena) == error)
    }

    @Test("the frames without a call are what the code writes and reads")
    func others() throws {
        func bare(_ kind: FrameKind, _ id: UInt32) -> [UInt8] {
            var buffer = ByteBuffer()
            buffer.writeHeader(.bare(kind, id: id))
            return Array(buffer.readableBytesView)
        }
        #expect(bare(.cancel, 3) == (try workedBytes("cancel")))
        #expect(bare(.ping, 9) == (try workedBytes("ping")))
        #expect(bare(.pong, 9) == (try workedBytes("pong")))
        let goaway = Goaway(reason: "draining")
        #expect(frame(goaway, FrameHeader(kind: .goaway, bodyBytes: 0)) == (try workedBytes("goaway")))
        #expect(try Goaway(decoding: read("goaway").body, arena: arena) == goaway)
    }

    @Test("the routing table agrees with the code")
    func routing() throws {
        var rows = 0
        for line in try protocolPage().split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: true).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 6, cells[1].count == 16, let hash = UInt64(cells[1], radix: 16) else { continue }
            rows += 1
            let user = cells[0].hasSuffix("(empty)") ? "" : cells[0].replacingOccurrences(of: "`", with: "")
            #expect(XXH64.hash(user) == hash)
            let slot = Slot(user: user)
            #expect(cells[2] == "\(slot)")
            for (column, shards) in [(3, 2), (4, 3), (5, 16)] {
                #expect(cells[column] == "\(PartitionMap(shardCount: shards).shard(of: slot))")
            }
        }
        #expect(rows == 8)
    }

    @Test("the limits on the page are those of the code")
    func limits() throws {
        let page = try protocolPage()
        #expect(page.contains("1 MiB (\(FrameHeader.frameBytesMaxDefault)) by default"))
        #expect(page.contains("| user, item, tag, context key | 1 to \(RequestLimits.idBytesMax) bytes |"))
        #expect(page.contains("| `k` | \(RequestLimits.kMax);"))
        #expect(page.contains("| `users` of RecommendMany | 1 to \(RequestLimits.usersMax) |"))
        #expect(page.contains("| `exclude_items` | \(RequestLimits.excludeItemsMax) |"))
        #expect(page.contains("| each tag list of a filter | \(RequestLimits.tagsMax) |"))
        #expect(page.contains("| `conditions` of a filter | \(RequestLimits.conditionsMax) |"))
        #expect(
            page.contains("| `any_of`, `none_of` of a condition | \(RequestLimits.conditionValuesMax) values each |"))
        #expect(
            page.contains(
                "| `context` | \(RequestLimits.contextEntriesMax) entries, values of \(RequestLimits.contextValueBytesMax) bytes |"
            ))
        #expect(page.contains("| `cursor` | \(RequestLimits.cursorBytesMax) bytes |"))
        #expect(page.contains("| `pins` | \(RequestLimits.pinsMax), places 1 to \(RequestLimits.kMax) |"))
        #expect(page.contains("| `recent_items` | \(RequestLimits.recentItemsMax) |"))
        #expect(page.contains("| `events` of RecordEvents | 1 to \(RequestLimits.eventsMax) |"))
        #expect(
            page.contains(
                "| `id`, `request_id` of an event | \(RequestLimits.eventIDBytesMax) bytes | that event has a fault |"))
        #expect(
            page.contains(
                "| `items` of UpsertItems, DeleteItems, SetAvailability | 1 to \(RequestLimits.changedItemsMax) |"))
        let texts = RequestLimits.itemTextsMax
        #expect(
            page.contains(
                "| as above; \(RequestLimits.titleBytesMax) bytes; \(texts); \(RequestLimits.itemAttributesMax); \(texts) each;"
                    + " \(RequestLimits.vectorMax) finite numbers |"))
        #expect(page.contains("| `path` of LoadModel | 1 to \(RequestLimits.pathBytesMax) bytes |"))
    }

    @Test("methods and status codes on the page are those of the code")
    func codes() throws {
        let page = try protocolPage()
        for method in Wire.Method.allCases { #expect(page.contains("| \(method.rawValue) | \(method.name) |")) }
        for code in StatusCode.allCases where ![6, 10, 11, 15].contains(code.rawValue) {
            #expect(page.contains("| \(code.rawValue) | \(code.name) |"))
        }
    }
}
