import NIOCore
import Testing
import Vocabulary

@testable import Wire

/// Ways in which bytes go wrong between two programs.
struct Mutator {
    var random: SeededGenerator

    mutating func mutate(_ original: [UInt8], other: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: bytes = Array(bytes.prefix(at))
            case 1: if at < bytes.count { bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            case 2: if at < bytes.count { bytes[at] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0 }
            case 3: bytes.insert(contentsOf: random.bytes(Int.random(in: 1...8, using: &random)), at: at)
            case 4: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 0...6, using: &random)))
            case 5: bytes.insert(contentsOf: bytes.prefix(at), at: at)
            case 6: bytes = bytes.prefix(at) + other.suffix(Int.random(in: 0...other.count, using: &random))
            default: if at < bytes.count { bytes[at] = UInt8.random(in: 0...255, using: &random) }
            }
        }
        return bytes
    }
}

@Suite("Mutated bytes")
struct MutationTests {
    /// Decodes `count` mutated and some random bodies; what decodes must encode and decode again.
    private func bombard<M: MessageBody & Equatable>(
        _ count: Int, seed: UInt64, _ make: (inout SeededGenerator) -> M
    ) throws -> (accepted: Int, refused: Int) {
        let arena = DecodeArena()
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        var accepted = 0
        var seeds = (0..<32).map { _ in encoded(make(&mutator.random)) }
        seeds.append([])
        for _ in 0..<count {
            let original = seeds.randomElement(using: &mutator.random) ?? []
            let other = seeds.randomElement(using: &mutator.random) ?? []
            let bytes =
                mutator.random.chance(20)
                ? mutator.random.bytes(Int.random(in: 0...200, using: &mutator.random))
                : mutator.mutate(original, other: other)
            // A copy of exactly this size, so that a read past the end is seen by the address sanitizer.
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
            defer { copy.deallocate() }
            copy.copyBytes(from: bytes)
            let exact = UnsafeRawBufferPointer(rebasing: copy[0..<bytes.count])
            guard let message = try? M(decoding: exact, arena: arena) else { continue }
            accepted += 1
            #expect(arena.bytesTaken <= min(DecodeArena.requestBytesMax, 32 * bytes.count + 4096) + 8)
            if accepted % 16 == 0 {
                // Text that was not UTF-8 has become U+FFFD, so the second reading is the stable one.
                let again = try M(decoding: ByteBuffer(bytes: encoded(message)), arena: arena)
                #expect(encoded(again) == encoded(message))
            }
        }
        return (accepted, count - accepted)
    }

