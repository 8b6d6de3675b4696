import Artifacts
import EventLog
import TestSupport
import Testing
import Vocabulary

@testable import Training

/// Writes events into the log of a folder, some to a record.
func writeLog(_ path: String, _ events: [UserEvent], recordEvents: Int = 7, segmentBytes: Int = 64 << 20) throws {
    let writer = try LogWriter(
        FileStorage(path: path, creates: true), LogConfiguration(segmentBytesMax: segmentBytes),
        clock: { 0 }, wallClock: { 1_700_000_000_000 }, outcome: { _ in })
    for start in stride(from: 0, to: events.count, by: recordEvents) {
        let part = Array(events[start..<min(events.count, start + recordEvents)])
        _ = try writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(part))
    }
    writer.close()
}

func event(
    _ user: String, _ item: String, _ type: String, _ seconds: UInt64, value: Float? = nil, request: String = ""
) -> UserEvent {
    var event = UserEvent(user: user, item: item, type: type, value: value, requestID: request)
    event.timeMilliseconds = 1_700_000_000_000 + seconds * 1000
    return event
}

@Suite("Interactions from a log", .ownThreads) struct LogImportTests {
    let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func read(
        _ events: [UserEvent], _ options: LogImportOptions = LogImportOptions(), base: Interactions? = nil,
        name: String = "log"
    ) throws -> (interactions: Interactions, report: LogImportReport, shown: ShownItems?) {
        let path = "\(folder.path)/\(name)"
        try writeLog(path, events)
        let found = try LogImport(options).read(LogArchive(path: path), base: base)
        return (found.interactions, found.report, found.shown)
    }

    /// A log of many users, and the same as lines of user, item, value, time.
    private func world(_ seed: UInt64) -> (events: [UserEvent], csv: String) {
        var random = SeededGenerator(seed: seed)
        var (events, csv): ([UserEvent], String) = ([], "user,item,value,time\n")
        for number in 0..<6000 {
            let user = Int.random(in: 0..<120, using: &random)
            let item = (user % 4) * 20 + Int.random(in: 0..<25, using: &random)
            let type =
                ["click", "purchase", "rating", "view", "impression", "like"].randomElement(using: &random) ?? "click"
            let rating = Float(Int.random(in: 0...5, using: &random))
            let one = event("u\(user)", "i\(item)", type, UInt64(number), value: type == "rating" ? rating : nil)
            events.append(one)
            let weight: Float =
                ["click": 1, "purchase": 3, "rating": rating, "view": 1, "impression": 0, "like": 2][type] ?? 0
            csv += "u\(user),i\(item),\(weight),\(one.timeMilliseconds)\n"
        }
        return (events, csv)
    }

    @Test("a log gives what a file of its events gives")
    func asFile() throws {
        let (events, csv) = world(1)
        let (fromLog, report, _) = try read(events)
        let fromFile = try imported(folder.write("same.csv", csv))
        #expect(fromLog.inBundleOrder() == fromFile.inBundleOrder())
        #expect(report.events == 6000 && report.impressions > 500 && report.belowMinimum > 50)
        #expect(report.pairs + report.impressions + report.belowMinimum == 6000)
        var options = LogImportOptions()
        options.minimumValue = 3
        let strict = try read(events, options, name: "strict").interactions
        // Of a log the minimum is one of ratings.
        let lines = zip(events, csv.split(separator: "\n").dropFirst()).filter { one, _ in
            one.type == "rating" ? (one.value ?? 0) >= 3 : one.type != "impression"
        }
        let expected = try imported(
            folder.write("strict.csv", "user,item,value,time\n" + lines.map { $0.1 + "\n" }.joined()))
        #expect(strict.inBundleOrder() == expected.inBundleOrder())
    }

    @Test("a bundle from a log has the tensors of one from a file, whatever is done with values")
    func sameBundle() throws {
        let (events, csv) = world(2)
        let fromLog = try read(events).interactions
        let fromFile = try imported(folder.write("same.csv", csv))
        var plan = TrainedSample.plan
        plan.threads = 1
        for confidence in [TrainingPlan.Confidence.equal, .value, .count] {
            plan.confidence = confidence
            var sums: [[String: String]] = []
            for (name, data) in [("log", fromLog), ("file", fromFile)] {
                let path = "\(folder.path)/\(name)-\(confidence)"
                let manifest = try Trainer(plan).train(
                    data, attributes: ItemAttributes(), into: BundleWriter(destination: path))
                sums.append(Dictionary(manifest.files.map { ($0.path, $0.sha256) }, uniquingKeysWith: { $1 }))
            }
            #expect(sums[0] == sums[1] && sums[0].count > 5, "\(confidence)")
        }
    }

