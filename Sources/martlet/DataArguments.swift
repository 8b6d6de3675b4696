import ArgumentParser
import Foundation
import Training

/// How to read a file of interactions: the flags that `train` and `evaluate` share.
struct DataArguments: ParsableArguments {
    @Option(help: "Format of the input: \(InteractionFormat.names) (default: told from its name and first lines).")
    var format: InteractionFormat?
    @Option(help: "Take only interactions with at least this value (default: those above 0).")
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
            line.update(Double(progress.bytesRead) / total, "\(progress.pairs) interactions")
        }
        do {
            let (interactions, report) = try importer.read(path)
            line.finish(Self.summary(interactions, report))
            for sample in report.badLineSamples { line.note("  skipped: \(sample)") }
            if report.badLines > report.badLineSamples.count {
                line.note("  skipped: and \(report.badLines - report.badLineSamples.count) lines more")
            }
            return (interactions, report)
        } catch {
            line.clear()
            throw error
        }
    }

    /// Titles and tags: from `items`, or beside the interactions.
    func readAttributes(_ items: String?, beside path: String) throws -> ItemAttributes {
        let line = ProgressLine("items")
        let attributes =
            try items.map { try ItemAttributes.read($0, skipBadLines: skipBadLines) }
            ?? ItemAttributes.beside(path, skipBadLines: skipBadLines)
        if let file = attributes.file {
            let bad = attributes.badLines > 0 ? "; \(attributes.badLines) bad lines skipped" : ""
            line.finish("\(attributes.entries.count) titles from \(file)\(bad)")
        }
        return attributes
    }

    private static func summary(_ interactions: Interactions, _ report: ImportReport) -> String {
        let columns = [report.hasValues ? "with values" : "", report.hasTimes ? "with times" : "without times"]
        let traits = ([report.format.rawValue] + columns).filter { !$0.isEmpty }.joined(separator: ", ")
        var text = "\(interactions.count) interactions of \(interactions.userCount) users and "
        text += "\(interactions.itemCount) items from \(report.files.joined(separator: ", ")) (\(traits))"
        if report.duplicates > 0 { text += "; \(report.duplicates) duplicates merged" }
        if report.belowMinimum > 0 { text += "; \(report.belowMinimum) below the minimum value left out" }
        if report.badLines > 0 { text += "; \(report.badLines) bad lines skipped" }
        return text
    }
}

extension InteractionFormat: ExpressibleByArgument {}
extension SplitMethod: ExpressibleByArgument {}
