import TestSupport
import Testing
import Vocabulary

@testable import LiveState

@Suite("Bytes of live state, planned and counted", .ownThreads)
struct PlannedBytesTests {
    @Test(
        "users of many events take what is planned", arguments: [(1_000, 5), (40_000, 10), (20_000, 60), (3_000, 140)])
    func users(count: Int, events: Int) throws {
        var random = SeededGenerator(seed: 7)
        let states = try UserStates(types: EventTypes(EventTypes.standardTypes))
        let items: UInt32 = 100_000
        for event in 0..<events {
            for number in 0..<count {
                let seconds = 1_700_000_000 + UInt32(event) * 40_000 + UInt32.random(in: 0..<30_000, using: &random)
                var id = "u\(1_000_000 + number)"
                id.withUTF8 {
                    _ = states.apply(
                        HistoryEvent(
                            item: .random(in: 0..<items, using: &random), type: 2, seconds: seconds, value: nil),
                        user: UnsafeRawBufferPointer($0), now: 1_800_000_000)
                }
            }
        }
        let planned = UserStates.byteCount(users: count, idBytes: 8, events: Double(events), items: Int(items))
        let taken = states.statistics.bytes
        #expect(abs(Double(planned - taken)) / Double(taken) < 0.05, "planned \(planned), taken \(taken)")
    }

    @Test("states that may not grow make room for new users, and may grow again")
    func growth() throws {
        let states = try UserStates(types: EventTypes(EventTypes.standardTypes))
        func add(_ numbers: Range<Int>) {
            for number in numbers {
                var id = "user-\(number)"
                id.withUTF8 {
                    _ = states.apply(
                        HistoryEvent(item: 1, type: 2, seconds: 1_700_000_000, value: nil),
                        user: UnsafeRawBufferPointer($0), now: 1_700_000_000)
                }
            }
        }
        add(0..<5_000)
        let bytes = states.statistics.bytes
        states.setGrowth(false)
        add(5_000..<10_000)
        #expect(states.statistics.bytes <= bytes)
        #expect(states.statistics.usersEvicted > 0)
        states.setGrowth(true)
        add(10_000..<20_000)
        #expect(states.statistics.bytes > bytes)
    }

    @Test("numbers of items take what is planned", arguments: [0, 1, 700, 70_000, 250_000])
    func numbers(count: Int) throws {
        let numbers = try ItemNumbers(countMax: 1_000_000)
        for number in 0..<count { _ = numbers.numberAdding("i\(100_000 + number)") }
        let planned = ItemNumbers.byteCount(items: count, idBytes: 7, countMax: 1_000_000)
        #expect(planned >= numbers.bytes - (1 << 20) && planned <= numbers.bytes + (1 << 20))
        if count > 10_000 { #expect(abs(Double(planned - numbers.bytes)) / Double(numbers.bytes) < 0.15) }
    }
}