    @Test("windows of time, weights and unwanted items")
    func rules() throws {
        let events = [
            event("a", "x", "click", 10), event("a", "y", "purchase", 20), event("a", "z", "hide", 5),
            event("a", "z", "click", 30), event("b", "x", "view", 40), event("b", "y", "dislike", 50),
            event("b", "w", "rating", 60), event("b", "v", "stare", 70), event("c", "x", "click", 80),
            event("c", "x", "purchase", 90),
        ]
        let all = try read(events)
        #expect(
            all.interactions.named.map { "\($0.user)\($0.item)=\(Int($0.value))x\($0.repeats)" }.sorted() == [
                "ax=1x1", "ay=3x1", "bx=1x1", "cx=3x2",
            ])
        #expect(
            all.report.unwanted == 1 && all.report.ratingsWithoutValue == 1 && all.report.unweighted == ["stare": 1])
        var options = LogImportOptions()
        options.since = 1_700_000_020_000
        options.until = 1_700_000_080_000
        options.weights = try EventWeights(parsing: "stare=0.5, view = 0,purchase=7")
        let some = try read(events, options, name: "some")
        #expect(some.report.outsideWindow == 4)
        #expect(
            some.interactions.named.map { "\($0.user)\($0.item)=\($0.value)" }.sorted() == [
                "ay=7.0", "az=1.0", "bv=0.5",
            ])
    }

    @Test("a base is merged with the log, and may be undated")
    func base() throws {
        let events = [event("a", "x", "purchase", 100), event("n", "new", "click", 200), event("a", "y", "hide", 300)]
        let undated = try imported(folder.write("base.csv", "user,item\na,x\na,y\na,q\nb,x\n"))
        let (merged, report, _) = try read(events, base: undated)
        #expect(
            merged.named.sorted() == [
                NamedPair(user: "a", item: "q", time: 1_700_000_099_999),
                NamedPair(user: "a", item: "x", value: 3, time: 1_700_000_100_000, repeats: 2),
                NamedPair(user: "b", item: "x", time: 1_700_000_099_999),
                NamedPair(user: "n", item: "new", time: 1_700_000_200_000),
            ])
        #expect(report.baseIsUndated && report.basePairs == 4 && report.unwanted == 1)
        let dated = try imported(
            folder.write("dated.csv", "user,item,value,time\na,x,9,1800000000\nb,x,1,1600000000\nb,x,1,1600000001\n"))
        let later = try read(events, base: dated, name: "dated").interactions
        #expect(
            later.named.first { $0.user == "a" && $0.item == "x" }
                == NamedPair(user: "a", item: "x", value: 9, time: 1_800_000_000_000, repeats: 2))
        #expect(later.named.first { $0.user == "b" }?.repeats == 2)
    }

    @Test("what was shown and passed over is told from what was answered, and from what may still be")
    func shown() throws {
        let events = [
            event("a", "passed", "impression", 0), event("a", "clicked", "impression", 0),
            event("a", "clicked", "click", 50),
            event("a", "late", "impression", 0), event("a", "late", "click", 200),
            event("a", "asked", "impression", 0, request: "r1"), event("a", "asked", "click", 500, request: "r1"),
            event("a", "before", "click", 0), event("a", "before", "impression", 10),
            event("a", "twice", "impression", 0), event("a", "twice", "click", 5),
            event("a", "twice", "impression", 300),
            event("b", "passed", "click", 20), event("a", "hidden", "hide", 20), event("a", "open", "impression", 950),
            event("b", "end", "click", 1000),
        ]
        var options = LogImportOptions()
        options.impressionWindow = 100_000
        let found = try #require(try read(events, options).shown)
        let items = ["passed", "clicked", "late", "asked", "before", "twice", "hidden", "open"]
        #expect(
            items.filter { found.contains(user: "a", item: $0) } == ["passed", "late", "before", "twice", "hidden"])
        #expect(found.count == 5 && found.letGo == 0)
        #expect(try read(events, name: "none").shown == nil)
        options.until = 1_700_000_000_000 + 150_000
        let early = try #require(try read(events, options, name: "early").shown)
        #expect(
            items.filter { early.contains(user: "a", item: $0) } == ["passed", "late", "asked", "before", "hidden"])
    }

    @Test("impressions are bounded: the oldest are let go")
    func bounded() {
        var collector = ImpressionCollector(window: 1000, countMax: 100)
        for number in 0..<250 { collector.shown(event("u\(number)", "i", "impression", UInt64(number))) }
        collector.notice(1_700_001_000_000)
        let found = collector.finish(until: nil)
        #expect(found.count == 100 && found.letGo == 150)
        #expect(!found.contains(user: "u149", item: "i") && found.contains(user: "u150", item: "i"))
    }

    @Test("a log that gives nothing to learn from says why")
    func nothing() throws {
        func message(
            _ events: [UserEvent], _ options: LogImportOptions = LogImportOptions(), name: String
        ) -> String {
            do {
                _ = try read(events, options, name: name)
                return "taken"
            } catch { return "\(error)" }
        }
        #expect(message([], name: "empty").contains("there is no event in this log yet"))
        #expect(
            message([event("a", "x", "impression", 0)], name: "shown").contains(
                "none that makes an interaction: 1 impression"))
        #expect(message([event("a", "x", "stare", 0)], name: "odd").contains("1 of type 'stare', which has no weight"))
        var options = LogImportOptions()
        options.since = 1_800_000_000_000
        #expect(
            message([event("a", "x", "click", 0)], options, name: "old").contains(
                "none of the 1 event lies since 2027-01-15"))
        #expect(
            message([event("a", "x", "click", 0), event("a", "x", "hide", 1)], name: "hidden").contains("did not want"))
        #expect(throws: LogError.self) { try LogArchive(path: folder.path) }
        #expect(throws: LogError.self) { try LogArchive(path: folder.path + "/absent") }
    }

    @Test(
        "weights that are none are refused by name",
        arguments: ["", "click", "click=", "=1", "click=nan", "click=1,click=2", "a=1e9"])
    func weights(text: String) {
        #expect(throws: DatasetError.self) { try EventWeights(parsing: text) }
    }
}
