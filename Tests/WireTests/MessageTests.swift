import CWireMessages
import NIOCore
import Testing
import Vocabulary

@testable import Wire

/// protobuf-c decodes `bytes` as the message and encodes it again: the schema's own opinion of the bytes.
private func repack<M>(
    _ bytes: [UInt8], _ unpack: DecodeArena.Unpack<M>
) -> [UInt8]? {
    guard let message = unpack(nil, bytes.count, bytes) else { return nil }
    return message.withMemoryRebound(to: ProtobufCMessage.self, capacity: 1) { base in
        defer { protobuf_c_message_free_unpacked(base, nil) }
        var packed = [UInt8](repeating: 0, count: protobuf_c_message_get_packed_size(base))
        _ = protobuf_c_message_pack(base, &packed)
        return packed
    }
}

@Suite("Messages")
struct MessageTests {
    private let arena = DecodeArena(bytesMax: DecodeArena.replyBytesMax)

    /// decode(encode(x)) == x, and protobuf-c, which knows the schema, writes the same bytes.
    private func check<M: MessageBody & Equatable, C>(_ message: M, _ unpack: DecodeArena.Unpack<C>) throws {
        let body = message.encodedBody
        #expect(try M(decoding: body, arena: arena) == message)
        #expect(repack(Array(body.readableBytesView), unpack) == Array(body.readableBytesView))
    }

    @Test("every message decodes to what was encoded, and protobuf-c encodes it to the same bytes", arguments: 0..<300)
    func roundTrip(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        try check(random.hello(), martlet__v1__hello__unpack)
        try check(random.welcome(), martlet__v1__welcome__unpack)
        try check(Goaway(reason: random.text()), martlet__v1__goaway__unpack)
        try check(random.errorBody(), martlet__v1__error__unpack)
        try check(random.recommendRequest(), martlet__v1__recommend_request__unpack)
        try check(random.recommendReply(), martlet__v1__recommend_reply__unpack)
        try check(random.recommendManyRequest(), martlet__v1__recommend_many_request__unpack)
        try check(random.recommendManyReply(), martlet__v1__recommend_many_reply__unpack)
        try check(random.similarItemsRequest(), martlet__v1__similar_items_request__unpack)
        try check(random.similarItemsReply(), martlet__v1__similar_items_reply__unpack)
        try check(random.rankRequest(), martlet__v1__rank_request__unpack)
        try check(random.recordEventsRequest(), martlet__v1__record_events_request__unpack)
        try check(random.recordEventsReply(), martlet__v1__record_events_reply__unpack)
        try check(random.upsertItemsRequest(), martlet__v1__upsert_items_request__unpack)
        try check(random.deleteItemsRequest(), martlet__v1__delete_items_request__unpack)
        try check(random.setAvailabilityRequest(), martlet__v1__set_availability_request__unpack)
        try check(random.changeItemsReply(), martlet__v1__change_items_reply__unpack)
        try check(random.rankReply(), martlet__v1__rank_reply__unpack)
        try check(random.getItemRequest(), martlet__v1__get_item_request__unpack)
        try check(random.getItemReply(), martlet__v1__get_item_reply__unpack)
        try check(random.healthReply(), martlet__v1__health_reply__unpack)
        try check(random.listModelsReply(), martlet__v1__list_models_reply__unpack)
        try check(LoadModelRequest(path: random.text(least: 1)), martlet__v1__load_model_request__unpack)
        try check(random.loadModelReply(), martlet__v1__load_model_reply__unpack)
    }

