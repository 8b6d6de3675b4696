import TestSupport
import Testing
import Vocabulary

@testable import LiveState

@Suite(.ownThreads) struct BlobMemoryTests {
    @Test("Every user has a block of its own that holds it, while others move", arguments: 1...3)
    func blocks(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let slots = 50..<52
        let states = try UserStates(
            UserStatesConfiguration(historyMax: 40, seenMax: 500), types: UserStatesTests.types(), slots: slots)
        let users = EvictionTests.users(40, in: slots)
        for step in 0..<4000 {
            let now = UserStatesTests.start + UInt32(step) * 100
            let user = users[Int.random(in: 0..<users.count, using: &random)]
            if step % 50 == 49 {
                var user = user
                _ = user.withUTF8 { states.remove(user: UnsafeRawBufferPointer($0)) }
            } else {
                let event = UserStatesTests.event(&random, now: now, items: 1000, typeCount: states.types.count)
                states.apply(event, user, now: now)
            }
            var blocks: [Range<UInt>] = []
            var ids = Set<String>()
            for slot in slots {
                states.forEachBlob(Slot(UInt16(slot))) { blob in
                    let start = UInt(bitPattern: blob.base)
                    blocks.append(start..<(start + UInt(blob.capacity)))
                    ids.insert(String(decoding: blob.id, as: UTF8.self))
                    #expect(blob.usedBytes + UserBlob.slackBytes <= Int(blob.capacity))
                }
            }
            blocks.sort { $0.lowerBound < $1.lowerBound }
            #expect(zip(blocks, blocks.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }, "step \(step)")
            #expect(ids.count == blocks.count && ids.count == states.statistics.users, "step \(step)")
            #expect(ids.isSubset(of: Set(users)))
        }
    }

    @Test("Memory of users who went is given back")
    func chunks() throws {
        let states = try UserStates(types: UserStatesTests.types())
        let now = UserStatesTests.start
        for user in 0..<5000 {
            for item in 0..<10 as Range<UInt32> {
                states.apply(HistoryEvent(item: item, type: 1, seconds: now), "user \(user)", now: now)
            }
        }
        let full = states.statistics
        let held = full.bytes - Slot.count * 16
        #expect(full.chunkBytes < held + 55 * (64 << 10))
        for slot in 0..<Slot.count { states.removeAll(Slot(UInt16(slot))) }
        #expect(states.statistics.users == 0)
        #expect(states.statistics.chunkBytes <= 55 * (64 << 10))
        #expect(states.statistics.bytes == states.countedBytes)
    }
}
