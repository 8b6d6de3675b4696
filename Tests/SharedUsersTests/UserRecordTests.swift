import TestSupport
import Testing
import Vocabulary

@testable import SharedUsers

@Suite("UserRecord", .ownThreads)
struct UserRecordTests {
    private static let types = ["click", "hide", "view", "impression"]

    private func event(_ random: inout SeededGenerator, user: String = "u") -> UserEvent {
        var event = UserEvent(
            user: user, item: "item \(Int.random(in: 0..<12, using: &random))",
            type: Self.types.randomElement(using: &random) ?? "click")
        event.timeMilliseconds = UInt64.random(in: 1_000_000...1_060_000, using: &random)
        if Bool.random(using: &random) { event.value = Float.random(in: 0...5, using: &random) }
        if Bool.random(using: &random) { event.id = "e\(Int.random(in: 0..<1000, using: &random))" }
        return event
    }

    private func events(_ count: Int, _ random: inout SeededGenerator) -> [UserEvent] {
        (0..<count).map { _ in event(&random) }
    }

    @Test("pieces in any order, some twice, read as the union of their events", arguments: Seeds.chosen(200))
    func union(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = (0..<Int.random(in: 1...6, using: &random)).map { _ in
            events(Int.random(in: 1...9, using: &random), &random)
        }
        let expected = UserRecord(events: pieces.flatMap(\.self)).events
        #expect(Set(expected.map(UserRecord.Identity.init)) == Set(pieces.joined().map(UserRecord.Identity.init)))
        var shuffled = pieces + [pieces[0]]
        shuffled.shuffle(using: &random)
        let bytes = shuffled.flatMap { UserRecord.piece($0, of: "u") }
        let read = UserRecord(bytes, of: "u")
        #expect(read.events == expected && read.damages == 0 && read.pieces == shuffled.count)
    }

    @Test("what is not of the user, foreign or damaged is counted, and what is sound beside it is read")
    func damaged() {
        var random = SeededGenerator(seed: 7)
        let (first, second) = (events(3, &random), events(4, &random))
        let sound = UserRecord.piece(first, of: "u")
        var broken = UserRecord.piece(second, of: "u")
        broken[20] ^= 1
        let foreign = Array("some other program's words, MU included".utf8)
        for (junk, name) in [
            (broken, "broken"), (foreign, "foreign"), (UserRecord.piece(second, of: "v"), "another's"),
            (Array(sound.dropLast(1)), "torn"),
            ([0x4D, 0x55, 1, 0, 255, 255, 255, 255] + [UInt8](repeating: 0, count: 8), "huge"),
        ] {
            for bytes in [junk + sound, sound + junk, junk + sound + junk] {
                let read = UserRecord(bytes, of: "u")
                #expect(read.events == UserRecord(events: first).events, "\(name)")
                #expect(read.damages >= 1 && read.pieces == 1, "\(name)")
            }
        }
        #expect(UserRecord([], of: "u").damages == 0)
        // Another version of the format.
        var later = sound
        later[2] = 2
        #expect(UserRecord(later + sound, of: "u").events == UserRecord(events: first).events)
    }

    @Test("mutated bytes bring nothing in that was not written, and end", arguments: Seeds.chosen(500))
    func mutated(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let written = (0..<4).map { _ in events(3, &random) }
        let known = Set(UserRecord(events: written.flatMap(\.self)).events)
        let all = Set(
            written.joined().map { event in
                var event = event
                event.scenario = ""
                return event
            })
        let read = UserRecord(random.mutated(written.flatMap { UserRecord.piece($0, of: "u") }), of: "u")
        #expect(Set(read.events).isSubset(of: all.union(known)), "seed \(seed)")
    }

    @Test("a piece whose events nobody could have sent counts as damage")
    func unsound() {
        var events = [UserEvent(user: "u", item: "a", type: "click"), UserEvent(user: "u", item: "", type: "click")]
        events.append(UserEvent(user: "u", item: String(repeating: "x", count: 256), type: "click"))
        events.append(UserEvent(user: "u", item: "b", type: "click", value: .nan))
        let read = UserRecord(UserRecord.piece(events, of: "u"), of: "u")
        #expect(read.events.map(\.item) == ["a"] && read.damages == 3)
    }

    // MARK: Compaction

    private var bounds: RecordBounds {
        var bounds = RecordBounds()
        (bounds.historyMax, bounds.shownMax) = (10, 4)
        return bounds
    }

    private func compacted(_ events: [UserEvent], _ bounds: RecordBounds) -> [UserEvent] {
        UserRecord.compacted(events, bounds) { $0 == "impression" }
    }

    @Test("when a record is compacted makes no difference", arguments: Seeds.chosen(300))
    func associative(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (a, b) = (
            events(Int.random(in: 0...60, using: &random), &random),
            events(Int.random(in: 0...60, using: &random), &random)
        )
        let once = compacted(a + b, bounds)
        #expect(compacted(compacted(a, bounds) + b, bounds) == once, "seed \(seed)")
        #expect(compacted(compacted(a, bounds) + compacted(b, bounds), bounds) == once, "seed \(seed)")
        #expect(compacted(once, bounds) == once, "seed \(seed)")
    }

    @Test(
        "a compacted record keeps the newest events, and every item that was seen or hidden",
        arguments: Seeds.chosen(100))
    func kept(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let all = UserRecord.union(events(80, &random))
        let kept = compacted(all, bounds)
        let telling = all.filter { $0.type != "impression" }
        #expect(Set(telling.suffix(10)).isSubset(of: Set(kept)))
        #expect(
            Set(telling.map { "\($0.item) \($0.type)" })
                == Set(kept.filter { $0.type != "impression" }.map { "\($0.item) \($0.type)" }))
        #expect(kept.filter { $0.type == "impression" } == all.filter { $0.type == "impression" }.suffix(4))
    }

    @Test("a compacted record has at most half of its bytes, the newest of what there was")
    func bytes() {
        var bounds = RecordBounds()
        (bounds.bytesMax, bounds.historyMax) = (4096, 4096)
        let all = (0..<500).map { number in
            var event = UserEvent(user: "u", item: "item \(number)", type: "click")
            event.timeMilliseconds = UInt64(number) * 1000
            return event
        }
        let kept = compacted(all, bounds)
        #expect(kept == all.suffix(kept.count) && kept.count > 20)
        #expect(UserRecord.piece(kept, of: "u").count <= 2048)
    }
}
