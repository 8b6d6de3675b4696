import ArgumentParser
import EventLog
import Foundation
import Training
import Vocabulary

/// `martlet log export`
struct LogExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the events or slates of a log as CSV or JSON lines, in the order in which they were stored.",
        discussion: """
            The columns are user, item, type, value, time (milliseconds since 1970), scenario, request_id and id: what \
            `martlet ingest` reads.
            Of a slate log JSON lines hold one slate each, with features; CSV and TSV hold one line for each item, those that \
            were not shown without a position. With --joined what users answered stands beside the items.
            Exit code 2: the log is damaged, and the file holds what is left of it.
            """)

    @Argument(help: "The log's folder.", completion: .directory)
    var log: String
    @Option(help: "How to write: \(EventFileFormat.names) (default: by the ending of --output, else csv).")
    var format: EventFileFormat?
    @OptionGroup var window: WindowArguments
    @Option(help: ArgumentHelp("Only events of this type; repeated: of any of them.", valueName: "type"))
    var type: [String] = []
    @Flag(help: "Of a slate log: join the events that name the slates' request IDs.")
    var joined = false
    @Option(
        help: ArgumentHelp("The event log to join (default: the folder that the slate log lies in).", valueName: "dir"))
    var events: String?
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long a slate may be answered (default: 1h); only with --joined.", valueName: "duration")
    )
    var impressionWindow: String?
    @Option(help: "The file to write; - for standard output.")
    var output = "-"
    @Flag(help: "Replace a file that stands at the output.")
    var replace = false

    func validate() throws {
        try ArgumentCheck.path(log, "the log")
        try ArgumentCheck.path(output, "--output")
        for type in type { try ArgumentCheck.id(type, "--type") }
        try ArgumentCheck.path(events, "--events")
        if !joined, let flag = events != nil ? "--events" : impressionWindow != nil ? "--impression-window" : nil {
            throw ValidationError("\(flag) has no effect without --joined")
        }
        _ = try SlateLogArguments.milliseconds(impressionWindow)
    }

    func run() throws {
        try LongCommand.run(unfinished: "no file was written") { cancellation in
            let archive = try LogArchive(path: log)
            let window = try window.window()
            if try archive.holdsSlates() { return try exportSlates(archive, window, cancellation) }
            if joined { throw ValidationError("--joined has no effect: \(log) is no slate log") }
            let types = Set(type)
            let writer = EventFileWriter(format ?? Self.format(of: output))
            let file = try ExportFile(output, replace: replace)
            let line = ProgressLine("export")
            defer { line.clear() }
            var (seen, written) = (0, 0)
            let report: ArchiveReport
            do {
                try file.write(writer.beginning)
                report = try archive.read { event in
                    seen += 1
                    if seen & 0xFFF == 0 {
                        try cancellation.check()
                        line.update(nil, written.counted("event"))
                    }
                    guard window.contains(event.timeMilliseconds), types.isEmpty || types.contains(event.type) else {
                        return
                    }
                    try file.write(writer.line(event))
                    written += 1
                }
                try file.finish()
            } catch {
                file.abandon()
                throw error
            }
            LogCommand.tell(report)
            line.finish("\(written.counted("event")) of \(seen) to \(output == "-" ? "standard output" : output)")
            if report.isDamaged { throw ExitCode(LogCommand.damagedCode) }
        }
    }

    private func exportSlates(_ archive: LogArchive, _ window: TimeWindow, _ cancellation: Cancellation) throws {
        if !type.isEmpty { throw ValidationError("--type has no effect: \(log) is a slate log, which has no types") }
        let writer = SlateFileWriter(format ?? Self.format(of: output), isJoined: joined)
        let line = ProgressLine("export")
        defer { line.clear() }
        var join: SlateJoin?
        if joined {
            var options = SlateJoinOptions()
            (options.since, options.until) = (window.since, window.until)
            options.window = try SlateLogArguments.milliseconds(impressionWindow)
            let events = try LogArchive(path: events ?? SlateLogArguments.parent(of: log))
            join = try SlateJoin(events: events, options) { seen in
                try cancellation.check()
                line.update(nil, seen.counted("event"))
            }
        }
        let file = try ExportFile(output, replace: replace)
        var (seen, written) = (0, 0)
        func write(_ slate: JoinedSlate) throws {
            try file.write(writer.text(slate))
            written += 1
        }
        func tick() throws {
            seen += 1
            if seen & 0xFF == 0 {
                try cancellation.check()
                line.update(nil, written.counted("slate"))
            }
        }
        let report: ArchiveReport
        do {
            try file.write(writer.beginning)
            if let join {
                report = try join.forEach(archive) { slate in
                    try tick()
                    try write(slate)
                }.slates
            } else {
                report = try archive.readSlates { slate in
                    try tick()
                    guard window.contains(slate.timeMilliseconds) else { return }
                    try write(JoinedSlate(slate: slate, answers: [], isOpen: false))
                }
            }
            try file.finish()
        } catch {
            file.abandon()
            throw error
        }
        LogCommand.tell(report)
        line.finish("\(written.counted("slate")) of \(report.slates) to \(output == "-" ? "standard output" : output)")
        if report.isDamaged { throw ExitCode(LogCommand.damagedCode) }
    }

    static func format(of output: String) -> EventFileFormat {
        if output.hasSuffix(".jsonl") || output.hasSuffix(".ndjson") { return .jsonl }
        return output.hasSuffix(".tsv") ? .tsv : .csv
    }
}

/// A file that is written beside its place and moved there when it is whole; or standard output.
private struct ExportFile {
    private let path: String
    private let partial: String?
    private let writer: TextFileWriter

    init(_ path: String, replace: Bool) throws {
        self.path = path
        guard path != "-" else {
            partial = nil
            writer = try TextFileWriter.standardOutput()
            return
        }
        if FileManager.default.fileExists(atPath: path), !replace {
            throw DatasetError(.unreadable, "\(path): it is there already; --replace writes it anew")
        }
        let partial = "\(path).partial-\(ProcessInfo.processInfo.processIdentifier)"
        self.partial = partial
        writer = try TextFileWriter(path: partial)
    }

    func write(_ text: String) throws { try writer.write(text) }

    func finish() throws {
        try writer.finish()
        guard let partial, rename(partial, path) != 0 else { return }
        throw DatasetError(.unreadable, "\(path): cannot be put in its place: \(String(cString: strerror(errno)))")
    }

    func abandon() {
        if let partial { _ = unlink(partial) }
    }
}
