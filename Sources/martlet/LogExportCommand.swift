import ArgumentParser
import EventLog
import Foundation
import Training
import Vocabulary

/// `martlet log export`
struct LogExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the events of a log as CSV or JSON lines, in the order in which they were stored.",
        discussion: """
            The columns are user, item, type, value, time (milliseconds since 1970), scenario, request_id and id: what \
            `martlet ingest` reads. Exit code 2: the log is damaged, and the file holds what is left of it.
            """)

    @Argument(help: "The log's folder.", completion: .directory)
    var log: String
    @Option(help: "How to write: \(EventFileFormat.names) (default: by the ending of --output, else csv).")
    var format: EventFileFormat?
    @OptionGroup var window: WindowArguments
    @Option(help: ArgumentHelp("Only events of this type; repeated: of any of them.", valueName: "type"))
    var type: [String] = []
    @Option(help: "The file to write; - for standard output.")
    var output = "-"
    @Flag(help: "Replace a file that stands at the output.")
    var replace = false

    func validate() throws {
        try ArgumentCheck.path(log, "the log")
        try ArgumentCheck.path(output, "--output")
        for type in type { try ArgumentCheck.id(type, "--type") }
    }

    func run() throws {
        try LongCommand.run(unfinished: "no file was written") { cancellation in
            let archive = try LogArchive(path: log)
            let window = try window.window()
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
