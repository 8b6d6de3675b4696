import Catalog

/// Titles, tags (genres), attributes and availability of items, by item ID.
package struct ItemAttributes: Sendable {
    package struct Entry: Sendable, Equatable {
        package var title: String
        package var tags: [String]
        /// For each of `columns` the place of the item's field; none when the file has no such columns.
        package var places: [UInt32] = []
        /// Nil when the item is always available.
        package var window: AvailabilityWindow?

        package init(title: String, tags: [String]) {
            self.title = title
            self.tags = tags
        }
    }

    package var entries: [String: Entry] = [:]
    /// What becomes attributes, in the order of the file; those with a fault do not.
    package var columns: [AttributeColumn] = []
    /// How the file calls the tags; nil when it does not say.
    package var tagsName: String?
    /// The file they came from; nil when there is none.
    package var file: String?
    /// Lines that could not be read and were left out.
    package var badLines = 0

    package init() {}

    package subscript(id: String) -> Entry? { entries[id] }

    /// The columns that are attributes, with their places in `Entry.places`.
    package var attributes: [(place: Int, column: AttributeColumn)] {
        columns.enumerated().filter { $0.element.fault == nil }.map { ($0.offset, $0.element) }
    }

    /// Items that are not among `ids`: they are left out of a bundle, which holds items with interactions only.
    ///
    /// - Parameter ids: Each once.
    package func count(outside ids: some Sequence<String>) -> Int {
        entries.count - ids.count { entries[$0] != nil }
    }

    /// The same for the items of `interactions`.
    package func count(outside interactions: Interactions) -> Int {
        count(outside: (0..<UInt32(interactions.itemCount)).lazy.map { interactions.items.string($0) })
    }

    /// Items that are not always available.
    package var windowCount: Int { entries.values.count { $0.window != nil } }
}

extension ItemAttributes {
    /// File names looked for beside a file of interactions, in this order, each also with `.gz`.
    package static let fileNames = ["movies.csv", "movies.dat", "u.item", "items.csv", "items.tsv"]

    /// The attributes that stand beside the file of interactions `path`; empty when there are none.
    package static func beside(_ path: String, skipBadLines: Bool = false) throws -> ItemAttributes {
        let base = FileSystem.directory(of: path)
        for name in fileNames {
            for candidate in [base + name, base + name + ".gz"] where FileSystem.isFile(candidate) {
                return try read(candidate, skipBadLines: skipBadLines)
            }
        }
        return ItemAttributes()
    }

    /// Reads a file of attributes: MovieLens `movies.csv`, `movies.dat` or `u.item` by name, otherwise CSV (TSV when there are
    /// tabs) of item, title and tags, with or without a header. Tags are separated by `|`.
    ///
    /// With a header, `available_from` and `available_until` are points in time, and every other column is an attribute:
    /// numbers if each field that is not empty is one, else texts separated by `|`. A column of long or too many
    /// different texts is left out, and says why.
    ///
    /// Lines that are not UTF-8 are read as Latin-1: MovieLens 100K and 1M are.
    package static func read(_ path: String, skipBadLines: Bool = false) throws -> ItemAttributes {
        let lines = LineReader(try ByteSource(path: path))
        var name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        if name.hasSuffix(".gz") { name.removeLast(3) }
        var pass = try AttributePass(path: path, name: name, skipBadLines: skipBadLines)
        try pass.run(lines)
        return pass.attributes
    }
}

/// One reading of one file of attributes.
private struct AttributePass {
    let path: String
    let skipBadLines: Bool
    var attributes = ItemAttributes()
    private let splitter: FieldSplitter
    private let isUItem: Bool
    private let genres: [String]
    private var columns = HeaderColumns(item: 0, title: 1, tags: 2)

    init(path: String, name: String, skipBadLines: Bool) throws {
        self.path = path
        self.skipBadLines = skipBadLines
        attributes.file = path
        isUItem = name == "u.item"
        genres = isUItem ? try AttributePass.genreNames(FileSystem.directory(of: path) + "u.genre") : []
        let separator: FieldSplitter.Separator =
            if isUItem {
                .byte(UInt8(ascii: "|"), quotes: false)
            } else if name.hasSuffix(".dat") {
                .doubleColon
            } else if name.hasSuffix(".tsv") {
                .byte(UInt8(ascii: "\t"), quotes: true)
            } else {
                .byte(UInt8(ascii: ","), quotes: true)
            }
        splitter = FieldSplitter(separator)
    }

