/// Titles and tags (genres) of items, by item ID.
package struct ItemAttributes: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var title: String
        package var tags: [String]

        package init(title: String, tags: [String]) {
            self.title = title
            self.tags = tags
        }
    }

    package var entries: [String: Entry] = [:]
    /// The file they came from; nil when there is none.
    package var file: String?
    /// Lines that could not be read and were left out.
    package var badLines = 0

    package init() {}

    package subscript(id: String) -> Entry? { entries[id] }
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
    private var columns = (item: 0, title: 1, tags: Int?.some(2))

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
                let isHeader = isFirst && takeHeader(fields)
                isFirst = false
                if !isHeader { try take(fields) }
            } catch let fault as LineFault {
                let message = fault.message(file: path, line: lines.lineNumber)
                guard skipBadLines else {
                    throw DatasetError(.badLine, message + "; --skip-bad-lines counts such lines and goes on")
                }
                attributes.badLines += 1
            }
        }
    }

    /// Whether `fields` are a header; if so, the columns are taken from it.
    private mutating func takeHeader(_ fields: [UnsafeBufferPointer<UInt8>]) -> Bool {
        guard splitter.mayQuote else { return false }
        let names = fields.map { ColumnPlan.normalised(String(decoding: $0, as: UTF8.self)) }
        guard let item = names.firstIndex(where: { ColumnPlan.itemNames.contains($0) || $0 == "id" }),
            let title = names.firstIndex(where: { ["title", "name", "itemname", "movietitle"].contains($0) })
        else { return false }
        let tags = names.firstIndex { ["genres", "genre", "tags", "categories", "category", "class"].contains($0) }
        columns = (item, title, tags)
        return true
    }

    private mutating func take(_ fields: [UnsafeBufferPointer<UInt8>]) throws {
        guard fields.count > max(columns.item, columns.title), !fields[columns.item].isEmpty else {
            throw LineFault(
                expected: "an item ID, a title\(columns.tags == nil ? "" : " and tags")",
                found: "\(fields.count) field\(fields.count == 1 ? "" : "s")")
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
        attributes.entries[id] = ItemAttributes.Entry(title: text(fields[columns.title]), tags: tags)
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

extension Substring {
    fileprivate func trimmingSpaces() -> String {
        var part = self
        while part.first == " " { part.removeFirst() }
        while part.last == " " { part.removeLast() }
        return String(part)
    }
}
