import EventLog
import LiveState
import TestSupport
import Testing
import Vocabulary

@testable import Training

@Suite("What happened when", .ownThreads) struct EventTimelineTests {
    private func texts(_ timeline: EventTimeline, _ user: String, before moment: Int64 = .max) throws -> [String] {
        let row = try #require(timeline.users.row(of: user))
        return timeline.places(of: row, before: moment).map { place in
            let type = timeline.types[timeline.type(place)]?.name ?? "?"
            return "\(timeline.items.string(timeline.itemRows[place])) \(type) \(timeline.times[place])"
        }
    }

    @Test("a user's events stand in the order of their times, those of one moment as they came")
    func order() throws {
        var builder = EventTimelineBuilder(try EventTypes())
        for (user, item, type, time) in [
            ("a", "x", "click", 30), ("b", "x", "view", 10), ("a", "y", "impression", 10), ("a", "z", "like", 30),
            ("a", "w", "unheard of", 5), ("b", "y", "click", 10),
        ] { builder.add(user: user, item: item, type: type, time: Int64(time)) }
        let timeline = builder.finish()
        #expect(timeline.count == 5 && timeline.hasShown && timeline.letGo == 0)
        #expect(try texts(timeline, "a") == ["y impression 10", "x click 30", "z like 30"])
        #expect(try texts(timeline, "a", before: 30) == ["y impression 10"])
        #expect(try texts(timeline, "a", before: 10).isEmpty)
        #expect(try texts(timeline, "b", before: 11) == ["x view 10", "y click 10"])
    }

    @Test("beyond the bound the events that came first are let go")
    func bound() throws {
        var builder = EventTimelineBuilder(try EventTypes(), countMax: 10)
        for number in 0..<37 {
            builder.add(user: "u\(number % 3)", item: "i\(number)", type: "click", time: Int64(number))
        }
        let timeline = builder.finish()
        #expect(timeline.count == 10 && timeline.letGo == 27 && !timeline.hasShown)
        let kept = try (0..<3).flatMap { try texts(timeline, "u\($0)") }
        #expect(Set(kept) == Set((27..<37).map { "i\($0) click \($0)" }))
    }

    @Test("a log gives all its events, a file its interactions, and one without times none")
    func sources() throws {
        let folder = try ScratchFolder()
        try writeLog(
            "\(folder.path)/log",
            [
                event("a", "x", "impression", 3), event("a", "x", "click", 5), event("b", "y", "impression", 1),
                event("b", "y", "watched", 9), event("a", "z", "hide", 7),
            ])
        var options = LogImportOptions()
        options.keepsTimeline = true
        options.weights = try EventWeights(parsing: "watched=2")
        let base = try imported(folder.write("base.csv", "user,item,value,time\na,w,1,1600000000000\n"))
        let archive = try LogArchive(path: "\(folder.path)/log")
        let timeline = try #require(try LogImport(options).read(archive, base: base).timeline)
        func at(_ seconds: Int64) -> Int64 { 1_700_000_000_000 + seconds * 1000 }
        #expect(
            try texts(timeline, "a") == [
                "w click 1600000000000", "x impression \(at(3))", "x click \(at(5))", "z hide \(at(7))",
            ])
        #expect(try texts(timeline, "b") == ["y impression \(at(1))", "y watched \(at(9))"])
        #expect(timeline.hasShown)
        options.keepsTimeline = false
        #expect(try LogImport(options).read(archive).timeline == nil)
        let file = try #require(try EventTimeline(base))
        #expect(try texts(file, "a") == ["w click 1600000000000"])
        #expect(try EventTimeline(imported(folder.write("plain.csv", "user,item\na,w\n"))) == nil)
    }
}
