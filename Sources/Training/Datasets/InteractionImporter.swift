import Vocabulary

/// What to read and how strictly.
package struct ImportOptions: Sendable {
    /// Nil: told from the name and the first lines.
    package var format: InteractionFormat?
    /// Pairs with a lower value are left out. Nil: pairs with a value of zero or less are.
    package var minimumValue: Double?
    /// Count lines that cannot be read and go on, instead of stopping at the first.
    package var skipBadLines: Bool

    package init(format: InteractionFormat? = nil, minimumValue: Double? = nil, skipBadLines: Bool = false) {
        self.format = format
        self.minimumValue = minimumValue
        self.skipBadLines = skipBadLines
    }
}

/// How far an import has come.
package struct ImportProgress: Sendable {
    package let bytesRead: Int
    package let bytesTotal: Int
    package let pairs: Int
}

/// Reads interactions from a file, or from the file of that kind in a directory.
///
/// Formats: see `InteractionFormat`. Gzip is unpacked, a byte order mark, CR LF and blank lines are passed over. IDs are
/// 1 to 255 bytes of UTF-8; spaces around an unquoted field are not part of it.
package struct InteractionImporter {
    /// File names looked for in a directory, in this order, each also with `.gz`.
    package static let directoryNames = [
        "ratings.csv", "ratings.dat", "ratings.tsv", "u.data", "interactions.csv", "interactions.tsv", "train.csv",
        "train.tsv", "train.txt",
    ]
    /// How many bad lines a report shows.
    static let samplesMax = 5
    /// A quoted field that is not closed within this many bytes counts as never closed.
    static let recordBytesMax = 1 << 20

    private let options: ImportOptions
    private let onProgress: (ImportProgress) throws -> Void

    /// - Parameter onProgress: Called about once per MiB read; what it throws (a cancellation) ends the import.
    package init(
        _ options: ImportOptions = ImportOptions(), onProgress: @escaping (ImportProgress) throws -> Void = { _ in }
    ) {
        self.options = options
        self.onProgress = onProgress
    }

    /// Reads the file at `path`.
    ///
    /// - Throws: `DatasetError`; what `onProgress` throws.
    /// - Complexity: one pass over the bytes; about 40 bytes of memory per pair at the peak.
    package func read(_ path: String) throws -> (interactions: Interactions, report: ImportReport) {
        let path = try InteractionImporter.file(at: path)
        let source = try ByteSource(path: path)
        let lines = LineReader(source)
        let layout = try layout(path, lines)
        var report = ImportReport()
        report.files = [path]
        report.format = layout.format
        var pass = ImportPass(path: path, layout: layout, options: options, report: report)
        try pass.begin(lines)
        let onProgress = onProgress
        try pass.run(lines) { pairs in
            try onProgress(
                ImportProgress(bytesRead: source.consumedBytes, bytesTotal: source.fileBytes, pairs: pairs))
        }
        return try pass.finish()
    }

    /// The file that `path` names, or that the directory `path` holds.
    package static func file(at path: String) throws(DatasetError) -> String {
        guard FileSystem.isDirectory(path) else { return path }
        let base = path.hasSuffix("/") ? path : path + "/"
        for name in directoryNames {
            for candidate in [base + name, base + name + ".gz"] where FileSystem.isFile(candidate) { return candidate }
        }
        throw DatasetError(
            .notFound,
            "\(path): no file of interactions in this directory; looked for \(directoryNames.joined(separator: ", ")) "
                + "(and .gz of each)")
    }

    private func layout(_ path: String, _ lines: LineReader) throws -> FileLayout {
        let peeked = try lines.peek()
        let head = UnsafeBufferPointer(rebasing: peeked.prefix(1 << 16))
        if head.isEmpty { throw DatasetError(.empty, "\(path): the file is empty") }
        if head.contains(0) {
            throw DatasetError(.unknownFormat, "\(path): is a binary file, not text with one interaction per line")
        }
        var texts = head.split(separator: 0x0A, omittingEmptySubsequences: true)
            .map { String(decoding: $0, as: UTF8.self) }
        // The last line of what was looked at may be cut off.
        if texts.count > 1, peeked.count > head.count || head.last != 0x0A { texts.removeLast() }
        texts = texts.filter { line in line.contains { !$0.isWhitespace } }
        if let format = options.format { return FileLayout(format, head: texts) }
        return try FileLayout.detect(name: path, head: texts)
    }
}

