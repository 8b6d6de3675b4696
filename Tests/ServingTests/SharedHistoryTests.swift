import LiveState
import SharedUsers
import TestSupport
import Testing
import Vocabulary

@testable import Serving

/// What two nodes know of a user whose record both of them write, read and make short.
@Suite("Histories that nodes share", .ownThreads) struct SharedHistoryTests {
    private static let now: Int64 = 1_700_000_000
    private static let user = "somebody"

    private static func types() throws -> EventTypes {
        try EventTypes(EventTypes.standardTypes + [EventType("unhide", weight: 0, .unhides)])
    }

    private static func live(historyMax: Int = 100, _ numbers: ItemNumbers) throws -> LiveUsers {
        var bounds = UserStatesConfiguration()
        bounds.historyMax = historyMax
        let types = try types()
        return LiveUsers(
            states: try UserStates(bounds, types: types, slots: 0..<Slot.count),
            recent: try RecentEvents(capacity: 1000, seed: 1), numbers: numbers,
            shown: try UserStates(
                UserStatesConfiguration(historyMax: 8, seenMax: 0), types: types, slots: 0..<Slot.count))
    }

    private static func knowledge(_ live: LiveUsers) -> LiveUsers.Knowledge {
        var knowledge = LiveUsers.Knowledge()
        live.read(user, rows: (0..<64).map { UInt32($0) }, now: now + 100_000, into: &knowledge)
        return knowledge
    }

    /// The second of each event is its own, so that it is clear which of two hides is the later one.
    private static func events(_ count: Int, _ random: inout SeededGenerator) -> [UserEvent] {
        let kinds = ["click", "view", "like", "hide", "unhide", "impression", "dislike"]
        return (0..<count).shuffled(using: &random).map { place in
            var event = UserEvent(
                user: user, item: "item \(Int.random(in: 0..<20, using: &random))",
                type: kinds.randomElement(using: &random) ?? "click")
            event.timeMilliseconds =
                UInt64(now - 1000 + Int64(place)) * 1000 + UInt64.random(in: 0..<1000, using: &random)
            if Bool.random(using: &random) { event.id = "event \(place)" }
            return event
        }
    }

    @Test("whatever two nodes do, and in whatever order, both know the union in the end", arguments: Seeds.chosen(300))
    func union(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let numbers = try ItemNumbers()
        let historyMax = seed.isMultiple(of: 2) ? 100 : 10
        let nodes = [try Self.live(historyMax: historyMax, numbers), try Self.live(historyMax: historyMax, numbers)]
        var bounds = RecordBounds()
        (bounds.historyMax, bounds.shownMax) = (historyMax, 8)
        let types = try Self.types()
        func isOnlyShown(_ name: String) -> Bool { types.code(named: name).map { types.isOnlyShown($0) } ?? false }
        var record: [UInt8] = []
        /// What a node has read and means to make short.
        var read: [[UInt8]?] = [nil, nil]
        let events = Self.events(60, &random)
        var left = events[...]
        while !left.isEmpty {
            let place = Int.random(in: 0..<2, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0...2:
                guard let event = left.popFirst() else { break }
                nodes[place].apply(event, now: Self.now)
                let piece = UserRecord.piece([event], of: Self.user)
                record += piece
                // A command that seemed to be lost.
                if Int.random(in: 0..<5, using: &random) == 0 { record += piece }
            case 3: _ = nodes[place].merge(UserRecord(record, of: Self.user).events, of: Self.user, now: Self.now)
            case 4: read[place] = record
            default:
                if let old = read[place], old == record {
                    record = UserRecord.piece(
                        UserRecord.compacted(UserRecord(old, of: Self.user).events, bounds, isOnlyShown: isOnlyShown),
                        of: Self.user)
                }
                read[place] = nil
            }
        }
        let whole = UserRecord(record, of: Self.user)
        #expect(whole.damages == 0)
        for node in nodes { _ = node.merge(whole.events, of: Self.user, now: Self.now) }
        // Once more changes nothing, and a node that knew nothing knows the same.
        let third = try Self.live(historyMax: historyMax, numbers)
        _ = third.merge(whole.events, of: Self.user, now: Self.now)
        var blocked: Set<String> = []
        for item in Set(events.map(\.item)) {
            let own = events.filter { $0.item == item }.sorted { $0.timeMilliseconds < $1.timeMilliseconds }
            if own.contains(where: { types.code(named: $0.type).map(types.seen.contains) ?? false })
                || own.last(where: { $0.type == "hide" || $0.type == "unhide" })?.type == "hide"
            {
                blocked.insert(item)
            }
        }
        let numbered = Set(blocked.compactMap { numbers.number(of: $0) })
        for (name, node) in zip(["first", "second", "third"], nodes + [third]) {
            let before = Self.knowledge(node)
            #expect(Set(before.blocked) == numbered, "\(name) of seed \(seed)")
            let merged = node.merge(whole.events, of: Self.user, now: Self.now)
            #expect(merged.applied == 0 || historyMax == 10, "\(name) of seed \(seed)")
            #expect(Self.knowledge(node).fingerprint == before.fingerprint, "\(name) of seed \(seed)")
            if historyMax == 100 {
                #expect(before.liked == Self.knowledge(third).liked, "\(name) of seed \(seed)")
                #expect(merged.missing.isEmpty, "\(name) of seed \(seed)")
            }
        }
    }

