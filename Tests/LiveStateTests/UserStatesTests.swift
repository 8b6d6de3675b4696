import TestSupport
import Testing
import Vocabulary

@testable import LiveState

@Suite(.ownThreads) struct UserStatesTests {
    static let start: UInt32 = 1_700_000_000

    static func types() throws -> EventTypes {
        try EventTypes(EventTypes.standardTypes + [EventType("unhide", weight: 0, .unhides)])
    }

    /// An event such as users send: mostly new, some late, some from the future.
    static func event(
        _ random: inout SeededGenerator, now: UInt32, items: UInt32, typeCount: Int
    ) -> HistoryEvent {
        let seconds: UInt32 =
            switch Int.random(in: 0..<20, using: &random) {
            case 0: now - UInt32.random(in: 0...20_000_000, using: &random)
            case 1: now + UInt32.random(in: 1...100, using: &random)
            case 2...5: now - UInt32.random(in: 0...5000, using: &random)
            default: now
            }
        let value: Float? =
            switch Int.random(in: 0..<6, using: &random) {
            case 0: Float(Int.random(in: 1...10, using: &random)) / 2
            case 1: -0.0
            case 2: Float.random(in: -1e30...1e30, using: &random)
            case 3: 1024
            default: nil
            }
        let item =
            Bool.random(using: &random)
            ? UInt32.random(in: 0..<items, using: &random) : .random(in: 0..<30, using: &random)
        return HistoryEvent(
            item: Int.random(in: 0..<50, using: &random) == 0 ? .max - item : item,
            type: UInt8.random(in: 0..<UInt8(typeCount), using: &random), seconds: seconds, value: value)
    }

    @Test("Histories, seen and hidden items, counts and sessions are those of the plain model", arguments: 1...12)
    func oracle(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let configuration = UserStatesConfiguration(
            historyMax: [1, 2, 7, 30, 100][seed % 5], seenMax: seed % 4 == 0 ? 0 : 20_000,
            seenAgeSeconds: seed % 3 == 0 ? 0 : 86_400 * 40)
        let states = try UserStates(configuration, types: Self.types())
        var oracle: [String: OracleUser] = [:]
        var now = Self.start
        for step in 0..<6000 {
            now += UInt32.random(in: 0...(step % 500 == 0 ? 2_000_000 : 60), using: &random)
            let user = "user \(Int.random(in: 0..<12, using: &random))"
            let event = Self.event(&random, now: now, items: 3000, typeCount: states.types.count)
            let before = states.epoch(user)
            let outcome = states.apply(event, user, now: now)
            #expect(outcome.isNewUser == (oracle[user] == nil))
            oracle[user, default: OracleUser()].apply(event, configuration, states.types, now: now)
            #expect(outcome.changedSlate == states.types.changesSlate.contains(event.type))
            if before > 0 { #expect(outcome.epoch == before + (outcome.changedSlate ? 1 : 0)) }
            #expect(states.epoch(user) == outcome.epoch)
            if step % 9 == 0 {
                let asked = "user \(Int.random(in: 0..<13, using: &random))"
                let after = Bool.random(using: &random) ? 0 : now - UInt32.random(in: 0...3_000_000, using: &random)
                #expect(
                    states.told(asked, now: now, after: after)
                        == oracle[asked].map { ToldUser($0, states, now: now, after: after) },
                    "seed \(seed), step \(step)")
            }
            if step % 1000 == 0 { #expect(states.statistics.bytes == states.countedBytes) }
        }
        #expect(states.statistics.users == oracle.count)
        #expect(states.statistics.bytes == states.countedBytes)
        #expect(states.statistics.events == 6000)
        #expect(states.statistics.eventsOutOfOrder > 0)
        #expect(states.statistics.eventsFromTheFuture > 0)
    }

    @Test("Seen items are told by the types of their events, in and behind the history", arguments: 1...6)
    func seenByType(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let configuration = UserStatesConfiguration(historyMax: 5, seenMax: 5000, seenAgeSeconds: 0)
        let states = try UserStates(configuration, types: Self.types())
        var oracle = OracleUser()
        for step in 0..<2000 {
            let now = Self.start + UInt32(step * 50)
            let event = Self.event(&random, now: now, items: 500, typeCount: states.types.count)
            states.apply(event, "u", now: now)
            oracle.apply(event, configuration, states.types, now: now)
            let wanted = EventTypeSet(bits: UInt32.random(in: 0..<512, using: &random))
            if step % 20 == 0 {
                #expect(
                    states.told("u", now: now, types: wanted) == ToldUser(oracle, states, now: now, types: wanted),
                    "seed \(seed), step \(step)")
            }
        }
    }

    @Test("With more seen items than may be, the newest stay", arguments: [64, 100, 1000])
    func seenMax(max: Int) throws {
        var random = SeededGenerator(seed: UInt64(max))
        let configuration = UserStatesConfiguration(historyMax: 3, seenMax: max, seenAgeSeconds: 0)
        let states = try UserStates(configuration, types: Self.types())
        var oracle = OracleUser()
        for step in 0..<(max * 6) {
            let now = Self.start + UInt32(step) * 20_000
            let late = Bool.random(using: &random) ? 0 : UInt32.random(in: 0..<500_000, using: &random)
            let event = HistoryEvent(
                item: UInt32.random(in: 0..<100_000, using: &random), type: 1, seconds: now - late)
            states.apply(event, "u", now: now)
            oracle.apply(event, configuration, states.types, now: now)
            guard step % 37 == 0, let told = states.told("u", now: now) else { continue }
            let truth = ToldUser(oracle, states, now: now)
            #expect(told.history == truth.history)
            #expect(told.seen.isSubset(of: truth.seen))
            #expect(told.seen.count <= max + 3)
            let newest = oracle.older.sorted { ($0.value.day, $0.key) > ($1.value.day, $1.key) }.map(\.key)
            let sure = max - 16 - (max - 16) / 16
            #expect(Set(newest.prefix(sure)).isSubset(of: told.seen), "step \(step)")
        }
        #expect(states.statistics.seenItemsDropped > 0)
    }

