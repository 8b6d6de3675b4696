import NIOCore
import Testing
import Vocabulary

@testable import Wire

@Suite("Frames")
struct FrameTests {
    private func bytes(_ header: FrameHeader) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeHeader(header)
        return Array(buffer.readableBytesView)
    }

    private func parse(_ bytes: [UInt8], frameBytesMax: Int = 1 << 20) throws(FrameError) -> FrameHeader {
        let result = bytes.withUnsafeBytes { memory -> Result<FrameHeader, FrameError> in
            guard let base = memory.baseAddress else { return .failure(.tooSmall(length: 0)) }
            do throws(FrameError) {
                return .success(try FrameHeader(reading: base, frameBytesMax: frameBytesMax))
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    @Test("a header reads back as it was written", arguments: 0..<500)
    func headerRoundTrip(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let header = FrameHeader(
            kind: FrameKind.allCases.randomElement(using: &random) ?? .call, code: random.integer(UInt8.self),
            flags: random.integer(UInt8.self), callID: random.integer(UInt32.self),
            microseconds: random.integer(UInt32.self), slotOrLoad: random.integer(UInt16.self),
            extensionBytes: random.integer(UInt16.self), bodyBytes: Int.random(in: 0...900_000, using: &random))
        #expect(try parse(bytes(header)) == header)
    }

    @Test("the layout of a header is the documented one")
    func layout() {
        let header = FrameHeader(
            kind: .call, code: 2, flags: 3, callID: 0x0102_0304, microseconds: 0x0506_0708, slotOrLoad: 0x090A,
            extensionBytes: 0x001A, bodyBytes: 6)
        #expect(
            bytes(header) == [0, 0, 0, 48, 1, 3, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 26])
    }

    @Test("bad headers are named")
    func badHeaders() throws {
        var good = bytes(.bare(.ping, id: 7))
        #expect(try parse(good).kind == .ping)
        good[4] = 2
        #expect(throws: FrameError.badVersion(2)) { try parse(good) }
        good[4] = 1
        good[3] = 15
        #expect(throws: FrameError.tooSmall(length: 15)) { try parse(good) }
        good[3] = 16
        good[19] = 1
        #expect(throws: FrameError.extensionTooLong(extensionBytes: 1, length: 16)) { try parse(good) }
        good[19] = 0
        good[1] = 0x10
        #expect(throws: FrameError.tooLarge(length: 0x10_0010, frameBytesMax: 1 << 20)) { try parse(good) }
        good[1] = 0
        good[5] = 99
        #expect(try parse(good).kind == nil)
        #expect(try parse(good).rawKind == 99)
    }

    /// A stream of frames with random headers, extensions and bodies.
    private func stream(_ random: inout SeededGenerator, frames: Int) -> (bytes: [UInt8], frames: [[UInt8]]) {
        var all: [UInt8] = []
        var list: [[UInt8]] = []
        for _ in 0..<frames {
            let extra = random.bytes(random.chance(3) ? Int.random(in: 0...40, using: &random) : 0)
            let body = random.bytes(Int.random(in: 0...(random.chance(20) ? 9000 : 60), using: &random))
            let header = FrameHeader(
                kind: .call, callID: random.integer(UInt32.self), extensionBytes: UInt16(extra.count),
                bodyBytes: body.count)
            list.append(bytes(header) + extra + body)
            all += bytes(header) + extra + body
        }
        return (all, list)
    }

    @Test("a stream cut anywhere gives the same frames, by the decoder and by the scanner", arguments: 0..<100)
    func incremental(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let (all, expected) = stream(&random, frames: 30)
        var decoder = FrameDecoder()
        var scanned: [[UInt8]] = []
        var decoded: [[UInt8]] = []
        var kept: [UInt8] = []
        var position = 0
        while position < all.count {
            let count = min(Int.random(in: 1...(random.chance(2) ? 30 : 4000), using: &random), all.count - position)
            let piece = Array(all[position..<(position + count)])
            position += count
            decoder.feed(ByteBuffer(bytes: piece))
            while let frame = try decoder.next() {
                decoded.append(
                    bytes(frame.header) + Array(frame.extensionBytes.readableBytesView)
                        + Array(frame.body.readableBytesView))
            }
            kept += piece
            let consumed = try kept.withUnsafeBytes { memory in
                var scanner = FrameScanner(memory, frameBytesMax: 1 << 20)
                while let view = try scanner.next() {
                    scanned.append(bytes(view.header) + Array(view.extensionBytes) + Array(view.body))
                }
                #expect(scanner.bytesWanted > memory.count - scanner.consumed)
                return scanner.consumed
            }
            kept.removeFirst(consumed)
        }
        #expect(decoded == expected)
        #expect(scanned == expected)
        #expect(decoder.pendingBytes == 0)
        #expect(kept.isEmpty)
    }

    @Test("the decoder refuses a large frame at its header and stays refused")
    func oversized() {
        var decoder = FrameDecoder(frameBytesMax: 100)
        decoder.feed(ByteBuffer(bytes: bytes(.bare(.ping, id: 1))))
        decoder.feed(ByteBuffer(bytes: bytes(FrameHeader(kind: .call, bodyBytes: 100))))
        #expect((try? decoder.next())??.header.kind == .ping)
        #expect(throws: FrameError.tooLarge(length: 116, frameBytesMax: 100)) { try decoder.next() }
        decoder.feed(ByteBuffer(bytes: bytes(.bare(.ping, id: 1))))
        #expect(throws: FrameError.tooLarge(length: 116, frameBytesMax: 100)) { try decoder.next() }
        #expect(decoder.pendingBytes == 0)
    }

    @Test("a trace context survives the extension, and bytes after it are skipped")
    func traceContext() throws {
        let trace = TraceContext(
            traceIDHigh: 0x4bf9_2f35_77b3_4da6, traceIDLow: 0xa3ce_929d_0e0e_4736, parentID: 0x00f0_67aa_0ba9_02b7,
            flags: 1)
        var buffer = ByteBuffer()
        RecommendRequest(user: "a").writeFrame(.call(.recommend, id: 1, bodyBytes: 0), trace: trace, to: &buffer)
        let whole = Array(buffer.readableBytesView)
        try whole.withUnsafeBytes { memory in
            var scanner = FrameScanner(memory, frameBytesMax: 1000)
            let view = try #require(try scanner.next())
            #expect(view.traceContext == trace)
            #expect(Array(view.body) == [0x12, 1, UInt8(ascii: "a")])
        }
        let longer = Array(whole[20..<46]) + [9, 9]
        longer.withUnsafeBytes { #expect(TraceContext(reading: $0) == trace) }
        let zero = [UInt8](repeating: 0, count: 26)
        zero.withUnsafeBytes { #expect(TraceContext(reading: $0) == nil) }
        longer.prefix(25).withUnsafeBytes { #expect(TraceContext(reading: $0) == nil) }
    }
}