    @Test("what a node knows and the others do not is given back to be written")
    func missing() throws {
        let live = try Self.live(try ItemNumbers())
        var events = ["a", "b", "c"].enumerated().map { place, item in
            var event = UserEvent(user: Self.user, item: item, type: place == 2 ? "impression" : "click")
            event.timeMilliseconds = UInt64(Self.now - 10 + Int64(place)) * 1000
            return event
        }
        events[1].value = 2.5
        for event in events { live.apply(event, now: Self.now) }
        let merged = live.merge([events[0]], of: Self.user, now: Self.now)
        #expect(merged.applied == 0 && merged.missing.map(\.item) == ["b", "c"])
        #expect(merged.missing[0].value == 2.5 && merged.missing[0].timeMilliseconds == events[1].timeMilliseconds)
        #expect(live.merge(events, of: Self.user, now: Self.now).missing.isEmpty)
        #expect(live.historyToShare(of: Self.user).map(\.item) == ["a", "b"])
        #expect(live.historyToShare(of: "nobody").isEmpty)
    }

    @Test("an event that another node took under an ID is a repeat here, and answers of before are void")
    func repeats() throws {
        let live = try Self.live(try ItemNumbers())
        var event = UserEvent(user: Self.user, item: "a", type: "click", id: "once")
        event.timeMilliseconds = UInt64(Self.now) * 1000
        let stamp = live.epochs.stamp(of: Self.user)
        #expect(live.merge([event], of: Self.user, now: Self.now).applied == 1)
        #expect(!live.epochs.isFit(stamp))
        let key = try #require(live.key(of: event))
        #expect(live.recent.contains(key))
        let again = live.epochs.stamp(of: Self.user)
        #expect(live.merge([event], of: Self.user, now: Self.now).applied == 0)
        #expect(live.epochs.isFit(again))
        // Nobody can have written this.
        event.timeMilliseconds = UInt64(Self.now + 5000) * 1000
        #expect(live.merge([event], of: Self.user, now: Self.now).applied == 0)
    }

    @Test("voiding a slot makes the stamps of all its users unfit, and of nobody else's")
    func slots() {
        let epochs = UserEpochs(count: 1 << 16)
        let users = (0..<2000).map { "user \($0)" }
        let stamps = users.map { epochs.stamp(of: $0) }
        let slot = Int(Slot(user: users[17]).value)
        epochs.bumpAll(slot)
        for (user, stamp) in zip(users, stamps) {
            #expect(epochs.isFit(stamp) == (Int(Slot(user: user).value) != slot))
        }
        epochs.bumpAll(-1)
        epochs.bumpAll(Slot.count)
    }
}
