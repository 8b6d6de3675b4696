import ArgumentParser
import EventLog
import Foundation
import Training
import Vocabulary

/// Which slates teach the ranker.
struct SlateLogArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The slate log that teaches --ranker (default: the folder `slates` of --from-log, where there is one).",
            valueName: "dir"))
    var slates: String?
    @Flag(help: "Teach --ranker by events alone.")
    var noSlates = false

    func validate() throws {
        try ArgumentCheck.path(slates, "--slates")
        if slates != nil, noSlates { throw ValidationError("give one of --slates and --no-slates") }
    }

    /// A flag that was given.
    var flag: String? { slates != nil ? "--slates" : noSlates ? "--no-slates" : nil }

    /// Reads what slates teach and says what was found.
    ///
    /// - Returns: Nil where there are none of use: the ranker then learns from events alone.
    func examples(
        events: String, _ log: LogArguments, window: UInt64, _ cancellation: Cancellation
    ) throws -> SlateExamples? {
        let folder = slates ?? "\(events)/slates"
        if noSlates || (slates == nil && !FileManager.default.fileExists(atPath: folder)) { return nil }
        let line = ProgressLine("slates")
        defer { line.clear() }
        let options = try Self.options(log, window: window)
        let archive = try LogArchive(path: folder)
        let join = try SlateJoin(events: LogArchive(path: events), options) { seen in
            try cancellation.check()
            line.update(nil, seen.counted("event"))
        }
        let (examples, report, joined) = try SlateExamples.read(join, archive) { seen in
            try cancellation.check()
            line.update(nil, seen.counted("slate"))
        }
        line.finish(Self.summary(report, folder))
        LogCommand.tell(joined.slates)
        if examples == nil {
            StandardError.write("note: no slate of \(folder) teaches the ranker; it learns from events alone\n")
        }
        return examples
    }

    static func options(_ log: LogArguments, window: UInt64) throws -> SlateJoinOptions {
        let read = try log.options(minValue: nil)
        var options = SlateJoinOptions()
        (options.weights, options.since, options.until, options.window) = (
            read.weights, read.since, read.until, window
        )
        return options
    }

    private static func summary(_ report: SlateExamples.Report, _ folder: String) -> String {
        var text = "\(report.examples.counted("example")), \(report.positives) of them answered, from "
        text += "\(report.lists.counted("slate")) of \(folder)"
        let notes: [(Int, String)] = [
            (report.drawn, "examples at places that chance filled, weighed by their propensity"),
            (report.clipped, "of those with the largest weight"), (report.open, "slates may still be answered"),
            (report.withoutFeatures, "slates without features"),
            (report.otherSchema, "slates served with another feature schema"),
            (report.misfits, "slates that misfit theirs"),
            (report.letGo, "slates let go, the oldest"),
        ]
        for (count, words) in notes where count > 0 { text += "; \(count) \(words)" }
        return text
    }

    static func milliseconds(_ text: String?) throws -> UInt64 {
        guard let window = EventTime.duration(text ?? "1h") else {
            throw ValidationError(
                "--impression-window '\(text ?? "")' is no duration: write a number and s, m, h or d, such as 30m")
        }
        return window
    }

    /// The folder that a folder lies in.
    static func parent(of path: String) -> String {
        let url = URL(fileURLWithPath: path).standardizedFileURL.deletingLastPathComponent()
        return url.path
    }
}

/// What the slates of a log are like, in memory that does not grow with it.
struct SlateSurvey {
    private var (slates, shown, others, cached, withFeatures, drawn) = (0, 0, 0, 0, 0, 0)
    private(set) var first: UInt64?
    private(set) var last: UInt64?

    mutating func add(_ slate: LoggedSlate) {
        slates += 1
        shown += slate.shownCount
        others += slate.items.count - slate.shownCount
        if slate.marks.contains(.cached) { cached += 1 }
        if slate.features != nil { withFeatures += 1 }
        if slate.drawnAmong > 0 { drawn += 1 }
        first = min(first ?? .max, slate.timeMilliseconds)
        last = max(last ?? 0, slate.timeMilliseconds)
    }

    func rows(bytes: Int) -> [[String]] {
        func count(_ value: Int) -> String { AnswerOutput.count(UInt64(value)) }
        let mean = slates > 0 ? ", \(bytes / slates) bytes each" : ""
        return [
            ["slates", count(slates) + mean], ["  from the cache", count(cached)],
            ["  with features", count(withFeatures)], ["  with places left to chance", count(drawn)],
            ["items shown", count(shown)], ["further candidates", count(others)],
        ]
    }
}
