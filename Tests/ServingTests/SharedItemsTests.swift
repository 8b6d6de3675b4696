import EventLog
import TestSupport
import Testing
import Vocabulary

@testable import Serving

@Suite("What nodes know together of items")
struct SharedItemsTests {
    private static func change(_ number: Int, _ random: inout SeededGenerator) -> ItemChange {
        let item = "item-\(Int.random(in: 0..<5, using: &random))"
        switch Int.random(in: 0..<5, using: &random) {
        case 0, 1: return .upsert(ItemDescription(item: item, title: "title \(number)"))
        case 2: return .delete(item)
        case 3:
            return .window(ItemWindow(item: item, isHidden: Bool.random(using: &random), fromSeconds: Int64(number)))
        default: return .restore(item)
        }
    }

    private static let items = (0..<5).map { "item-\($0)" }

    private static func states(_ shared: SharedItems) -> [ItemState?] { items.map { shared.state(of: $0) } }

    /// The states after changes in the order of their versions, by the rules of a single node.
    private static func folded(_ changes: [(ItemVersion, ItemChange)]) -> [ItemState?] {
        var book = ItemBook(countMax: 100)
        for (_, change) in changes.sorted(by: { $0.0 < $1.0 }) { book.apply(change) }
        return items.map { book.states[$0] }
    }

    @Test(
        "whatever the order and however often, changes make what they make in the order of their versions",
        arguments: 0..<200)
    func anyOrder(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let changes = (1...30).map { (ItemVersion(UInt64($0 / 3), UInt64($0)), Self.change($0, &random)) }
        let expected = Self.folded(changes)
        for _ in 0..<5 {
            var shared = SharedItems(restoredMax: 1000)
            for (version, change) in (changes + changes.shuffled(using: &random).prefix(10)).shuffled(using: &random) {
                shared.accept(change, version: version)
            }
            #expect(Self.states(shared) == expected, "seed \(seed)")
        }
    }

    /// Where everything is written: a stream with a hash of the last changes, as the scripts keep them.
    private struct Store {
        var stream: [(version: ItemVersion, author: Int, token: UInt64, change: ItemChange)] = []
        var registers = SharedItems(restoredMax: 1000)
        var written: [Int: UInt64] = [:]
        var top: UInt64 = 0

        mutating func write(_ change: ItemChange, author: Int, token: UInt64) -> ItemVersion? {
            guard token > written[author] ?? 0 else { return nil }
            top += 1
            written[author] = token
            let version = ItemVersion(top, 0)
            stream.append((version, author, token, change))
            registers.accept(change, version: version)
            return version
        }

        mutating func contribute(_ register: SharedItems.Register) {
            top = max(top, register.version.milliseconds)
            if registers.accept(register.change, version: register.version) {
                stream.append((register.version, -1, 0, register.change))
            }
        }

        var seen: [String: SharedItems.Seen] {
            var seen: [String: SharedItems.Seen] = [:]
            for register in registers.registers {
                var one = seen[register.change.item] ?? SharedItems.Seen()
                if case .window = register.change { one.window = register.version } else { one.main = register.version }
                seen[register.change.item] = one
            }
            return seen
        }
    }

    private struct Node {
        var shared = SharedItems(restoredMax: 1000)
        var heard = 0
        var token: UInt64 = 0

        mutating func hear(_ store: Store, author: Int, atMost count: Int) {
            for entry in store.stream.dropFirst(heard).prefix(count) {
                heard += 1
                if entry.author == author, shared.isPending(entry.token) {
                    shared.settle(entry.token, version: entry.version)
                } else {
                    shared.accept(entry.change, version: entry.version)
                }
            }
            if heard == store.stream.count { _ = shared.caughtUp() }
        }

        mutating func readEverything(_ store: inout Store) {
            heard = store.stream.count
            for register in store.registers.registers { shared.accept(register.change, version: register.version) }
            for missing in shared.compare(with: store.seen, isKnown: false, forgotten: .zero).missing {
                store.contribute(missing)
            }
        }
    }

