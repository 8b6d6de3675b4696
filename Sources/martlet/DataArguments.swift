import ArgumentParser
import Foundation
import Training
import Vocabulary

/// How to read a file of interactions: the flags that `train` and `evaluate` share.
struct DataArguments: ParsableArguments {
    @Option(help: "Format of the input: \(InteractionFormat.names) (default: told from its name and first lines).")
    var format: InteractionFormat?
    @Option(
        parsing: .unconditional, help: "Take only interactions with at least this value (default: those above 0).")
    var minValue: Double?
    @Flag(help: "Count lines that cannot be read, show the first few, and go on.")
    var skipBadLines = false

    /// Reads the file or directory at `path`, showing how far it is and then what was found.
    func read(_ path: String, label: String = "import", _ cancellation: Cancellation) throws -> Interactions {
        try readWithReport(path, label: label, cancellation).interactions
    }

    func readWithReport(
        _ path: String, label: String = "import", _ cancellation: Cancellation
    ) throws -> (interactions: Interactions, report: ImportReport) {
        let line = ProgressLine(label)
        let options = ImportOptions(format: format, minimumValue: minValue, skipBadLines: skipBadLines)
        let importer = InteractionImporter(options) { progress in
            try cancellation.check()
            let total = Double(max(progress.bytesTotal, 1))
            line.update(Double(progress.bytesRead) / total, progress.pairs.counted("interaction"))
        }
        do {
            let (interactions, report) = try importer.read(path)
            line.finish(Self.summary(interactions, report))
            for sample in report.badLineSamples { line.note("  skipped: \(sample)") }
            if report.badLines > report.badLineSamples.count {
                let more = report.badLines - report.badLineSamples.count
                line.note("  skipped: and \(more.counted("line")) more")
            }
            return (interactions, report)
        } catch {
            line.clear()
            throw error
        }
    }

    /// Titles, tags and attributes: from `items`, or beside the interactions.
    ///
    /// - Parameter interactions: Told of: how many items of the file have none.
    func readAttributes(
        _ items: String?, beside path: String, for interactions: Interactions
    ) throws -> ItemAttributes {
        let line = ProgressLine("items")
        let attributes =
            try items.map { try ItemAttributes.read($0, skipBadLines: skipBadLines) }
            ?? ItemAttributes.beside(path, skipBadLines: skipBadLines)
        if let file = attributes.file {
            let bad = attributes.badLines > 0 ? "; \(attributes.badLines.counted("bad line")) skipped" : ""
            line.finish("\(attributes.entries.count.counted("title")) from \(file)\(Self.details(attributes))\(bad)")
            let unused = attributes.count(outside: interactions)
            if unused > 0 {
                line.note(
                    "  \(unused.counted("item")) of the file without interactions: left out, as a bundle holds only items that "
                        + "somebody interacted with")
            }
            for column in attributes.columns {
                if let fault = column.fault { line.note("  column \(column.name) is left out: \(fault)") }
                if let remark = column.remark { line.note("  column \(remark)") }
            }
        }
        return attributes
    }

    /// "; attributes brand (text), price (number); 12 items with a window"
    private static func details(_ attributes: ItemAttributes) -> String {
        let names = attributes.attributes.map { "\($0.column.name) (\($0.column.isNumber ? "number" : "text"))" }
        let windows = attributes.windowCount
        return (names.isEmpty ? "" : "; attributes \(names.joined(separator: ", "))")
            + (windows == 0 ? "" : "; \(windows.counted("item")) not always available")
    }

    /// Refuses files that cannot be read, before any work is begun.
    ///
    /// - Parameters:
    ///   - interactions: Files or directories, as `read` takes them.
    ///   - items: A file of titles and tags.
    static func check(interactions: [String?], items: String?) throws {
        for case let path? in interactions { try FileSystem.checkReadable(try InteractionImporter.file(at: path)) }
        if let items { try FileSystem.checkReadable(items) }
    }

    private static func summary(_ interactions: Interactions, _ report: ImportReport) -> String {
        let columns = [report.hasValues ? "with values" : "", report.hasTimes ? "with times" : "without times"]
        let traits = ([report.format.rawValue] + columns).filter { !$0.isEmpty }.joined(separator: ", ")
        var text = "\(interactions.count.counted("interaction")) of \(interactions.userCount.counted("user")) and "
        text += "\(interactions.itemCount.counted("item")) from \(report.files.joined(separator: ", ")) (\(traits))"
        if report.duplicates > 0 { text += "; \(report.duplicates.counted("duplicate")) merged" }
        if report.belowMinimum > 0 { text += "; \(report.belowMinimum) below the minimum value left out" }
        if report.badLines > 0 { text += "; \(report.badLines.counted("bad line")) skipped" }
        return text
    }
}

extension InteractionFormat: ExpressibleByArgument {}
extension SplitMethod: ExpressibleByArgument {}
