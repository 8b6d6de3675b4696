import Artifacts
import Vocabulary

extension ItemCatalog {
    /// Bytes of a title that are kept; the rest is cut off at a character.
    package static let titleBytesMax = 1024
    private static let fileName = "items"

    /// Makes a catalogue in memory.
    ///
    /// - Parameters:
    ///   - ids: By falling interactions, then by the bytes of the ID.
    ///   - title: The title of a row, "" for none; cut off after `titleBytesMax` bytes.
    ///   - tags: The tags of a row in any order; empty and repeated ones are left out, long ones cut at 255 bytes.
    ///   - interactions: For each row.
    ///   - recentScores: For each row how popular it was lately, 0 or more.
    ///   - details: Attributes and availability windows of as many items.
    package convenience init(
        ids: IDDictionary, title: (UInt32) -> String = { _ in "" }, tags: (UInt32) -> [String] = { _ in [] },
        interactions: [UInt64], recentScores: [Float], details: ItemDetailColumns = ItemDetailColumns()
    ) throws(ArtifactError) {
        var titles = TextColumnBuilder()
        var assigned: [[String]] = []
        for row in 0..<UInt32(ids.count) {
            guard titles.append(title(row).cut(toBytes: Self.titleBytesMax).utf8) else {
                throw ArtifactError(.invalidContent, path: "items", "the titles take more than 4 GiB")
            }
            assigned.append(tags(row).map { $0.cut(toBytes: Identity.bytesMax) }.filter { !$0.isEmpty })
        }
        let tags = try TextAttribute(
            assigned, valuesMax: .max, what: ("item_tags.offsets", "item_tags.tags", "tag"), path: "items")
        try self.init(
            ids: ids,
            titles: try TextColumn(
                bytes: Column(titles.bytes), offsets: Column(titles.offsets), lengths: 0...UInt32.max, what: "title",
                path: "items"),
            tagNames: tags.names, tagOffsets: tags.offsets, tagRows: tags.assigned, counts: Column(interactions),
            recent: Column(recentScores), details: details, path: "items")
    }

    /// Reads and checks the items of a bundle.
    ///
    /// - Complexity: O(items + tag assignments), plus sorting where items do not stand by popularity.
    package convenience init(bundle: Bundle) throws(ArtifactError) {
        let file = try bundle.file(Self.fileName)
        let count = bundle.manifest.counts.items
        let tagRows = Column<UInt32>(try file.tensor("item_tags.tags", .u32, shape: [nil]))
        try self.init(
            ids: try IDDictionary(file, "ids", count: count, what: "item ID"),
            titles: try TextColumn(file, "titles", count: count, lengths: 0...UInt32.max, what: "title"),
            tagNames: try IDDictionary(file, "tags", count: nil, what: "tag"),
            tagOffsets: Column(try file.tensor("item_tags.offsets", .u32, shape: [count + 1])), tagRows: tagRows,
            counts: Column(try file.tensor("interactions", .u64, shape: [count])),
            recent: Column(try file.tensor("recent_scores", .f32, shape: [count])),
            details: try ItemDetailColumns(file, itemCount: count), path: file.path)
    }

    /// Writes `items.safetensors`.
    package func write(to bundle: BundleWriter) throws(ArtifactError) {
        let isNamed = details.tagsName != ItemDetailColumns.defaultTagsName
        let writer = try bundle.file(
            Self.fileName, metadata: isNamed ? [ItemDetailColumns.tagsNameKey: details.tagsName] : [:])
        ids.declare("ids", in: writer)
        titles.declare("titles", in: writer)
        tagValues.names.declare("tags", in: writer)
        writer.declare("item_tags.offsets", .u32, shape: [tagValues.offsets.count])
        writer.declare("item_tags.tags", .u32, shape: [tagValues.assigned.count])
        writer.declare("interactions", .u64, shape: [counts.count])
        writer.declare("recent_scores", .f32, shape: [recent.count])
        try details.declare(in: writer)
        try ids.write("ids", to: writer)
        try titles.write("titles", to: writer)
        try tagValues.names.write("tags", to: writer)
        try writer.append(tagValues.offsets.values, to: "item_tags.offsets")
        try writer.append(tagValues.assigned.values, to: "item_tags.tags")
        try writer.append(counts.values, to: "interactions")
        try writer.append(recent.values, to: "recent_scores")
        try details.write(to: writer)
        try writer.finish()
    }
}

extension String {
    /// As many whole characters from the front as fit in `limit` bytes.
    fileprivate func cut(toBytes limit: Int) -> String {
        if utf8.count <= limit { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: limit)
        while end > startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