    mutating func run(_ lines: LineReader) throws {
        var fields: [UnsafeBufferPointer<UInt8>] = []
        var isFirst = true
        while var line = try lines.nextLine() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            do {
                while !splitter.split(line, into: &fields) {
                    guard line.count < InteractionImporter.recordBytesMax, let longer = try lines.extendLine() else {
                        lines.retreatToFirstLine()
                        throw LineFault(expected: "a closing quote", bytes: line)
                    }
                    line = longer
                }
                let isHeader = try isFirst && takeHeader(fields)
                isFirst = false
                if !isHeader { try take(fields, line: lines.lineNumber) }
            } catch let fault as LineFault {
                let message = fault.message(file: path, line: lines.lineNumber)
                guard skipBadLines else {
                    throw DatasetError(.badLine, message + "; --skip-bad-lines counts such lines and goes on")
                }
                attributes.badLines += 1
            }
        }
        for place in attributes.columns.indices { attributes.columns[place].finish() }
    }

    /// Whether `fields` are a header; if so, the columns are taken from it.
    private mutating func takeHeader(_ fields: [UnsafeBufferPointer<UInt8>]) throws(DatasetError) -> Bool {
        guard splitter.mayQuote, let header = try HeaderColumns(header: fields.map(text), path: path) else {
            return false
        }
        columns = header
        attributes.columns = header.others.map { AttributeColumn(name: $0.name) }
        attributes.tagsName = header.tagsName
        return true
    }

    private mutating func take(_ fields: [UnsafeBufferPointer<UInt8>], line: Int) throws {
        guard fields.count > max(columns.item, columns.title ?? 0), !fields[columns.item].isEmpty else {
            throw LineFault(
                expected:
                    "an item ID\(columns.title == nil ? "" : ", a title")\(columns.tags == nil ? "" : " and tags")",
                found: "\(fields.count) field\(fields.count == 1 ? "" : "s")")
        }
        // A field too many or too few would move all that follow into other columns.
        if columns.hasDetails, fields.count != columns.fieldCount {
            throw LineFault(expected: "\(columns.fieldCount) fields, as in the header", found: "\(fields.count)")
        }
        let id = text(fields[columns.item])
        var tags: [String] = []
        if isUItem {
            // Title, two dates, a link, then one 0 or 1 per genre.
            guard fields.count >= 5 + genres.count else {
                throw LineFault(expected: "\(5 + genres.count) fields", found: "\(fields.count)")
            }
            for (place, genre) in genres.enumerated() where fields[5 + place].first == UInt8(ascii: "1") {
                if genre != "unknown" { tags.append(genre) }
            }
        } else if let column = columns.tags, column < fields.count {
            tags = text(fields[column]).split(separator: "|")
                .map { $0.trimmingSpaces() }
                .filter { !$0.isEmpty && $0 != "(no genres listed)" }
        }
        var entry = ItemAttributes.Entry(title: columns.title.map { text(fields[$0]) } ?? "", tags: tags)
        entry.window = try window(fields)
        if !columns.others.isEmpty {
            entry.places = try columns.others.enumerated().map { place, other in
                let field = fields[other.field]
                return try attributes.columns[place].place(
                    of: text(field), number: FieldParsing.number(field), line: line)
            }
        }
        attributes.entries[id] = entry
    }

    /// When the item of a line may be shown; nil: always.
    private func window(_ fields: [UnsafeBufferPointer<UInt8>]) throws(LineFault) -> AvailabilityWindow? {
        func second(_ column: Int?, _ name: String) throws(LineFault) -> Int64? {
            guard let column, !fields[column].isEmpty else { return nil }
            guard let milliseconds = FieldParsing.time(fields[column]) else {
                throw LineFault(
                    expected: "Unix seconds or a date (2026-11-21, 2026-11-21T08:00:00Z) as \(name)",
                    bytes: fields[column])
            }
            return Int64((Double(milliseconds) / 1000).rounded(.down))
        }
        let window = AvailabilityWindow(
            from: try second(columns.from, "available_from"), until: try second(columns.until, "available_until"))
        if let from = window.from, let until = window.until, from >= until, let column = columns.until {
            throw LineFault(expected: "an available_until after available_from", bytes: fields[column])
        }
        return window == AvailabilityWindow() ? nil : window
    }

    private func text(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var text = ""
        for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
        return text
    }

    /// The genres of `u.genre`, or those of MovieLens 100K when it is not there.
    private static func genreNames(_ path: String) throws -> [String] {
        guard FileSystem.isFile(path) else {
            return [
                "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
                "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
                "Western",
            ]
        }
        let lines = LineReader(try ByteSource(path: path))
        var names: [String] = []
        while let line = try lines.nextLine() {
            let parts = String(decoding: line, as: UTF8.self).split(separator: "|")
            if let name = parts.first { names.append(String(name)) }
        }
        return names
    }
}