    @Test("mutated requests are refused or decoded, never more", arguments: 0..<3)
    func requests(seed: UInt64) throws {
        let results = [
            try bombard(12_000, seed: seed) { $0.recommendRequest() },
            try bombard(12_000, seed: seed) { $0.recommendManyRequest() },
            try bombard(12_000, seed: seed) { $0.similarItemsRequest() },
            try bombard(6_000, seed: seed) { $0.rankRequest() },
            try bombard(6_000, seed: seed) { $0.recordEventsRequest() },
            try bombard(6_000, seed: seed) { $0.recordEventsReply() },
            try bombard(6_000, seed: seed) { $0.upsertItemsRequest() },
            try bombard(6_000, seed: seed) { $0.deleteItemsRequest() },
            try bombard(6_000, seed: seed) { $0.setAvailabilityRequest() },
            try bombard(6_000, seed: seed) { $0.changeItemsReply() },
            try bombard(6_000, seed: seed) { $0.getItemRequest() },
            try bombard(6_000, seed: seed) { LoadModelRequest(path: $0.text(least: 1)) },
            try bombard(6_000, seed: seed) { $0.hello() },
        ]
        // The mutations reach both sides of the decision.
        for result in results { #expect(result.accepted > 100 && result.refused > 100) }
    }

    @Test("mutated answers are refused or decoded, never more", arguments: 0..<3)
    func replies(seed: UInt64) throws {
        _ = try bombard(12_000, seed: seed) { $0.recommendReply() }
        _ = try bombard(12_000, seed: seed) { $0.recommendManyReply() }
        _ = try bombard(6_000, seed: seed) { $0.similarItemsReply() }
        _ = try bombard(6_000, seed: seed) { $0.rankReply() }
        _ = try bombard(6_000, seed: seed) { $0.getItemReply() }
        _ = try bombard(6_000, seed: seed) { $0.healthReply() }
        _ = try bombard(6_000, seed: seed) { $0.listModelsReply() }
        _ = try bombard(6_000, seed: seed) { $0.loadModelReply() }
        _ = try bombard(6_000, seed: seed) { $0.welcome() }
        _ = try bombard(6_000, seed: seed) { $0.errorBody() }
    }

    @Test("every truncation of a request is refused or decoded")
    func truncations() throws {
        let arena = DecodeArena()
        var random = SeededGenerator(seed: 5)
        for _ in 0..<50 {
            let whole = encoded(random.recommendRequest())
            for count in 0...whole.count {
                let request = try? RecommendRequest(decoding: ByteBuffer(bytes: whole.prefix(count)), arena: arena)
                if count == whole.count { #expect(request != nil) }
            }
        }
    }

    @Test("a mutated stream gives frames or one lasting error, and holds no more than one frame", arguments: 0..<40)
    func streams(seed: UInt64) {
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        for _ in 0..<50 {
            var stream: [UInt8] = []
            for id in 0..<UInt32(20) {
                var buffer = ByteBuffer()
                mutator.random.recommendRequest().writeFrame(
                    .call(.recommend, id: id, bodyBytes: 0), to: &buffer)
                stream += Array(buffer.readableBytesView)
            }
            stream = mutator.mutate(stream, other: stream)
            var decoder = FrameDecoder(frameBytesMax: 4096)
            var failed = false
            for start in stride(from: 0, to: stream.count, by: 700) {
                decoder.feed(ByteBuffer(bytes: stream[start..<min(start + 700, stream.count)]))
                do {
                    while let frame = try decoder.next() {
                        #expect(!failed)
                        #expect(frame.body.readableBytes == frame.header.bodyBytes)
                    }
                } catch {
                    failed = true
                }
                #expect(decoder.pendingBytes <= 4096 + 4 + 700)
            }
        }
    }
}

@Suite("DecodeArena")
struct DecodeArenaTests {
    @Test("the largest allowed exclude list decodes")
    func largestExcludeList() throws {
        var request = RecommendRequest(user: "u", k: 1000)
        request.excludeItems = (0..<RequestLimits.excludeItemsMax).map { "i\($0)" }
        #expect(try RecommendRequest(decoding: request.encodedBody, arena: DecodeArena()) == request)
        request.excludeItems.append("x")
        #expect(throws: MessageFault.self) {
            try RecommendRequest(decoding: request.encodedBody, arena: DecodeArena())
        }
    }

    @Test("short and long requests decode within the budget", arguments: [1, 2, 3, 7, 20, 100, 500, 1010, 4090, 8200])
    func budget(excluded: Int) throws {
        for idBytes in [1, 2, 3, 8, 40] {
            var request = RecommendRequest(user: "u")
            request.excludeItems = (0..<excluded).map { _ in String(repeating: "i", count: idBytes) }
            #expect(try RecommendRequest(decoding: request.encodedBody, arena: DecodeArena()) == request)
        }
    }

    @Test("a full frame of the cheapest elements is refused for what it would take")
    func expensive() {
        let arena = DecodeArena()
        let body = [UInt8](repeating: 0, count: 1 << 20).enumerated().map { $0.offset % 2 == 0 ? 0x2A as UInt8 : 0 }
        #expect(throws: MessageFault.self) { try RecommendRequest(decoding: ByteBuffer(bytes: body), arena: arena) }
        #expect(arena.bytesTaken <= DecodeArena.requestBytesMax + 8)
        arena.reset(forMessageBytes: 10)
        #expect(arena.bytesTaken == 0)
    }

    @Test("the limits of each field hold")
    func limits() throws {
        let arena = DecodeArena()
        func fault(_ change: (inout RecommendRequest) -> Void) -> String? {
            var request = RecommendRequest(user: "u")
            change(&request)
            do {
                _ = try RecommendRequest(decoding: request.encodedBody, arena: arena)
                return nil
            } catch { return error.message }
        }
        let long = String(repeating: "x", count: 256)
        #expect(fault { $0.user = String(repeating: "x", count: 255) } == nil)
        #expect(fault { $0.user = long } == "user has 256 bytes; at most 255 are allowed")
        #expect(fault { $0.user = "" } == "user is missing or empty; 1 to 255 bytes are allowed")
        #expect(fault { $0.k = 1001 } == "k is 1001; allowed: 0 (the default) to 1000")
        #expect(fault { $0.tenant = long } == "tenant has 256 bytes; at most 255 are allowed")
        #expect(fault { $0.scenario = long } == "scenario has 256 bytes; at most 255 are allowed")
        #expect(
            fault { $0.excludeItems = ["a", ""] } == "exclude_items[1] is missing or empty; 1 to 255 bytes are allowed")
        #expect(
            fault { $0.filter.noTag = (0..<65).map(String.init) }
                == "filter.no_tag has 65 entries; at most 64 are allowed")
        #expect(
            fault { $0.filter.conditions = (0..<17).map { AttributeCondition("a\($0)", min: 0) } }
                == "filter.conditions has 17 entries; at most 16 are allowed")
        func condition(_ condition: AttributeCondition) -> String? {
            fault { $0.filter.conditions = [AttributeCondition("b", anyOf: ["x"]), condition] }
        }
        let values = (0..<129).map(String.init)
        #expect(
            condition(AttributeCondition("a", anyOf: values))
                == "filter.conditions.any_of has 129 entries; at most 128 are allowed")
        #expect(
            condition(AttributeCondition("a", noneOf: values))
                == "filter.conditions.none_of has 129 entries; at most 128 are allowed")
        #expect(
            condition(AttributeCondition("", min: 1))
                == "filter.conditions.attribute is missing or empty; 1 to 255 bytes are allowed")
        #expect(condition(AttributeCondition("a", anyOf: [long]))?.contains("any_of[0] has 256 bytes") == true)
        #expect(condition(AttributeCondition("a", max: .nan)) == "filter.conditions[1].max is not a number")
        #expect(
            condition(AttributeCondition("a"))
                == "filter.conditions[1] asks nothing of 'a'; give any_of, none_of, min or max")
        #expect(condition(AttributeCondition("a", min: 0)) == nil)
        // The largest filter is within the memory of a request.
        let full = Array(values.dropLast())
        #expect(
            fault {
                $0.filter.conditions = (0..<16).map { AttributeCondition("a\($0)", anyOf: full, noneOf: full, min: 0) }
            } == nil)
        #expect(fault { $0.context = [ContextEntry(key: "", value: "v")] } != nil)
        #expect(
            fault { $0.cursor = [UInt8](repeating: 0, count: 4097) }
                == "cursor has 4097 bytes; at most 4096 are allowed"
        )
        #expect(fault { $0.pins = [Pin(item: "a", place: 1), Pin(item: "b", place: 1000)] } == nil)
        #expect(
            fault { $0.pins = [Pin(item: "", place: 1)] } == "pins.item is missing or empty; 1 to 255 bytes are allowed"
        )
        #expect(fault { $0.pins = [Pin(item: "a", place: 0)] } == "pins[0].place is 0; allowed: 1 to 1000")
        #expect(fault { $0.pins = [Pin(item: "a", place: 1001)] } == "pins[0].place is 1001; allowed: 1 to 1000")
        for other in [Pin(item: "a", place: 2), Pin(item: "b", place: 1)] {
            #expect(
                fault { $0.pins = [Pin(item: "a", place: 1), other] }
                    == "pins[1] names the place or the item of another pin")
        }
        #expect(
            fault { $0.pins = (1...17).map { Pin(item: "i\($0)", place: $0) } }
                == "pins has 17 entries; at most 16 are allowed")
        var body = encoded(RecommendRequest(user: "ab"))
        body[2] = 0xFF
        #expect(throws: MessageFault("user is not valid UTF-8")) {
            try RecommendRequest(decoding: ByteBuffer(bytes: body), arena: arena)
        }
        #expect(throws: MessageFault.self) {
            try RecommendManyRequest(decoding: RecommendManyRequest(users: []).encodedBody, arena: arena)
        }
        let many = RecommendManyRequest(users: (0..<1025).map { "\($0)" })
        #expect(throws: MessageFault("users has 1025 entries; at most 1024 are allowed")) {
            try RecommendManyRequest(decoding: many.encodedBody, arena: arena)
        }
    }

    @Test("an ID keeps an embedded NUL")
    func embeddedNUL() throws {
        let request = RecommendRequest(user: "a\0b")
        #expect(try RecommendRequest(decoding: request.encodedBody, arena: DecodeArena()).user == "a\0b")
    }

    @Test("the UTF-8 check agrees with the standard library", arguments: 0..<8)
    func utf8(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var valid = 0
        for _ in 0..<20_000 {
            var bytes = Array(random.text(most: 30).utf8)
            if !bytes.isEmpty, !random.chance(3) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                bytes[at] = UInt8.random(in: 0...255, using: &random)
            }
            if random.chance(10) {
                bytes = [UInt8.random(in: 0xE0...0xFF, using: &random)] + random.bytes(3)
            }
            let expected = String(validating: bytes, as: UTF8.self) != nil
            #expect(bytes.withUnsafeBytes { UTF8Check.isValid($0) } == expected, "\(bytes)")
            if expected { valid += 1 }
        }
        #expect(valid > 1000)
    }
}