/// One reading of one file.
private struct ImportPass {
    typealias Bytes = UnsafeBufferPointer<UInt8>

    let path: String
    let layout: FileLayout
    let options: ImportOptions
    let splitter: FieldSplitter
    var report: ImportReport
    var plan = ColumnPlan(user: 0, item: 1, fieldCount: 2, hasHeader: false)
    var builder = InteractionBuilder(hasValues: false, hasTimes: false)
    var fields: [Bytes] = []
    /// The first line was read to find the columns, and is data.
    private var pending: (fields: [[UInt8]], line: Int)?
    private let minimum: Double

    init(path: String, layout: FileLayout, options: ImportOptions, report: ImportReport) {
        self.path = path
        self.layout = layout
        self.options = options
        self.report = report
        splitter = FieldSplitter(layout.separator)
        minimum = options.minimumValue ?? .leastNonzeroMagnitude
    }

    /// Finds the columns from the first line that is not blank.
    mutating func begin(_ lines: LineReader) throws {
        guard layout.format != .adjacency else { return }
        while true {
            do {
                guard let record = try nextRecord(lines) else { break }
                guard record else { continue }
            } catch let fault as LineFault {
                try failed(fault, lines.lineNumber)
                continue
            }
            do {
                plan = try ColumnPlan.make(first: fields.map { String(decoding: $0, as: UTF8.self) })
            } catch {
                throw DatasetError(.badLine, error.message(file: path, line: lines.lineNumber))
            }
            if !plan.hasHeader { pending = (fields.map { Array($0) }, lines.lineNumber) }
            break
        }
        report.hasValues = plan.value != nil
        report.hasTimes = plan.time != nil
        builder = InteractionBuilder(hasValues: report.hasValues, hasTimes: report.hasTimes)
    }

    mutating func run(_ lines: LineReader, onProgress: @escaping (Int) throws -> Void) throws {
        if let pending {
            let copies = pending.fields.map { UnsafeMutableBufferPointer<UInt8>.allocate(copying: $0) }
            defer { for copy in copies { copy.deallocate() } }
            fields = copies.map { Bytes($0) }
            report.lines += 1
            do { try take() } catch let fault as LineFault { try failed(fault, pending.line) }
        }
        var reported = 0
        let pairs = Shared(0)
        lines.onRead = { consumed in
            if consumed - reported >= 1 << 19 {
                reported = consumed
                try onProgress(pairs.value)
            }
        }
        while true {
            do {
                guard let record = try nextRecord(lines) else { break }
                guard record else { continue }
                report.lines += 1
                try take()
                pairs.value = builder.pairCount
            } catch let fault as LineFault {
                try failed(fault, lines.lineNumber)
            }
        }
        lines.onRead = nil
        try onProgress(builder.pairCount)
    }

    consuming func finish() throws -> (interactions: Interactions, report: ImportReport) {
        var report = report
        report.pairs = builder.pairCount
        guard builder.pairCount > 0 else {
            let bad =
                report.badLines > 0
                ? "; \(report.badLines.counted("bad line")) skipped, the first: \(report.badLineSamples[0])" : ""
            let low =
                report.belowMinimum > 0
                ? "; \(report.belowMinimum.counted("line has", many: "lines have")) a value below \(options.minimumValue.map { "\($0)" } ?? "or at zero"), see --min-value"
                : ""
            throw DatasetError(.empty, "\(path): no usable interaction in \(report.lines.counted("line"))\(bad)\(low)")
        }
        let (interactions, duplicates) = builder.finish()
        report.duplicates = duplicates
        // A bad line may have left a user or an item behind that nothing else names.
        return (report.badLines > 0 ? interactions.withoutEmptyRows() : interactions, report)
    }

    /// Splits the next line into `fields`: nil at the end, false for a blank line.
    @inline(__always)
    private mutating func nextRecord(_ lines: LineReader) throws -> Bool? {
        guard var line = try lines.nextLine() else { return nil }
        if ImportPass.isBlank(line) { return false }
        while !splitter.split(line, into: &fields) {
            guard line.count < InteractionImporter.recordBytesMax, let longer = try lines.extendLine() else {
                lines.retreatToFirstLine()
                report.lines += 1
                throw LineFault(expected: "a closing quote", bytes: line)
            }
            line = longer
        }
        return true
    }

