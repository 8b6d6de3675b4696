import ArgumentParser
import EventLog
import Foundation
import Training
import Vocabulary

/// Interactions from an event log: the flags that `train` and `evaluate` share.
struct LogArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Take interactions from the event log in this folder.", valueName: "dir"))
    var fromLog: String?
    @OptionGroup var window: WindowArguments
    @Option(
        help: ArgumentHelp(
            "What an event of each type weighs: above 0 an interaction of that value, 0 nothing, below 0 the item is unwanted (default: \(EventWeights.standard.text)).",
            discussion: "A rating weighs its value times this. Types that are not named keep their default.",
            valueName: "type=number,..."))
    var eventWeights: String?

    func validate() throws {
        try ArgumentCheck.path(fromLog, "--from-log")
        if fromLog == nil {
            let flags = [
                ("--since", window.since != nil), ("--until", window.until != nil),
                ("--event-weights", eventWeights != nil),
            ]
            if let flag = flags.first(where: \.1)?.0 {
                throw ValidationError("\(flag) has no effect without --from-log")
            }
        }
        _ = try options(minValue: nil)
    }

    func options(minValue: Double?) throws -> LogImportOptions {
        var options = LogImportOptions()
        do {
            if let eventWeights { options.weights = try EventWeights(parsing: eventWeights) }
        } catch {
            throw ValidationError("--event-weights: \(error)")
        }
        let window = try window.window()
        options.since = window.since
        options.until = window.until
        options.minimumValue = minValue
        return options
    }

    /// Reads the log of `path` and says what was found.
    ///
    /// - Parameters:
    ///   - base: What is known beside it.
    ///   - impressionWindow: How long an impression may be answered, in milliseconds; nil: impressions are not looked at.
    ///   - keepsTimeline: Whether it is wanted what happened when.
    func read(
        _ path: String, base: Interactions? = nil, minValue: Double?, impressionWindow: UInt64? = nil,
        keepsTimeline: Bool = false, _ cancellation: Cancellation
    ) throws -> (interactions: Interactions, note: String, shown: ShownItems?, timeline: EventTimeline?) {
        var options = try options(minValue: minValue)
        options.impressionWindow = impressionWindow
        options.keepsTimeline = keepsTimeline
        let line = ProgressLine("log")
        defer { line.clear() }
        let importer = LogImport(options) { seen in
            try cancellation.check()
            line.update(nil, seen.counted("event"))
        }
        let (interactions, report, shown, timeline) = try importer.read(LogArchive(path: path), base: base)
        line.finish(Self.summary(report, interactions, path))
        LogCommand.tell(report.archive)
        if let shown, report.impressions > 0 || shown.count > 0 {
            line.note(
                "  \(shown.count.counted("pair")) of user and item that was passed over or unwanted, for the ranker"
                    + (shown.letGo > 0 ? "; \(shown.letGo.counted("impression")) let go, the oldest" : ""))
        }
        let window = TimeWindow(since: options.since, until: options.until).words
        let note = "event log \(path)\(window.isEmpty ? "" : " \(window)"), weights \(options.weights.text)"
        if let timeline, timeline.letGo > 0 {
            line.note("  \(timeline.letGo.counted("event")) let go, the oldest, for live features")
        }
        return (interactions, note, shown, timeline)
    }

    private static func summary(_ report: LogImportReport, _ interactions: Interactions, _ path: String) -> String {
        var text = "\(interactions.count.counted("interaction")) of \(interactions.userCount.counted("user")) and "
        text += "\(interactions.itemCount.counted("item")) from \(report.events.counted("event")) of \(path)"
        if report.basePairs > 0 {
            text += " and \(report.basePairs.counted("interaction")) of the input"
            if report.baseIsUndated { text += " (without times: they count as just before the log)" }
        }
        if let first = report.first, let last = report.last {
            text += ", \(EventTime.text(first)) to \(EventTime.text(last))"
        }
        let notes: [(Int, String)] = [
            (report.outsideWindow, "outside the window"), (report.unwanted, "pairs unwanted"),
            (report.belowMinimum, "ratings below the minimum"), (report.ratingsWithoutValue, "ratings without a value"),
        ]
        for (count, words) in notes where count > 0 { text += "; \(count) \(words)" }
        for (type, count) in report.unweighted.sorted(by: { $0.key < $1.key }) {
            text += "; \(count) of type '\(AnswerTable.printable(type))', which has no weight"
        }
        return text
    }
}

/// What `train` learns from: a file, a log, or both.
struct TrainingInput {
    var interactions: Interactions
    /// Where it came from, for the manifest.
    var note: String
    /// The file beside which titles may lie.
    var file: String?
    var shown: ShownItems?
    private var logged: EventTimeline?

    /// - Parameters:
    ///   - impressionWindow: See `LogArguments.read`.
    ///   - keepsTimeline: The same.
    init(
        file: String?, log: LogArguments, _ data: DataArguments, impressionWindow: UInt64?, keepsTimeline: Bool,
        _ cancellation: Cancellation
    ) throws {
        var base: Interactions?
        var notes: [String] = []
        if let file {
            let (read, report) = try data.readWithReport(file, cancellation)
            base = read
            self.file = report.files[0]
            notes.append(report.files[0])
        }
        if let folder = log.fromLog {
            let (read, note, shown, timeline) = try log.read(
                folder, base: base, minValue: data.minValue, impressionWindow: impressionWindow,
                keepsTimeline: keepsTimeline, cancellation)
            base = read
            logged = timeline
            self.shown = shown
            notes.append(note)
        }
        guard let base else { throw ValidationError("give --input FILE, --from-log DIR, or both") }
        interactions = base
        note = notes.joined(separator: " and ")
    }

    /// What happened when; nil where nobody knows.
    func timeline() throws -> EventTimeline? { try logged ?? EventTimeline(interactions) }

    /// Titles, tags and attributes: from `items`, or beside the file.
    func attributes(_ items: String?, _ data: DataArguments) throws -> ItemAttributes {
        guard items != nil || file != nil else { return ItemAttributes() }
        return try data.readAttributes(items, beside: file ?? "", for: interactions)
    }
}
