import ArgumentParser
import EventLog
import Training
import Vocabulary

/// `martlet log verify`
struct LogVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read all of a log and say whether something that was stored is lost.",
        discussion: "Exit code 0: sound; 2: damaged, each place named on standard error; 1: it could not be read.")

    @Argument(help: "The log's folder.", completion: .directory)
    var log: String
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { try ArgumentCheck.path(log, "the log") }

    func run() throws {
        try LongCommand.run(unfinished: "the log was not looked at to its end") { cancellation in
            let found = try LogFindings(log, cancellation)
            LogCommand.tell(found.report)
            if json {
                print(try AnswerOutput.json(LogDocument(found)))
            } else {
                let report = found.report
                let torn = report.log.discardedBytes
                print(
                    "\(log): \(report.isDamaged ? "DAMAGED" : "sound"); \(found.counted) in "
                        + "\(report.records.counted("record")) of \(found.segments.count.counted("segment"))"
                        + (torn > 0
                            ? "; \(torn.counted("byte")) at the end were never stored: a write under way, or one that a crash cut off"
                            : ""))
            }
            if found.report.isDamaged { throw ExitCode(LogCommand.damagedCode) }
        }
    }
}

/// `martlet log info`
struct LogInfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show what a log holds: segments, records, events by type, first and last time.",
        discussion: "Reads all of it. Damage is shown and does not change the exit code, as it does with `log verify`.")

    @Argument(help: "The log's folder.", completion: .directory)
    var log: String
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { try ArgumentCheck.path(log, "the log") }

    func run() throws {
        try LongCommand.run(unfinished: "the log was not looked at to its end") { cancellation in
            let found = try LogFindings(log, cancellation)
            if json { return print(try AnswerOutput.json(LogDocument(found))) }
            LogCommand.tell(found.report)
            print(found.text, terminator: "")
        }
    }
}

/// A log that was read from one end to the other.
struct LogFindings {
    let path: String
    let segments: [(name: String, bytes: Int, madeAtMilliseconds: UInt64?)]
    let report: ArchiveReport
    let survey: EventSurvey
    /// Nil of a log of events.
    let slates: SlateSurvey?

    init(_ path: String, _ cancellation: Cancellation) throws {
        let archive = try LogArchive(path: path)
        self.path = path
        segments = try archive.segments()
        var (survey, slates) = (EventSurvey(), SlateSurvey())
        var seen = 0
        let line = ProgressLine("log")
        defer { line.clear() }
        func tick(_ what: String) throws {
            seen += 1
            if seen & 0xFFF == 0 {
                try cancellation.check()
                line.update(nil, seen.counted(what))
            }
        }
        if try archive.holdsSlates() {
            report = try archive.readSlates { slate in
                slates.add(slate)
                try tick("slate")
            }
            self.slates = slates
        } else {
            report = try archive.read { event in
                survey.add(event)
                try tick("event")
            }
            self.slates = nil
        }
        self.survey = survey
    }

    /// "12 events", or slates.
    var counted: String {
        slates == nil ? report.events.counted("event") : report.slates.counted("slate")
    }

    var bytes: Int { segments.reduce(0) { $0 + $1.bytes } }

    var text: String {
        var table = AnswerTable([("log", .left), (path, .left)])
        func range(_ first: String?, _ last: String?) -> String { first.map { "\($0) to \(last ?? $0)" } ?? "none" }
        table.add(["segments", "\(AnswerOutput.count(UInt64(segments.count))), \(AnswerOutput.size(UInt64(bytes)))"])
        let made = segments.compactMap(\.madeAtMilliseconds)
        table.add(["segments made", range(made.min().map(EventTime.text), made.max().map(EventTime.text))])
        table.add([
            "records",
            "\(AnswerOutput.count(UInt64(report.records))), numbers \(range(report.log.first.map(String.init), report.log.last.map(String.init)))",
        ])
        if let slates {
            for row in slates.rows(bytes: bytes) { table.add(row) }
            table.add(["times", range(slates.first.map(EventTime.text), slates.last.map(EventTime.text))])
            table.add(["damage", report.isDamaged ? "yes, see above" : "none"])
            return table.text
        }
        table.add(["events", AnswerOutput.count(UInt64(report.events))])
        for (type, count) in survey.types.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            table.add(["  \(type)", AnswerOutput.count(UInt64(count))])
        }
        table.add(["times", range(survey.first.map(EventTime.text), survey.last.map(EventTime.text))])
        table.add(["damage", report.isDamaged ? "yes, see above" : "none"])
        return table.text
    }
}

/// The same as JSON. Types are values, so that no name is rewritten.
struct LogDocument: Encodable {
    struct TypeCount: Encodable {
        var type: String
        var count: Int
    }

    var path: String
    var segments: Int
    var bytes: Int
    var records: Int
    var firstRecord: UInt64?
    var lastRecord: UInt64?
    var events: Int
    var slates: Int
    var types: [TypeCount]
    var firstTime: String?
    var lastTime: String?
    var damaged: Bool
    var damages: [String]
    /// Records that were stored and are lost.
    var lostRecords: UInt64
    var unstoredBytes: Int

    init(_ found: LogFindings) {
        let report = found.report
        path = found.path
        segments = found.segments.count
        bytes = found.bytes
        records = report.records
        firstRecord = report.log.first
        lastRecord = report.log.last
        events = report.events
        slates = report.slates
        types = found.survey.types.sorted { $0.key < $1.key }.map { TypeCount(type: $0.key, count: $0.value) }
        firstTime = (found.slates?.first ?? found.survey.first).map(EventTime.text)
        lastTime = (found.slates?.last ?? found.survey.last).map(EventTime.text)
        damaged = report.isDamaged
        damages = report.log.damages.map(\.description)
        lostRecords = report.log.damages.reduce(UInt64(report.undecodableCount)) { $0 + UInt64($1.missing.count) }
        unstoredBytes = report.log.discardedBytes
    }
}