    @Test(
        "nodes that take, write, lose answers, hear late, lose the store and restart know the same in the end",
        arguments: 0..<300)
    func converges(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed) + 1000)
        var store = Store()
        var nodes = [Node(), Node(), Node()]
        var last: [String: ItemChange] = [:]
        for step in 0..<120 {
            let author = Int.random(in: 0..<nodes.count, using: &random)
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4:
                let change = Self.change(step, &random)
                nodes[author].token += 1
                nodes[author].shared.take(change, token: nodes[author].token)
                last[change.item] = change
                // What a node was told counts there at once, whatever it hears next.
                let echo = nodes[author].shared.state(of: change.item)
                nodes[author].hear(store, author: author, atMost: Int.random(in: 0..<5, using: &random))
                if case .window = change { break }
                if nodes[author].shared.isPending(nodes[author].token) {
                    #expect(nodes[author].shared.state(of: change.item) == echo, "seed \(seed), step \(step)")
                }
            case 4..<7:
                nodes[author].shared.returnUnwritten()
                let batch = nodes[author].shared.takeUnwritten(countMax: 3)
                let isAnswerLost = Bool.random(using: &random)
                for own in batch {
                    let version = store.write(own.change, author: author, token: own.token)
                    if isAnswerLost { continue }
                    if let version {
                        nodes[author].shared.settle(own.token, version: version)
                    } else {
                        nodes[author].shared.outdate(own.token)
                    }
                }
            case 7..<10: nodes[author].hear(store, author: author, atMost: Int.random(in: 1..<6, using: &random))
            case 10:
                // A restart from what was written down.
                var again = Node()
                let before = nodes[author]
                for register in before.shared.registers {
                    again.shared.accept(register.change, version: register.version)
                }
                for own in before.shared.own { again.shared.take(own.change, token: own.token) }
                (again.heard, again.token) = (before.heard, before.token)
                #expect(Self.states(again.shared) == Self.states(before.shared), "seed \(seed), step \(step)")
                nodes[author] = again
            default:
                if Int.random(in: 0..<4, using: &random) == 0 {
                    // The store is emptied: everybody reads it anew and brings what it lacks.
                    let top = store.top
                    store = Store()
                    store.top = top
                    for number in nodes.indices { nodes[number].heard = 0 }
                    for number in nodes.indices.shuffled(using: &random) { nodes[number].readEverything(&store) }
                } else {
                    // Entries were missed.
                    nodes[author].readEverything(&store)
                }
            }
        }
        for author in nodes.indices {
            nodes[author].shared.returnUnwritten()
            for own in nodes[author].shared.takeUnwritten(countMax: 1000) {
                if let version = store.write(own.change, author: author, token: own.token) {
                    nodes[author].shared.settle(own.token, version: version)
                } else {
                    nodes[author].shared.outdate(own.token)
                }
            }
        }
        for author in nodes.indices { nodes[author].hear(store, author: author, atMost: .max) }
        for author in nodes.indices { #expect(nodes[author].shared.pendingCount == 0, "seed \(seed)") }
        #expect(Self.states(nodes[0].shared) == Self.states(nodes[1].shared), "seed \(seed)")
        #expect(Self.states(nodes[0].shared) == Self.states(nodes[2].shared), "seed \(seed)")
        #expect(Self.states(nodes[0].shared) == Self.states(store.registers), "seed \(seed)")
    }

    @Test("a late echo of an own change does not undo a newer own change")
    func lateEcho() {
        var shared = SharedItems(restoredMax: 100)
        shared.take(.upsert(ItemDescription(item: "a", title: "1")), token: 1)
        let first = shared.takeUnwritten(countMax: 10)
        shared.take(.delete("a"), token: 2)
        #expect(shared.state(of: "a")?.isDeleted == true)
        shared.settle(first[0].token, version: ItemVersion(5, 0))
        #expect(shared.state(of: "a")?.isDeleted == true)
        shared.accept(first[0].change, version: ItemVersion(5, 0))
        #expect(shared.state(of: "a")?.isDeleted == true)
        // Another's change that comes between in the order counts neither.
        shared.accept(.upsert(ItemDescription(item: "a", title: "other")), version: ItemVersion(6, 0))
        #expect(shared.state(of: "a")?.isDeleted == true)
        shared.settle(2, version: ItemVersion(7, 0))
        #expect(shared.state(of: "a")?.isDeleted == true)
        shared.accept(.upsert(ItemDescription(item: "a", title: "later")), version: ItemVersion(8, 0))
        #expect(shared.state(of: "a")?.description?.title == "later")
    }

    @Test("of an item only the last word waits to be written, and restorations are not remembered without end")
    func bounds() {
        var shared = SharedItems(restoredMax: 100)
        for token in 1...10_000 as ClosedRange<UInt64> {
            shared.take(token.isMultiple(of: 2) ? .delete("a") : .window(ItemWindow(item: "a")), token: token)
        }
        #expect(shared.pendingCount <= 2)
        for number in 1...1000 as ClosedRange<UInt64> {
            shared.accept(.restore("item \(number)"), version: ItemVersion(number, 0))
        }
        #expect(shared.registerCount <= 101)
        #expect(shared.state(of: "item 1") == nil)
    }

    @Test("what was known before sharing is earlier than anything shared, and is brought where it is missing")
    func adopted() {
        var shared = SharedItems(restoredMax: 100)
        var state = ItemState(description: ItemDescription(item: "a", title: "old"))
        state.window = ItemWindow(item: "a", isHidden: true)
        shared.adopt("a", state)
        #expect(shared.state(of: "a") == state)
        #expect(shared.compare(with: [:], isKnown: true, forgotten: ItemVersion(100, 0)).missing.count == 2)
        shared.accept(.upsert(ItemDescription(item: "a", title: "new")), version: ItemVersion(1, 0))
        #expect(shared.state(of: "a") == ItemState(description: ItemDescription(item: "a", title: "new")))
    }

    @Test("what a store that is known lacks was restored, if it is older than restorations are remembered")
    func restoredLongAgo() {
        var shared = SharedItems(restoredMax: 100)
        shared.accept(.delete("old"), version: ItemVersion(10, 0))
        shared.accept(.delete("new"), version: ItemVersion(200, 0))
        let comparison = shared.compare(with: [:], isKnown: true, forgotten: ItemVersion(100, 0))
        #expect(comparison.dropped == ["old"])
        #expect(comparison.missing.map(\.change) == [.delete("new")])
        #expect(shared.state(of: "old") == nil)
        var other = SharedItems(restoredMax: 100)
        other.accept(.delete("old"), version: ItemVersion(10, 0))
        #expect(other.compare(with: [:], isKnown: false, forgotten: ItemVersion(100, 0)).missing.count == 1)
    }

    @Test("versions are read strictly and in their order")
    func versions() {
        #expect(ItemVersion("1700000000000-3") == ItemVersion(1_700_000_000_000, 3))
        for bad in [
            "", "-", "1", "1-", "-1", "1-2-3", "a-1", "+1-2", " 1-2", "18446744073709551615-0", "281474976710656-0",
        ] {
            #expect(ItemVersion(bad) == nil, "\(bad)")
        }
        #expect(ItemVersion(1, 9) < ItemVersion(2, 0) && ItemVersion(2, 0) < ItemVersion(2, 1))
    }

    @Test("records are read as they were written, and damaged ones are refused")
    func records() throws {
        var random = SeededGenerator(seed: 7)
        let record = SharedItemsRecord(
            author: 9, history: 8, heard: ItemVersion(7, 6),
            entries: (0..<20).map {
                .init(version: ItemVersion(UInt64($0), 1), token: UInt64($0), change: Self.change($0, &random))
            })
        let bytes = record.encoded
        #expect(try SharedItemsRecord(decoding: bytes[...]) == record)
        for end in 0..<bytes.count { #expect(throws: LogError.self) { try SharedItemsRecord(decoding: bytes[..<end]) } }
        for _ in 0..<2000 {
            var bad = bytes
            bad[Int.random(in: 0..<bad.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            _ = try? SharedItemsRecord(decoding: bad[...])
        }
    }
}
