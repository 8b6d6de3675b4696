import TestSupport
import Testing

@testable import LiveState

@Suite(.ownThreads) struct ItemNumbersTests {
    private static func name(_ number: Int) -> String { number % 7 == 0 ? "größer \(number)" : "i\(number &* 7919)" }

    @Test("Items keep their numbers while the table grows")
    func numbers() throws {
        let numbers = try ItemNumbers()
        for number in 0..<20_000 {
            #expect(numbers.number(of: Self.name(number)) == nil)
            #expect(numbers.numberAdding(Self.name(number)) == UInt32(number))
            #expect(numbers.numberAdding(Self.name(number / 2)) == UInt32(number / 2))
        }
        #expect(numbers.count == 20_000)
        for number in 0..<20_000 {
            #expect(numbers.number(of: Self.name(number)) == UInt32(number))
            #expect(numbers.id(UInt32(number)).map { String(decoding: $0, as: UTF8.self) } == Self.name(number))
        }
        #expect(numbers.id(20_000) == nil)
        #expect(numbers.id(.max) == nil)
    }

    @Test("IDs of every length lie whole in their blocks")
    func lengths() throws {
        let numbers = try ItemNumbers()
        var random = SeededGenerator(seed: 3)
        var names: [String] = []
        for number in 0..<9000 {
            let head = "\(number) "
            names.append(head + String(repeating: "x", count: Int.random(in: 0...(255 - head.count), using: &random)))
            #expect(numbers.numberAdding(names[number]) == UInt32(number))
        }
        for (number, name) in names.enumerated() {
            #expect(numbers.id(UInt32(number)).map { String(decoding: $0, as: UTF8.self) } == name)
        }
    }

    @Test("Items beyond the bound are refused and counted; known ones are not")
    func bound() throws {
        let numbers = try ItemNumbers(countMax: 3)
        for name in ["a", "b", "c"] { #expect(numbers.numberAdding(name) != nil) }
        #expect(numbers.numberAdding("d") == nil)
        #expect(numbers.numberAdding("e") == nil)
        #expect(numbers.numberAdding("a") == 0)
        #expect(numbers.refused == 2)
        #expect(numbers.count == 3)
        #expect(throws: LiveStateError.self) { try ItemNumbers(countMax: 0) }
    }

    @Test("Threads that add and look up at once agree on every number")
    func threads() async throws {
        let numbers = try ItemNumbers()
        let found = await withTaskGroup(of: [UInt32].self) { group in
            for thread in 0..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(thread))
                    for number in (0..<5000).shuffled(using: &random) {
                        guard let given = numbers.numberAdding(Self.name(number)) else { return [] }
                        guard numbers.number(of: Self.name(number)) == given,
                            numbers.id(given).map({ String(decoding: $0, as: UTF8.self) }) == Self.name(number)
                        else { return [] }
                    }
                    return (0..<5000).map { numbers.number(of: Self.name($0)) ?? .max }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(numbers.count == 5000)
        #expect(Set(found).count == 1)
        #expect(Set(found[0]) == Set(0..<5000))
    }

    @Test("What was written is read back, whole or in pieces")
    func roundTrip() throws {
        let numbers = try ItemNumbers()
        var first: [UInt8] = []
        for number in 0..<500 { _ = numbers.numberAdding(Self.name(number)) }
        #expect(numbers.serialise(into: &first) == 500)
        for number in 500..<900 { _ = numbers.numberAdding(Self.name(number)) }
        var second: [UInt8] = []
        #expect(numbers.serialise(from: 500, into: &second) == 900)
        let copy = try ItemNumbers()
        #expect(try copy.load(first) == 500)
        #expect(try copy.load(second) == 400)
        for number in 0..<900 { #expect(copy.number(of: Self.name(number)) == UInt32(number)) }
        // Pieces must fit together.
        #expect(throws: LiveStateError.self) { try copy.load(first) }
        #expect(throws: LiveStateError.self) { try ItemNumbers().load(second) }
        let small = try ItemNumbers(countMax: 100)
        do throws(LiveStateError) {
            try small.load(first)
            Issue.record("500 items in 100 places")
        } catch { #expect(error.code == .full) }
    }

    @Test("Bytes with a fault are refused", arguments: 1...3)
    func mutated(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let numbers = try ItemNumbers()
        for number in 0..<60 { _ = numbers.numberAdding(Self.name(number)) }
        var sound: [UInt8] = []
        numbers.serialise(into: &sound)
        for round in 0..<2000 {
            let bytes = round < sound.count ? Array(sound.prefix(round)) : random.mutated(sound)
            let copy = try ItemNumbers(countMax: 1000)
            do throws(LiveStateError) {
                try copy.load(bytes)
                for number in 0..<copy.count {
                    #expect(copy.id(UInt32(number)).map { copy.number(of: $0) } == UInt32(number))
                }
            } catch { #expect(!error.fault.isEmpty) }
        }
    }
}