    @inline(__always)
    private static func isBlank(_ line: Bytes) -> Bool {
        for byte in line where byte != 0x20 && byte != 0x09 { return false }
        return true
    }

    /// Takes the pairs of the line in `fields`.
    @inline(__always)
    private mutating func take() throws {
        if layout.format == .adjacency {
            // All IDs are looked at before the first is taken, so that a bad line leaves nothing behind.
            try checkLength(fields[0], "a user")
            for field in fields.dropFirst() { try checkLength(field, "an item") }
            guard fields.count > 1 else { return }
            let user = try row(fields[0], isUser: true)
            for field in fields.dropFirst() {
                let item = try row(field, isUser: false)
                builder.add(user: user, item: item, value: 1, time: 0)
            }
            return
        }
        guard plan.hasHeader ? fields.count >= plan.fieldCount : fields.count == plan.fieldCount else {
            throw LineFault(
                expected: plan.expectation, found: "\(fields.count) field\(fields.count == 1 ? "" : "s")")
        }
        var value = 1.0
        if let column = plan.value {
            guard let number = FieldParsing.number(fields[column]), Float(number).isFinite else {
                throw LineFault(expected: "a finite number as value", bytes: fields[column])
            }
            value = number
        }
        var time: Int64 = 0
        if let column = plan.time {
            guard let read = FieldParsing.time(fields[column]) else {
                throw LineFault(
                    expected: "a timestamp (seconds or milliseconds since 1970, or an ISO 8601 date)",
                    bytes: fields[column])
            }
            time = read
        }
        try checkLength(fields[plan.user], "a user")
        try checkLength(fields[plan.item], "an item")
        guard value >= minimum else {
            report.belowMinimum += 1
            return
        }
        let user = try row(fields[plan.user], isUser: true)
        let item = try row(fields[plan.item], isUser: false)
        builder.add(user: user, item: item, value: Float(value), time: time)
    }

    @inline(__always)
    private func checkLength(_ id: Bytes, _ what: String) throws {
        if id.isEmpty { throw LineFault(expected: "\(what) ID of 1 to \(Identity.bytesMax) bytes", found: "") }
        if id.count > Identity.bytesMax {
            throw LineFault(expected: "\(what) ID of 1 to \(Identity.bytesMax) bytes", bytes: id)
        }
    }

    @inline(__always)
    private mutating func row(_ id: Bytes, isUser: Bool) throws -> UInt32 {
        // An ID that is known was looked at when it came first.
        let row = isUser ? builder.user(id, admit: ImportPass.isText) : builder.item(id, admit: ImportPass.isText)
        guard let row else {
            if builder.users.count >= IDTable.countMax || builder.items.count >= IDTable.countMax {
                throw DatasetError(.tooLarge, "\(path): more than \(IDTable.countMax) different IDs")
            }
            throw LineFault(expected: "\(isUser ? "a user" : "an item") ID in UTF-8", bytes: id)
        }
        return row
    }

    private static func isText(_ id: Bytes) -> Bool {
        var ored: UInt8 = 0
        for byte in id { ored |= byte }
        return ored < 0x80 || String(validating: id, as: UTF8.self) != nil
    }

    private mutating func failed(_ fault: LineFault, _ line: Int) throws {
        let message = fault.message(file: path, line: line)
        guard options.skipBadLines else {
            throw DatasetError(.badLine, message + "; --skip-bad-lines counts such lines and goes on")
        }
        report.badLines += 1
        if report.badLineSamples.count < InteractionImporter.samplesMax { report.badLineSamples.append(message) }
    }
}

/// A number that a closure and its maker both see.
private final class Shared {
    var value: Int
    init(_ value: Int) { self.value = value }
}

extension UnsafeMutableBufferPointer where Element == UInt8 {
    fileprivate static func allocate(copying bytes: [UInt8]) -> Self {
        let buffer = Self.allocate(capacity: bytes.count)
        _ = buffer.initialize(from: bytes)
        return buffer
    }
}
