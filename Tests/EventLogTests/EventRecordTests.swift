import TestSupport
import Testing
import Vocabulary

@testable import EventLog

@Suite(.ownThreads) struct EventRecordTests {
    static func events(_ count: Int, _ random: inout SeededGenerator) -> [UserEvent] {
        func text(_ most: Int) -> String {
            String(
                (0..<Int.random(in: 0...most, using: &random)).map { _ in "aé日b c".randomElement(using: &random) ?? "x"
                })
        }
        return (0..<count).map { _ in
            UserEvent(
                user: text(20), item: text(20), type: text(9),
                value: Bool.random(using: &random) ? nil : Float.random(in: -9...9, using: &random),
                timeMilliseconds: UInt64.random(in: 0...(.max), using: &random)
                    >> UInt64.random(in: 0...63, using: &random),
                scenario: text(5), requestID: text(5), id: text(5))
        }
    }

    @Test("events come back as they were", arguments: [0, 1, 7, 1000])
    func roundTrip(count: Int) throws {
        var random = SeededGenerator(seed: UInt64(count))
        let events = Self.events(count, &random)
        let bytes = EventRecord.encode(events)
        #expect(try EventRecord.decode(bytes[...]) == events)
        // As a part of something larger, as readers find it.
        let inside = [1, 2, 3] + bytes
        #expect(try EventRecord.decode(inside[3...]) == events)
    }

    @Test("mutated and truncated bytes are refused or decoded, never more", arguments: 0..<4)
    func mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var bytes = EventRecord.encode(Self.events(3, &random))
            for _ in 0..<Int.random(in: 1...4, using: &random) { bytes = random.mutated(bytes) }
            _ = try? EventRecord.decode(bytes[...])
        }
        #expect(throws: LogError.self) { try EventRecord.decode([]) }
        #expect(throws: LogError.self) { try EventRecord.decode([2, 0]) }
        #expect(throws: LogError.self) { try EventRecord.decode([1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]) }
        #expect(try EventRecord.decode([1, 0]) == [])
    }
}
