import NIOCore
import TestSupport
import Testing

@testable import RemoteCache

@Suite struct ReplyReaderTests {
    /// Not deeper than hiredis reads.
    private static func random(_ generator: inout SeededGenerator, depth: Int = 0) -> RedisReply {
        switch Int.random(in: 0..<(depth < 5 ? 7 : 5), using: &generator) {
        case 0: .status(["OK", "PONG", "", "QUEUED"].randomElement(using: &generator) ?? "")
        case 1: .error("ERR number \(Int.random(in: 0...99, using: &generator))")
        case 2: .integer(Int64.random(in: .min + 1 ... .max, using: &generator))
        case 3: .null
        case 4:
            .bytes(
                (0..<Int.random(in: 0...600, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
                })
        default:
            .array((0..<Int.random(in: 0...5, using: &generator)).map { _ in random(&generator, depth: depth + 1) })
        }
    }

    private static func encoded(_ reply: RedisReply) -> [UInt8] {
        switch reply {
        case .status(let text): Array("+\(text)\r\n".utf8)
        case .error(let text): Array("-\(text)\r\n".utf8)
        case .integer(let number): Array(":\(number)\r\n".utf8)
        case .null: Array("$-1\r\n".utf8)
        case .bytes(let bytes): Array("$\(bytes.count)\r\n".utf8) + bytes + Array("\r\n".utf8)
        case .array(let replies): Array("*\(replies.count)\r\n".utf8) + replies.flatMap { encoded($0) }
        }
    }

    @Test("reads what was written, however it is cut into pieces", arguments: 0..<10)
    func pieces(block: Int) {
        for seed in UInt64(block * 60)..<UInt64(block * 60 + 60) {
            var generator = SeededGenerator(seed: seed)
            let replies = (0..<20).map { _ in Self.random(&generator) }
            var rest = replies.flatMap { Self.encoded($0) }[...]
            let reader = ReplyReader()
            var read: [RedisReply] = []
            while !rest.isEmpty {
                let piece = rest.prefix(
                    Int.random(in: 1...Int.random(in: 1...9000, using: &generator), using: &generator))
                rest = rest.dropFirst(piece.count)
                var buffer = ByteBuffer(bytes: piece)
                let fault = reader.read(&buffer) {
                    read.append($0)
                    return true
                }
                check(fault == nil, "seed \(seed)")
            }
            check(read == replies, "seed \(seed)")
            check(reader.bytesBuffered == 0, "seed \(seed)")
        }
    }

    @Test(
        "takes any bytes: replies, a fault, or more to come, and never holds more than a reply may be",
        arguments: 0..<20)
    func mutated(block: Int) {
        var limits = ReplyLimits()
        limits.replyBytesMax = 4096
        limits.elementsMax = 64
        limits.lineBytesMax = 512
        for seed in UInt64(block * 250)..<UInt64(block * 250 + 250) {
            var generator = SeededGenerator(seed: seed)
            let sound = (0..<8).flatMap { _ in Self.encoded(Self.random(&generator)) }
            let bytes =
                Bool.random(using: &generator) || seed % 3 > 0
                ? generator.mutated(sound) : (0..<400).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let reader = ReplyReader(limits: limits)
            var rest = bytes[...]
            var fault: ReplyFault?
            while !rest.isEmpty, fault == nil {
                let piece = rest.prefix(Int.random(in: 1...2000, using: &generator))
                rest = rest.dropFirst(piece.count)
                var buffer = ByteBuffer(bytes: piece)
                fault = reader.read(&buffer) { _ in true }
                check(reader.bytesBuffered <= 4096 + 4096, "seed \(seed)")
            }
            if let fault {
                var more = ByteBuffer(string: "+OK\r\n")
                let still = reader.read(&more) { _ in true }
                check(still == fault, "seed \(seed)")
            }
        }
    }

    private func fault(_ text: String, _ change: (inout ReplyLimits) -> Void = { _ in }) -> ReplyFault? {
        var limits = ReplyLimits()
        change(&limits)
        var buffer = ByteBuffer(string: text)
        return ReplyReader(limits: limits).read(&buffer) { _ in true }
    }

    @Test("refuses what is too large as soon as its length is known, before its bytes come")
    func announced() {
        #expect(fault("$99999999999\r\n") == .tooLarge("bytes of a length of 8388608 or more"))
        #expect(fault("*99999999\r\n") == .tooLarge("reply of more than 65536 elements"))
        #expect(fault("*2\r\n*40000\r\n" + String(repeating: ":1\r\n", count: 40_000) + "*40000\r\n") != nil)
        #expect(fault("+" + String(repeating: "x", count: 20_000)) == .tooLarge("line of more than 16384 bytes"))
        #expect(fault("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n") != nil)
        #expect(fault("hello\r\n") != nil)
        #expect(fault("$5\r\nab") == nil)
    }

    @Test("stops where its caller does")
    func stops() {
        var buffer = ByteBuffer(string: "+A\r\n+B\r\n+C\r\n")
        var read: [RedisReply] = []
        _ = ReplyReader().read(&buffer) {
            read.append($0)
            return read.count < 2
        }
        #expect(read == [.status("A"), .status("B")])
    }
}

@Suite struct CommandBytesTests {
    @Test("the commands put together here are those of hiredis' formatter, byte for byte", arguments: 0..<200)
    func same(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        func bytes(_ most: Int) -> [UInt8] {
            (0..<Int.random(in: 0...most, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        let keys = (0..<Int.random(in: 2...30, using: &generator)).map { _ in bytes(120) }
        let value = bytes(3000)
        let milliseconds = Int.random(in: 1...10_000_000, using: &generator)
        let word = { (text: String) in Array(text.utf8) }
        #expect(RedisCommand.get(keys[0]).encoded == CommandBytes.formatted([word("GET"), keys[0]]))
        #expect(RedisCommand.get(keys).encoded == CommandBytes.formatted([word("MGET")] + keys))
        #expect(RedisCommand.delete(keys).encoded == CommandBytes.formatted([word("UNLINK")] + keys))
        #expect(
            RedisCommand.set(keys[0], value, milliseconds: nil).encoded
                == CommandBytes.formatted([word("SET"), keys[0], value]))
        #expect(
            RedisCommand.set(keys[0], value, milliseconds: milliseconds).encoded
                == CommandBytes.formatted([word("SET"), keys[0], value, word("PX"), word(String(milliseconds))]))
    }
}
