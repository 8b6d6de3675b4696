import TestSupport
import Testing
import Vocabulary

@testable import LiveState

@Suite(.ownThreads) struct SerialisationTests {
    /// States with some users in few slots, histories cut, seen and hidden items.
    private static func states(
        seed: UInt64, slots: Range<Int>, configuration: UserStatesConfiguration, events: Int = 6000, users: Int = 30
    ) throws -> (UserStates, users: [String], now: UInt32) {
        var random = SeededGenerator(seed: seed)
        let states = try UserStates(configuration, types: UserStatesTests.types(), slots: slots)
        let users = EvictionTests.users(users, in: slots)
        var now = UserStatesTests.start
        for _ in 0..<events {
            now += UInt32.random(in: 0..<3000, using: &random)
            let event = UserStatesTests.event(&random, now: now, items: 1000, typeCount: states.types.count)
            states.apply(event, users[Int.random(in: 0..<users.count, using: &random)], now: now)
        }
        return (states, users, now)
    }

    private static let configuration = UserStatesConfiguration(historyMax: 40, seenMax: 500, hiddenMax: 100)

    @Test("What was written is read back, slot by slot", arguments: 1...4)
    func roundTrip(seed: Int) throws {
        let slots = 100..<110
        let (states, users, now) = try Self.states(seed: UInt64(seed), slots: slots, configuration: Self.configuration)
        let copy = try UserStates(Self.configuration, types: UserStatesTests.types(), slots: slots)
        for slot in slots {
            let bytes = states.serialise(Slot(UInt16(slot)))
            let (read, count) = try copy.load(bytes)
            #expect(read == Slot(UInt16(slot)))
            #expect(count == states.userCount(read))
        }
        #expect(copy.statistics.users == users.count)
        #expect(copy.statistics.bytes == copy.countedBytes)
        for user in users {
            #expect(copy.told(user, now: now) == states.told(user, now: now))
            #expect(copy.epoch(user) == states.epoch(user))
        }
        // And both go on alike.
        var random = SeededGenerator(seed: 9)
        for step in 0..<2000 {
            let user = users[step % users.count]
            let event = UserStatesTests.event(&random, now: now, items: 1000, typeCount: states.types.count)
            #expect(states.apply(event, user, now: now) == copy.apply(event, user, now: now))
        }
        for user in users { #expect(copy.told(user, now: now) == states.told(user, now: now)) }
        // Loading again exchanges a slot's users, and raises epochs that were had.
        let epoch = copy.epoch(users[0])
        try copy.load(states.serialise(Slot(user: users[0])))
        #expect(copy.statistics.users == users.count)
        #expect(copy.epoch(users[0]) > epoch)
    }

    @Test("A shorter history takes the newest events of a longer one")
    func smallerBounds() throws {
        let (states, users, now) = try Self.states(seed: 3, slots: 7..<9, configuration: Self.configuration)
        let small = try UserStates(
            UserStatesConfiguration(historyMax: 10, seenMax: 500, hiddenMax: 16), types: UserStatesTests.types(),
            slots: 7..<9)
        for slot in 7..<9 as Range<UInt16> { try small.load(states.serialise(Slot(slot))) }
        for user in users {
            let (old, new) = (states.told(user, now: now), small.told(user, now: now))
            #expect(new?.history == old.map { Array($0.history.prefix(10)) })
        }
        #expect(small.statistics.bytes == small.countedBytes)
        for user in users {
            small.apply(HistoryEvent(item: 5, type: 7, seconds: now), user, now: now)
            let hidden = small.told(user, now: now)?.hidden ?? []
            #expect(hidden.count <= 16 && hidden.contains(5))
        }
    }

    @Test("Loading stays within the bound")
    func loadingEvicts() throws {
        var configuration = Self.configuration
        let (states, _, _) = try Self.states(
            seed: 4, slots: 0..<4, configuration: configuration, events: 10_000, users: 300)
        configuration.bytesMax = 64 << 10
        let small = try UserStates(configuration, types: UserStatesTests.types(), slots: 0..<4)
        for slot in 0..<4 as Range<UInt16> { try small.load(states.serialise(Slot(slot))) }
        #expect(small.statistics.usersEvicted > 0)
        #expect(small.statistics.bytes <= 64 << 10)
        #expect(small.statistics.bytes == small.countedBytes)
    }

    @Test("Bytes with a fault are refused, and change nothing", arguments: 1...6)
    func mutated(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let (states, users, now) = try Self.states(
            seed: UInt64(seed), slots: 50..<52, configuration: Self.configuration, events: 1000)
        let target = try UserStates(Self.configuration, types: UserStatesTests.types(), slots: 50..<52)
        let slot = Slot(50)
        let sound = states.serialise(slot)
        var accepted = 0
        for round in 0..<3000 {
            let bytes = round < sound.count / 8 ? Array(sound.prefix(round * 8)) : random.mutated(sound)
            do throws(LiveStateError) {
                try target.load(bytes, itemCount: 1 << 32)
                accepted += 1
                // Whatever was believed must hold under use.
                for user in users {
                    _ = target.told(user, now: now)
                    for _ in 0..<3 {
                        let event = UserStatesTests.event(&random, now: now, items: 1000, typeCount: target.types.count)
                        target.apply(event, user, now: now)
                    }
                    _ = target.told(user, now: now)
                }
                _ = target.serialise(slot)
            } catch {
                #expect(!error.fault.isEmpty)
            }
            if round % 100 == 0 {
                #expect(target.statistics.bytes == target.countedBytes, "seed \(seed), round \(round)")
            }
        }
        #expect(accepted < 2500)
        // A refusal changes nothing.
        try target.load(sound)
        let before = users.map { target.told($0, now: now) }
        #expect(throws: LiveStateError.self) { try target.load(Array(sound.dropLast())) }
        #expect(users.map { target.told($0, now: now) } == before)
    }

    @Test("Users of other slots, unknown items, doubles and newer versions are refused by name")
    func faults() throws {
        let (states, _, _) = try Self.states(seed: 1, slots: 50..<52, configuration: Self.configuration)
        let sound = states.serialise(Slot(50))
        func code(_ bytes: [UInt8], items: UInt64 = 1 << 32, slots: Range<Int> = 50..<52) throws -> LiveStateError.Code?
        {
            let target = try UserStates(Self.configuration, types: UserStatesTests.types(), slots: slots)
            do throws(LiveStateError) { try target.load(bytes, itemCount: items) } catch { return error.code }
            return nil
        }
        #expect(try code(sound) == nil)
        #expect(try code(sound, items: 10) == .malformed)
        #expect(try code(sound, slots: 0..<50) == .malformed)
        #expect(try code([]) == .malformed)
        var other = sound
        other[6] = 51
        #expect(try code(other) == .malformed)
        other = sound
        other[4] = 2
        #expect(try code(other) == .newerFormat)
        other = sound
        other[8] ^= 1
        #expect(try code(other) == .typesChanged)
        other = sound
        other[20] += 1
        #expect(try code(other + other[24...]) == .malformed)
    }

    @Test("State of fewer event types is read by a table that has more, and not by one of other names")
    func typesChange() throws {
        let old = try EventTypes([EventType("view", weight: 1, .seen), EventType("buy", weight: 2, .seen)])
        let states = try UserStates(types: old)
        let now = UserStatesTests.start
        states.apply(HistoryEvent(item: 1, type: 1, seconds: now), "u", now: now)
        let bytes = states.serialise(Slot(user: "u"))
        let configured = [EventType("like", weight: 1), EventType("buy", weight: 2, .seen)]
        let blind = try UserStates(types: EventTypes(configured))
        #expect(throws: LiveStateError.self) { try blind.load(bytes) }
        let aware = try UserStates(types: EventTypes(configured, stored: old.codeNames))
        try aware.load(bytes)
        #expect(aware.types.code(named: "like") == 2)
        #expect(aware.told("u", now: now)?.history.map(\.type) == [1])
        #expect(aware.told("u", now: now)?.seen == [1])
    }
}
