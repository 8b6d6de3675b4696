import TestSupport
import Testing
import Vocabulary

@testable import LiveState

@Suite(.ownThreads) struct EvictionTests {
    @Test("Memory stays within its bound, and users who stay are whole", arguments: 1...4)
    func bound(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let configuration = UserStatesConfiguration(historyMax: 20, seenMax: 200, seenAgeSeconds: 0, bytesMax: 96 << 10)
        let states = try UserStates(configuration, types: UserStatesTests.types(), slots: 0..<64)
        let users = Self.users(2000, in: 0..<64)
        var oracle: [String: OracleUser] = [:]
        for step in 0..<20_000 {
            let now = UserStatesTests.start + UInt32(step)
            // Half of the events are of the same few users.
            let user = users[
                Bool.random(using: &random)
                    ? Int.random(in: 0..<20, using: &random) : Int.random(in: 0..<users.count, using: &random)]
            let event = UserStatesTests.event(&random, now: now, items: 100, typeCount: states.types.count)
            let isNew = states.apply(event, user, now: now).isNewUser
            #expect(isNew || oracle[user] != nil)
            if isNew { oracle[user] = nil }
            oracle[user, default: OracleUser()].apply(event, configuration, states.types, now: now)
            #expect(states.statistics.bytes <= configuration.bytesMax)
            if step % 500 == 0 {
                #expect(states.statistics.bytes == states.countedBytes)
                for user in users {
                    guard let told = states.told(user, now: now) else { continue }
                    #expect(told == oracle[user].map { ToldUser($0, states, now: now) }, "seed \(seed), step \(step)")
                }
            }
        }
        #expect(states.statistics.usersEvicted > 100)
        let there = users.filter { states.epoch($0) > 0 }
        #expect(there.count == states.statistics.users)
    }

    @Test("Active users stay where others go")
    func activeUsersStay() throws {
        let states = try UserStates(
            UserStatesConfiguration(bytesMax: 128 << 10), types: UserStatesTests.types(), slots: 0..<64)
        let users = Self.users(6000, in: 0..<64)
        var now = UserStatesTests.start
        var lost = 0
        var hits = 0
        for user in users.dropFirst(10) {
            now += 1
            states.apply(HistoryEvent(item: 1, type: 1, seconds: now), user, now: now)
            let active = users[Int(now) % 10]
            if now > UserStatesTests.start + 100 {
                hits += 1
                if states.epoch(active) == 0 { lost += 1 }
            }
            states.apply(HistoryEvent(item: 2, type: 1, seconds: now), active, now: now)
        }
        #expect(states.statistics.usersEvicted > 1000)
        #expect(lost * 100 < hits, "\(lost) of \(hits) lookups of active users failed")
    }

    @Test("One user may be larger than the bound, and stays alone")
    func oneLargeUser() throws {
        let states = try UserStates(
            UserStatesConfiguration(historyMax: 4096, seenMax: 65_000, seenAgeSeconds: 0, bytesMax: 64 << 10),
            types: UserStatesTests.types(), slots: 0..<64)
        let users = Self.users(3, in: 0..<64)
        for item in 0..<30_000 as Range<UInt32> {
            let now = UserStatesTests.start + item
            states.apply(
                HistoryEvent(item: item &* 2_654_435_761, type: 1, seconds: now, value: 1.1), users[0], now: now)
        }
        #expect(states.statistics.users == 1)
        #expect(states.statistics.bytes > 64 << 10)
        #expect(states.told(users[0], now: UserStatesTests.start + 30_000)?.seen.count == 30_000)
        let now = UserStatesTests.start + 30_000
        states.apply(HistoryEvent(item: 1, type: 1, seconds: now), users[1], now: now)
        #expect(states.statistics.users == 1)
        #expect(states.epoch(users[0]) == 0)
        #expect(states.epoch(users[1]) > 0)
    }

    /// Names of users whose slots are in a range.
    static func users(_ count: Int, in slots: Range<Int>) -> [String] {
        var users: [String] = []
        var number = 0
        while users.count < count {
            let user = "u\(number)"
            if slots.contains(Int(Slot(user: user).value)) { users.append(user) }
            number += 1
        }
        return users
    }
}