    @Test("borrowed answers encode to the bytes of the value types", arguments: 0..<200)
    func borrowedFields(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let whole = random.recommendReply()
        var reply = whole
        (reply.generation, reply.model) = (0, "")
        withBytes(of: reply.items) { items in
            withBytes(of: reply.titles) { titles in
                withBytes(of: [reply.arm]) { texts in
                    reply.scores.withUnsafeBufferPointer { scores in
                        reply.nextCursor.withUnsafeBytes { cursor in
                            var fields = RecommendReplyFields(items: items, scores: scores)
                            fields.requestID = reply.requestID
                            fields.qualityLevel = UInt32(reply.qualityLevel)
                            fields.fallback = reply.fallback
                            fields.degraded = reply.degraded
                            fields.nextCursor = cursor
                            fields.titles = titles
                            fields.reasons = reply.reasons
                            fields.shares = reply.shares
                            fields.timings = reply.timings
                            fields.arm = texts[0]
                            fields.eligibleItems = UInt32(reply.eligibleItems)
                            fields.seed = reply.seed
                            fields.placements = reply.placements
                            fields.ranking = reply.ranking
                            reply.propensities.withUnsafeBufferPointer { propensities in
                                fields.propensities = propensities
                                #expect(encoded(fields) == encoded(reply))
                                let origin = RecommendReplyOrigin(generation: whole.generation, model: whole.model)
                                let bytes = ByteBuffer(bytes: encoded(fields) + encoded(origin))
                                #expect((try? RecommendReply(decoding: bytes, arena: arena)) == whole)
                            }
                        }
                    }
                }
            }
        }
        let many = random.recommendManyReply()
        withBytes(of: many.items) { items in
            withBytes(of: [many.model]) { texts in
                many.scores.withUnsafeBufferPointer { scores in
                    many.itemCounts.withUnsafeBufferPointer { counts in
                        many.fallbacks.map(\.rawValue).withUnsafeBufferPointer { fallbacks in
                            many.statuses.map { UInt32($0.rawValue) }.withUnsafeBufferPointer { statuses in
                                var fields = RecommendManyReplyFields(
                                    itemCounts: counts, items: items, scores: scores, fallbacks: fallbacks,
                                    statuses: statuses)
                                fields.generation = many.generation
                                fields.requestID = many.requestID
                                fields.qualityLevel = UInt32(many.qualityLevel)
                                fields.model = texts[0]
                                many.propensities.withUnsafeBufferPointer { propensities in
                                    fields.propensities = propensities
                                    #expect(encoded(fields) == encoded(many))
                                }
                            }
                        }
                    }
                }
            }
        }
        let similar = random.similarItemsReply()
        withBytes(of: similar.items) { items in
            withBytes(of: similar.titles) { titles in
                withBytes(of: [similar.model, similar.source]) { texts in
                    similar.scores.withUnsafeBufferPointer { scores in
                        var fields = SimilarItemsReplyFields(items: items, scores: scores)
                        fields.generation = similar.generation
                        fields.model = texts[0]
                        fields.source = texts[1]
                        fields.titles = titles
                        #expect(encoded(fields) == encoded(similar))
                    }
                }
            }
        }
    }

    @Test("a repeated number is read packed and one by one")
    func packedAndUnpacked() throws {
        // item_counts = 1, 2, 300; statuses = 0, 5, 0; fallbacks = 0, 1, 2; no items.
        let zero: [UInt8] = [0x0A, 3, 0, 0, 0, 0x22, 3, 0, 1, 2, 0x2A, 3, 0, 5, 0]
        let packed = try RecommendManyReply(decoding: ByteBuffer(bytes: zero), arena: arena)
        let single: [UInt8] = [8, 0, 8, 0, 8, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0x28, 0, 0x28, 5, 0x28, 0]
        #expect(try RecommendManyReply(decoding: ByteBuffer(bytes: single), arena: arena) == packed)
        #expect(packed.statuses == [.ok, .notFound, .ok])
        #expect(packed.fallbacks == [.none, .noHistory, .unknownUser])
        let degraded = try RecommendReply(
            decoding: ByteBuffer(bytes: [0x30, 1, 0x32, 2, 3, 4, 0x30, 99]), arena: arena)
        #expect(degraded.degraded == [.sourceUnavailable, .cursorRestarted, .shortSlate])
    }

    @Test("unknown fields are skipped, and a field given twice counts as given last")
    func unknownFields() throws {
        let known = RecommendRequest(user: "a", k: 3)
        var body = Array(known.encodedBody.readableBytesView)
        body += [0xA2, 0x06, 2, 1, 2]  // field 100, two bytes
        body += [0xA8, 0x06, 0x96, 1]  // field 101, a varint
        body += [0x12, 1, UInt8(ascii: "b")]  // user again
        let decoded = try RecommendRequest(decoding: ByteBuffer(bytes: body), arena: arena)
        #expect(decoded == RecommendRequest(user: "b", k: 3))
    }

    @Test("columns of different lengths are refused")
    func unevenColumns() {
        var reply = RecommendReply()
        reply.items = ["a", "b"]
        reply.scores = [1]
        #expect(throws: MessageFault.self) { try RecommendReply(decoding: reply.encodedBody, arena: arena) }
        reply.scores = [1, 2]
        reply.titles = ["A"]
        #expect(throws: MessageFault.self) { try RecommendReply(decoding: reply.encodedBody, arena: arena) }
        var many = RecommendManyReply()
        many.itemCounts = [2]
        many.fallbacks = [.none]
        many.statuses = [.ok]
        #expect(throws: MessageFault.self) { try RecommendManyReply(decoding: many.encodedBody, arena: arena) }
    }
}

func encoded(_ message: some ProtoEncodable) -> [UInt8] {
    let count = message.encodedByteCount
    return [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
        if let base = memory.baseAddress { message.encode(into: UnsafeMutableRawPointer(base), byteCount: count) }
        initialized = count
    }
}

/// The UTF-8 of each text, in memory that lives as long as the call.
func withBytes<R>(
    of texts: [String], _ body: (UnsafeBufferPointer<UnsafeRawBufferPointer>) throws -> R
) rethrows -> R {
    let copies = texts.map { text -> UnsafeMutableRawBufferPointer in
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(text.utf8.count, 1), alignment: 1)
        copy.copyBytes(from: Array(text.utf8))
        return UnsafeMutableRawBufferPointer(start: copy.baseAddress, count: text.utf8.count)
    }
    defer { for copy in copies { copy.deallocate() } }
    return try copies.map { UnsafeRawBufferPointer($0) }.withUnsafeBufferPointer(body)
}
