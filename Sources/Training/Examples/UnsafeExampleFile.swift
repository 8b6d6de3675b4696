/// A file of labelled examples, read from front to back as often as needed, never held whole.
///
/// Every format becomes columns of texts: those of a CSV header; of libfm the places of the line where all lines have as many
/// entries and every value is 1, else one multi-valued column `features`.
struct ExampleFile {
    let path: String
    let format: ExampleFormat
    let columns: [String]
    private let label: Int
    private let positiveAbove: Double
    /// Fields of a CSV line, the label's counted.
    private let fieldCount: Int
    private let isRagged: Bool
    /// Of libfm, the first line with another number of entries than those before; nil where all have as many.
    let oddLine: (line: Int, entries: Int, before: Int)?

    static let columnsMax = 4096

    /// Opens the file and finds its columns.
    ///
    /// - Parameter asList: Reads libfm lines as one list of values each, also where all have as many entries.
    /// - Throws: `DatasetError` naming file and line.
    init(_ path: String, _ options: ExampleOptions, asList: Bool = false) throws {
        self.path = path
        format = options.format ?? ExampleFormat(path: path)
        positiveAbove = options.positiveAbove
        let lines = LineReader(try ByteSource(path: path))
        guard format != .libfm else {
            let (count, oddLine) = try Self.places(lines, path)
            self.oddLine = oddLine
            isRagged = asList || oddLine != nil || count == 0 || count > Self.columnsMax
            columns = isRagged ? [Self.listColumn] : (1...count).map { "place_\($0)" }
            label = 0
            fieldCount = columns.count + 1
            return
        }
        var fields: [UnsafeBufferPointer<UInt8>] = []
        guard let line = try lines.nextLine(), Self.splitter(format).split(line, into: &fields) else {
            throw DatasetError(.empty, "\(path): it has no header line")
        }
        let names = fields.map { String(decoding: $0, as: UTF8.self) }
        guard let label = names.firstIndex(of: options.label) else {
            throw DatasetError(
                .badLine,
                "\(path), line 1: no column is called \"\(options.label)\"; there are \(names.prefix(20)); name the label's with --label"
            )
        }
        func refused(_ fault: String) -> DatasetError { DatasetError(.badLine, "\(path), line 1: \(fault)") }
        guard (2...Self.columnsMax).contains(names.count) else {
            throw refused("expected 2 to \(Self.columnsMax) columns, found \(names.count)")
        }
        if let unnamed = names.firstIndex(of: "") { throw refused("column \(unnamed + 1) has no name; give it one") }
        var places: [String: Int] = [:]
        for (number, name) in names.enumerated() {
            if let first = places.updateValue(number, forKey: name) {
                throw refused(
                    "the columns \(first + 1) and \(number + 1) are both called \"\(name)\"; rename one of them, or leave it out"
                )
            }
        }
        self.label = label
        fieldCount = names.count
        columns = names.enumerated().filter { $0.offset != label }.map(\.element)
        isRagged = false
        oddLine = nil
    }

    /// The one column of libfm lines that are read as lists.
    static let listColumn = "features"

    private static func splitter(_ format: ExampleFormat) -> FieldSplitter {
        switch format {
        case .csv: FieldSplitter(.byte(UInt8(ascii: ","), quotes: true))
        case .tsv: FieldSplitter(.byte(UInt8(ascii: "\t"), quotes: true))
        case .libfm: FieldSplitter(.whitespace)
        }
    }

    /// Looks through a libfm file: how many entries its lines have, and which is the first that has others.
    private static func places(
        _ lines: LineReader, _ path: String
    ) throws -> (count: Int, oddLine: (line: Int, entries: Int, before: Int)?) {
        var fields: [UnsafeBufferPointer<UInt8>] = []
        let splitter = splitter(.libfm)
        var count: Int?
        var oddLine: (line: Int, entries: Int, before: Int)?
        while let line = try lines.nextLine() {
            _ = splitter.split(line, into: &fields)
            if fields.isEmpty { continue }
            if oddLine == nil, let count, count != fields.count - 1 {
                oddLine = (lines.lineNumber, fields.count - 1, count)
            }
            count = count ?? fields.count - 1
        }
        guard let count else { throw DatasetError(.empty, "\(path): it holds no examples") }
        return (count, oddLine)
    }

    /// Calls `body` with the label and the columns' texts of every example; the texts are valid during the call.
    ///
    /// - Returns: How many there were.
    /// - Throws: `DatasetError` naming the line that cannot be read; what `body` throws.
    @discardableResult
    func forEach(_ body: (_ isPositive: Bool, _ fields: [UnsafeBufferPointer<UInt8>]) throws -> Void) throws -> Int {
        let lines = LineReader(try ByteSource(path: path))
        let splitter = Self.splitter(format)
        var fields: [UnsafeBufferPointer<UInt8>] = []
        var count = 0
        if format != .libfm { _ = try lines.nextLine() }
        var joined: [UInt8] = []
        while var line = try lines.nextLine() {
            do {
                while !splitter.split(line, into: &fields) {
                    guard line.count < InteractionImporter.recordBytesMax, let longer = try lines.extendLine() else {
                        throw LineFault(expected: "a closing quote", bytes: line)
                    }
                    line = longer
                }
                guard let first = fields.first, fields.count > 1 || !first.isEmpty else { continue }
                guard isRagged || fields.count == fieldCount else {
                    throw LineFault(expected: "\(fieldCount) fields", found: "\(fields.count)")
                }
                let text = fields.remove(at: label)
                guard let value = FieldParsing.number(text) else {
                    throw LineFault(expected: "a number as label", bytes: text)
                }
                if format == .libfm {
                    try Self.takeIndexes(&fields)
                    if isRagged { Self.join(fields, into: &joined) }
                }
                count += 1
                if isRagged {
                    try joined.withUnsafeBufferPointer { try body(value > positiveAbove, [$0]) }
                } else {
                    try body(value > positiveAbove, fields)
                }
            } catch let fault as LineFault {
                throw DatasetError(.badLine, fault.message(file: path, line: lines.lineNumber))
            }
        }
        return count
    }

    /// `index:1` becomes `index`.
    private static func takeIndexes(_ fields: inout [UnsafeBufferPointer<UInt8>]) throws {
        for (place, field) in fields.enumerated() {
            guard let colon = field.firstIndex(of: UInt8(ascii: ":")), colon > 0 else {
                throw LineFault(expected: "index:value", bytes: field)
            }
            let value = UnsafeBufferPointer(rebasing: field[(colon + 1)...])
            guard let number = FieldParsing.number(value) else {
                throw LineFault(expected: "a number after the colon", bytes: field)
            }
            guard number == 1 else {
                throw LineFault(expected: "the value 1 (write other numbers as columns of a CSV file)", bytes: field)
            }
            fields[place] = UnsafeBufferPointer(rebasing: field[..<colon])
        }
    }

    private static func join(_ fields: [UnsafeBufferPointer<UInt8>], into text: inout [UInt8]) {
        text.removeAll(keepingCapacity: true)
        for field in fields {
            if !text.isEmpty { text.append(ExampleOptions.valueSeparator) }
            text.append(contentsOf: field)
        }
    }
}
