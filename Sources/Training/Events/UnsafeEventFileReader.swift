import Vocabulary

/// Reads events from a file or standard input, a line at a time: JSON lines, CSV or TSV with a header, gzip of them.
///
/// A line that is no event costs that line alone. Blank lines, CR LF and a byte order mark are passed over.
package final class EventFileReader {
    /// An event has some hundred bytes. What is longer is not looked at.
    static let lineBytesMax = 64 << 10

    /// What stood in one line.
    package struct Line: Sendable {
        /// From 1; of a record over several lines, the first.
        package let number: Int
        package let event: Result<UserEvent, EventLineFault>
    }

    package let path: String
    /// Nil until the first line was read.
    package private(set) var format: EventFileFormat?
    /// Columns or keys that mean nothing here, the first few.
    package var passedOver: [String] { keys.passedOver }

    private let source: ByteSource
    private let lines: LineReader
    private let defaultType: String?
    private var splitter = FieldSplitter(.whitespace)
    private var fields: [FieldSplitter.Bytes] = []
    private var columns: [EventField: Int] = [:]
    private var header: [String] = []
    private var keys = EventKeys()

    /// - Parameters:
    ///   - path: A file; `-`: standard input.
    ///   - format: Nil: told from the first line.
    ///   - defaultType: The type of events that name none.
    /// - Throws: `DatasetError` when it cannot be opened.
    package init(_ path: String, format: EventFileFormat? = nil, defaultType: String? = nil) throws(DatasetError) {
        source = try path == "-" ? ByteSource.standardInput() : ByteSource(path: path)
        self.path = source.path
        self.format = format
        self.defaultType = defaultType
        lines = LineReader(source)
    }

    /// Bytes of the file (packed, if it is packed), and those read so far; 0 of what comes through a pipe.
    package var fileBytes: Int { source.fileBytes }
    package var consumedBytes: Int { source.consumedBytes }

    /// Whether the next line can be had without waiting for it, or comes within the time.
    package func isReady(withinMilliseconds milliseconds: Int) -> Bool {
        lines.holdsLine || source.isReady(within: Int32(clamping: milliseconds))
    }

    /// The next line that is not blank; nil at the end.
    ///
    /// - Throws: `DatasetError` when the file cannot be read on, or its beginning shows that it holds no events.
    package func next() throws -> Line? {
        while let line = try lines.nextLine() {
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            if header.isEmpty, format != .jsonl {
                try begin(line)
                if format != .jsonl { continue }
            }
            let number = lines.lineNumber
            do throws(EventLineFault) {
                return Line(number: number, event: .success(try event(line)))
            } catch {
                return Line(number: number, event: .failure(error))
            }
        }
        return nil
    }

    /// Finds the format, and the columns where there are some.
    private func begin(_ line: FieldSplitter.Bytes) throws {
        guard let text = String(validating: line, as: UTF8.self) else { throw notText() }
        let format = try self.format ?? EventFileFormat.detect(first: text, path: path)
        self.format = format
        guard format != .jsonl else { return }
        let isSemicolon = format == .csv && text.contains(";") && !text.contains(",")
        let separator = UInt8(ascii: format == .tsv ? "\t" : isSemicolon ? ";" : ",")
        splitter = FieldSplitter(.byte(separator, quotes: true))
        guard splitter.split(line, into: &fields) else {
            throw DatasetError(.badLine, "\(path), line \(lines.lineNumber): a quote of the header is never closed")
        }
        header = fields.map { String(decoding: $0, as: UTF8.self) }
        columns = EventField.places(in: header)
        for field in [EventField.user, .item] where columns[field] == nil { throw missing(field) }
        if columns[.type] == nil, defaultType == nil { throw missing(.type) }
        for name in header where EventField.named(name) == nil && !name.isEmpty { keys.passOver(name) }
    }

    private func missing(_ field: EventField) -> DatasetError {
        let shown = header.prefix(12).map { "'\($0.prefix(40))'" }.joined(separator: ", ")
        let near = header.first {
            EventField.named($0) == nil && NearestKey.edits(Array($0.utf8), Array(field.rawValue.utf8)) <= 2
        }
        let hint = near.map { " ('\($0)'?)" } ?? ""
        let remedy =
            field == .type
            ? "--type TYPE gives every event its type, or name a column so"
            : "the first line must be a header; the columns are \(EventField.names)"
        return DatasetError(
            .badLine,
            "\(path), line \(lines.lineNumber): no column is named \(field.rawValue)\(hint); \(remedy). Found: \(shown)"
        )
    }

    private func notText() -> DatasetError {
        DatasetError(
            .unreadable,
            "\(path), line \(lines.lineNumber): is not UTF-8; convert it first (such as `iconv -f latin1 -t utf-8`)")
    }

    private func event(_ line: FieldSplitter.Bytes) throws(EventLineFault) -> UserEvent {
        try checkLength(line.count)
        guard format != .jsonl else {
            return try EventParts(json: Array(line), &keys).event(defaultType: defaultType)
        }
        var line = line
        while !splitter.split(line, into: &fields) {
            guard line.count < Self.lineBytesMax, let longer = try? lines.extendLine() else {
                lines.retreatToFirstLine()
                throw EventLineFault("open quote", "a quote is never closed")
            }
            line = longer
        }
        try checkLength(line.count)
        guard fields.count <= header.count else {
            throw EventLineFault(
                "too many fields",
                "\(fields.count) fields, and the header has \(header.count); put texts with a separator in quotes")
        }
        var parts = EventParts()
        for (field, place) in columns where place < fields.count {
            guard let text = String(validating: fields[place], as: UTF8.self) else {
                throw EventLineFault("not UTF-8", "\(field.rawValue) is not UTF-8; convert the file (iconv -t utf-8)")
            }
            parts[field] = text
        }
        return try parts.event(defaultType: defaultType)
    }

    private func checkLength(_ count: Int) throws(EventLineFault) {
        guard count <= Self.lineBytesMax else {
            throw EventLineFault(
                "line too long", "\(count) bytes; the line of an event has at most \(Self.lineBytesMax)")
        }
    }
}
