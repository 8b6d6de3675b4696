import Artifacts
import Vocabulary

extension IDDictionary {
    private static let lengths: ClosedRange<UInt32> = 1...UInt32(Identity.bytesMax)

    /// Reads `<name>.bytes`, `<name>.offsets` and, where it is there, `<name>.table`; without it the table is made.
    package convenience init(
        _ file: TensorFile, _ name: String, count: Int?, what: String
    ) throws(ArtifactError) {
        let texts = try TextColumn(file, name, count: count, lengths: Self.lengths, what: what)
        guard file.has("\(name).table") else {
            try self.init(texts, what: what, path: file.path)
            return
        }
        let table = Column<UInt32>(try file.tensor("\(name).table", .u32, shape: [nil]))
        try self.init(texts, table: table, what: what, path: file.path)
    }

    package func declare(_ name: String, in writer: TensorFileWriter) {
        columns.texts.declare(name, in: writer)
        writer.declare("\(name).table", .u32, shape: [columns.table.count])
    }

    package func write(_ name: String, to writer: TensorFileWriter) throws(ArtifactError) {
        try columns.texts.write(name, to: writer)
        try writer.append(columns.table.values, to: "\(name).table")
    }
}

extension IDDictionary {
    /// Makes a dictionary of IDs in the order given: the first gets row 0.
    ///
    /// - Throws: `invalidContent` for an ID that is empty, longer than 255 bytes or there twice.
    package convenience init(_ ids: some Sequence<String>, what: String = "ID") throws(ArtifactError) {
        var builder = Builder(what: what)
        for id in ids { try builder.append(id) }
        try self.init(builder)
    }

    package convenience init(_ builder: Builder) throws(ArtifactError) {
        let texts = try TextColumn(
            bytes: Column(builder.texts.bytes), offsets: Column(builder.texts.offsets), lengths: Self.lengths,
            what: builder.what, path: builder.what)
        try self.init(texts, what: builder.what, path: builder.what)
    }

    /// Collects IDs one by one, in the order of their rows.
    package struct Builder {
        let what: String
        fileprivate var texts = TextColumnBuilder()

        /// - Parameter what: What an ID is, for messages ("user ID").
        package init(what: String = "ID") { self.what = what }

        package var count: Int { texts.count }

        /// Adds an ID given as UTF-8 bytes. Whether they are UTF-8 is checked when the dictionary is made.
        package mutating func append(_ id: some Collection<UInt8>) throws(ArtifactError) {
            guard (1...Identity.bytesMax).contains(id.count) else {
                throw ArtifactError(
                    .invalidContent, path: what,
                    "row \(count): \(id.count) bytes; 1 to \(Identity.bytesMax) are allowed")
            }
            guard texts.append(id) else {
                throw ArtifactError(.invalidContent, path: what, "more than \(TextColumn.bytesMax) bytes in all")
            }
        }

        package mutating func append(_ id: String) throws(ArtifactError) { try append(id.utf8) }
    }
}
