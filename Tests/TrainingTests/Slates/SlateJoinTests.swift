import Artifacts
import EventLog
import Features
import TestSupport
import Testing
import Vocabulary

@testable import Training

enum JSONPrinter {
    static func text(_ schema: FeatureSchema) -> String { JSONText.print(schema.json(), indented: false) }
}

@Suite struct SlateJoinTests {
    let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func join(
        _ slates: [LoggedSlate], _ events: [UserEvent], _ options: SlateJoinOptions = SlateJoinOptions()
    ) throws -> ([JoinedSlate], SlateJoinReport) {
        let (log, other) = ("\(folder.path)/events", "\(folder.path)/slates")
        try writeLog(log, events)
        try writeSlates(other, slates)
        var found: [JoinedSlate] = []
        let report = try SlateJoin(events: LogArchive(path: log), options).forEach(LogArchive(path: other)) {
            found.append($0)
        }
        return (found, report)
    }

    @Test(
        "events join by request ID, user and item within the window; the sum agrees with a plain double loop",
        arguments: 0..<4)
    func oracle(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let items = (0..<12).map { "i\($0)" }
        let slates = (0..<80).map { number in
            slate(
                "r\(number % 60)", user: "u\(number % 60 % 9)", seconds: UInt64(number * 100),
                shown: Array(items.shuffled(using: &random).prefix(5)))
        }
        let types = ["click", "view", "purchase", "hide", "impression", "unheard"]
        var events = (0..<600).map { _ in
            event(
                "u\(Int.random(in: 0..<9, using: &random))", items.randomElement(using: &random) ?? "",
                types.randomElement(using: &random) ?? "", .random(in: 0..<12_000, using: &random),
                request: Bool.random(using: &random) ? "r\(Int.random(in: 0..<70, using: &random))" : "")
        }
        events.append(event("last", "x", "click", 20_000))
        var options = SlateJoinOptions()
        options.window = 1_800_000
        let (found, report) = try join(slates, events, options)
        #expect(found.count == 80 && report.joined == 80)
        for joined in found {
            for place in 0..<joined.slate.shownCount {
                var expected: Float = 0
                for event in events {
                    let since = Int64(event.timeMilliseconds) - Int64(joined.slate.timeMilliseconds)
                    guard event.requestID == joined.slate.requestID, event.user == joined.slate.user,
                        event.item == joined.slate.items[place], (-300_000...1_800_000).contains(since)
                    else { continue }
                    expected += Float(EventWeights.standard[event.type] ?? 0)
                }
                #expect(joined.answers[place] == expected, "seed \(seed), \(joined.slate.requestID), place \(place)")
            }
            #expect(!joined.isOpen)
        }
        #expect(report.answered == found.count { $0.hasAnswer })
    }

    @Test("a slate whose window reaches past the last event is open")
    func open() throws {
        let (found, report) = try join(
            [slate("a", seconds: 0, shown: ["x"]), slate("b", seconds: 5000, shown: ["x"])],
            [event("u", "x", "click", 10, request: "a"), event("u", "x", "click", 5010, request: "b")])
        #expect(found.map(\.isOpen) == [false, true] && report.open == 1)
        #expect(found.map(\.answers) == [[1], [1]])
    }

    @Test("a repeated slate gets the features of the items that the first one showed")
    func cached() throws {
        var again = slate("again", seconds: 60, shown: ["x", "y"])
        again.marks = .cached
        again.original = "first"
        var orphan = again
        (orphan.requestID, orphan.original) = ("orphan", "")
        let (found, report) = try join(
            [slate("first", shown: ["x", "y"], others: ["z"], numbers: [1, 2, 3]), again, orphan],
            [event("u", "y", "click", 70, request: "again"), event("v", "q", "click", 9000)])
        #expect(found[1].slate.features?.numbers == [[1, 2]] && found[1].answers == [0, 1])
        #expect(found[2].slate.features == nil)
        #expect(report.cached == 2 && report.cachedWithFeatures == 1)
    }

    @Test("slates teach with the features as they were served; what cannot be told apart is counted")
    func examples() throws {
        let schema = FeatureSchema(fields: [FeatureField("n", from: .retrievalScore, .dense(.none, missing: 0))])
        var drawn = slate("d", seconds: 1, shown: ["x", "y"], others: ["z"], numbers: [5, 6, 7], schema: schema.hash)
        drawn.propensities = [0.5, 0.01]
        var bad = slate("m", seconds: 3, shown: ["x"], numbers: [9], schema: schema.hash)
        bad.features?.numbers = []
        let slates = [
            slate("a", seconds: 0, shown: ["x", "y"], numbers: [1, 2], schema: schema.hash), drawn,
            slate("b", seconds: 2, shown: ["x"], numbers: [3], schema: "abc"), bad,
            slate("c", seconds: 4, shown: ["x"]), slate("open", seconds: 9000, shown: ["x"], numbers: [1]),
        ]
        let (log, other) = ("\(folder.path)/events", "\(folder.path)/slates")
        try writeLog(log, [event("u", "y", "click", 10, request: "a"), event("v", "q", "click", 9000)])
        try writeSlates(other, slates, schema: schema)
        let (found, report, _) = try SlateExamples.read(
            SlateJoin(events: LogArchive(path: log)), LogArchive(path: other))
        let examples = try #require(found)
        #expect(examples.schema == schema)
        #expect(
            report
                == SlateExamples.Report(
                    slates: 6, lists: 2, examples: 4, positives: 1, open: 1, withoutFeatures: 1, otherSchema: 1,
                    misfits: 1, letGo: 0, drawn: 2, clipped: 1))
        let rows = LabelledRows(FeatureLayout(schema))
        examples.lessons { _ in true }.append(to: rows)
        #expect(rows.labels == [0, 1, 0, 0] && rows.listEnds == [2, 4])
        #expect((0..<4).map { rows.rows.number($0, 0) } == [1, 2, 5, 6])
        // 1, 1, 2 and 10 (cut down from 100), brought to a mean of 1.
        let mean: Float = 14 / 4
        for (weight, expected) in zip(rows.weights, [1, 1, 2, 10] as [Float]) {
            #expect(abs(weight - expected / mean) < 1e-5)
        }
        #expect(examples.lessons { $0.time > 1_700_000_000_000 }.users.isEmpty)
    }
}