    @Test("Hidden items stay hidden until they are unhidden, and the oldest go where there are too many")
    func hidden() throws {
        let types = try Self.types()
        let hide = try #require(types.code(named: "hide"))
        let states = try UserStates(UserStatesConfiguration(hiddenMax: 32), types: types)
        var random = SeededGenerator(seed: 5)
        let items = (0..<200).map { UInt32($0) * 7919 }.shuffled(using: &random)
        for (step, item) in items.enumerated() {
            let now = Self.start + UInt32(step) * 86_400
            let epoch = states.apply(HistoryEvent(item: item, type: hide, seconds: now), "u", now: now).epoch
            let told = try #require(states.told("u", now: now))
            #expect(told.hidden.count <= 32)
            #expect(Set(told.hidden).isSuperset(of: items[...step].suffix(30)))
            if step % 3 == 0 {
                #expect(states.unhide(item, "u") == epoch + 1)
                #expect(states.unhide(item, "u") == nil)
                #expect(states.told("u", now: now)?.hidden.contains(item) == false)
                states.apply(HistoryEvent(item: item, type: hide, seconds: now), "u", now: now)
            }
        }
        #expect(states.statistics.hiddenItemsDropped >= 168)
        #expect(states.unhide(1, "nobody") == nil)
    }

    @Test("Seen items are forgotten with age, and leave memory")
    func expiry() throws {
        let types = try Self.types()
        let states = try UserStates(
            UserStatesConfiguration(historyMax: 1, seenMax: 5000, seenAgeSeconds: 10 * 86_400), types: types)
        for item in 0..<1000 as Range<UInt32> {
            states.apply(HistoryEvent(item: item, type: 1, seconds: Self.start), "u", now: Self.start)
        }
        #expect(states.told("u", now: Self.start + 86_400 * 9)?.seen.count == 1000)
        #expect(states.told("u", now: Self.start + 86_400 * 12)?.seen == [])
        let full = states.statistics.bytes
        let later = Self.start + 86_400 * 12
        for item in 0..<40 as Range<UInt32> {
            states.apply(HistoryEvent(item: item, type: 1, seconds: later), "u", now: later)
        }
        #expect(states.told("u", now: later)?.seen.count == 40)
        #expect(states.statistics.bytes < full - 2000)
        #expect(states.statistics.bytes == states.countedBytes)
    }

    @Test("Nothing is known of users without events, or forgotten ones")
    func unknownUsers() throws {
        let states = try UserStates(types: Self.types())
        #expect(states.told("u", now: Self.start) == nil)
        #expect(states.epoch("u") == 0)
        states.apply(HistoryEvent(item: 1, type: 1, seconds: Self.start), "u", now: Self.start)
        let epoch = states.epoch("u")
        #expect(epoch > 0)
        #expect(states.userCount(Slot(user: "u")) == 1)
        states.removeAll(Slot(user: "u"))
        #expect(states.told("u", now: Self.start) == nil)
        #expect(states.statistics.users == 0)
        #expect(states.statistics.bytes == states.countedBytes)
        let again = states.apply(HistoryEvent(item: 1, type: 0, seconds: Self.start), "u", now: Self.start)
        #expect(again.isNewUser && again.epoch > epoch, "an epoch that a cache may know does not come back")
    }

    @Test("Reading fills one buffer again and again")
    func bufferIsReused() throws {
        let states = try UserStates(types: Self.types())
        for item in 0..<5 as Range<UInt32> {
            states.apply(HistoryEvent(item: item, type: 1, seconds: Self.start + item), "many", now: Self.start + 9)
        }
        states.apply(HistoryEvent(item: 77, type: 2, seconds: Self.start, value: 3), "one", now: Self.start)
        var buffer = HistoryBuffer()
        var name = "many"
        _ = name.withUTF8 { states.read(UnsafeRawBufferPointer($0)) { $0.copyHistory(into: &buffer) } }
        #expect(buffer.map(\.item) == [4, 3, 2, 1, 0])
        name = "one"
        _ = name.withUTF8 { states.read(UnsafeRawBufferPointer($0)) { $0.copyHistory(into: &buffer) } }
        #expect(Array(buffer) == [HistoryEvent(item: 77, type: 2, seconds: Self.start, value: 3)])
    }

    @Test("Settings out of their ranges are refused by name")
    func configuration() throws {
        for (change, name) in [
            ({ $0.historyMax = 0 }, "historyMax"), ({ $0.historyMax = 4097 }, "historyMax"),
            ({ $0.seenMax = 63 }, "seenMax"),
            ({ $0.seenMax = 65_001 }, "seenMax"), ({ $0.hiddenMax = 1 }, "hiddenMax"),
            ({ $0.sessionGapSeconds = 1 }, "sessionGapSeconds"), ({ $0.bytesMax = 1000 }, "bytesMax"),
        ] as [((inout UserStatesConfiguration) -> Void, String)] {
            var configuration = UserStatesConfiguration()
            change(&configuration)
            do {
                _ = try UserStates(configuration, types: Self.types())
                Issue.record("\(name) was accepted")
            } catch let error as LiveStateError {
                #expect(error.code == .invalidConfiguration)
                #expect(error.fault.hasPrefix(name))
            }
        }
    }
}
