import TestSupport
import Testing

@testable import LiveState

@Suite(.ownThreads) struct RecentEventsTests {
    private static func key(_ number: UInt64) -> RecentEvents.Key { RecentEvents.Key(hash: number) }

    @Test("The last events are known, older ones are not, and hashes may crowd", arguments: [1, 2, 10, 1000])
    func window(capacity: Int) throws {
        var random = SeededGenerator(seed: UInt64(capacity))
        let recent = try RecentEvents(capacity: capacity, seed: 1)
        var model: [UInt64] = []
        for step in 0..<(capacity * 20 + 500) {
            // Few different lowest bits: long runs, wrapping around.
            let hash =
                UInt64.random(in: 0..<UInt64(capacity * 3), using: &random) << 32 | ~UInt64(step % 3) & 0xFFFF_FFFF
            let isNew = !model.contains(hash)
            #expect(recent.contains(Self.key(hash)) == !isNew)
            #expect(recent.insert(Self.key(hash)) == isNew)
            if isNew { model.append(hash) }
            if model.count > capacity { model.removeFirst() }
            #expect(recent.count == model.count)
            if capacity <= 10 || step % 100 == 0 { #expect(model.allSatisfy { recent.contains(Self.key($0)) }) }
        }
    }

    @Test("Events are told apart by user, ID and seed")
    func keys() throws {
        func key(_ user: String, _ event: String, seed: UInt64) throws -> RecentEvents.Key {
            let recent = try RecentEvents(capacity: 1, seed: seed)
            return Array(user.utf8).withUnsafeBytes { user in
                Array(event.utf8).withUnsafeBytes { recent.key(user: user, event: $0) }
            }
        }
        #expect(try key("u", "e", seed: 1) == key("u", "e", seed: 1))
        let keys = try Set([
            key("u", "e", seed: 1), key("u", "f", seed: 1), key("v", "e", seed: 1), key("u", "e", seed: 2),
            key("ue", "", seed: 1), key("", "ue", seed: 1),
        ])
        #expect(keys.count == 6)
    }

    @Test("What was written is read back; a smaller window takes the newest")
    func roundTrip() throws {
        for count in [0, 5, 100, 237] as [UInt64] {
            let recent = try RecentEvents(capacity: 100, seed: 77)
            for number in 0..<count { recent.insert(Self.key(number &* 0x9E37_79B9_7F4A_7C15)) }
            var bytes: [UInt8] = []
            recent.serialise(into: &bytes)
            for capacity in [30, 100, 1000] {
                let copy = try RecentEvents(capacity: capacity, seed: 1)
                copy.insert(Self.key(12345))
                try copy.load(bytes)
                #expect(copy.seed == 77)
                #expect(copy.count == min(capacity, recent.count))
                #expect(!copy.contains(Self.key(12345)))
                for number in 0..<count {
                    let isNew = count - number <= UInt64(min(capacity, 100))
                    #expect(copy.contains(Self.key(number &* 0x9E37_79B9_7F4A_7C15)) == isNew)
                }
                var again: [UInt8] = []
                copy.serialise(into: &again)
                if capacity >= 100 { #expect(again == bytes) }
            }
        }
    }

    @Test("Bytes with a fault are refused")
    func mutated() throws {
        var random = SeededGenerator(seed: 8)
        let recent = try RecentEvents(capacity: 50, seed: 3)
        for number in 0..<40 as Range<UInt64> { recent.insert(Self.key(number)) }
        var sound: [UInt8] = []
        recent.serialise(into: &sound)
        let copy = try RecentEvents(capacity: 50, seed: 4)
        for round in 0..<2000 {
            let bytes = round < sound.count ? Array(sound.prefix(round)) : random.mutated(sound)
            do throws(LiveStateError) { try copy.load(bytes) } catch { #expect(!error.fault.isEmpty) }
            copy.insert(Self.key(UInt64(round) << 20))
            #expect(copy.contains(Self.key(UInt64(round) << 20)))
        }
        for capacity in [0, -1, 1 << 29] {
            #expect(throws: LiveStateError.self) { try RecentEvents(capacity: capacity, seed: 1) }
        }
        var double = sound
        double.replaceSubrange(24..<32, with: sound[32..<40])
        #expect(throws: LiveStateError.self) { try copy.load(double) }
    }
}
