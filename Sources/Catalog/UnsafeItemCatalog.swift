import Artifacts

/// The items of a generation: IDs, titles, tags, attributes, availability, and how popular they are.
///
/// Items stand by falling number of interactions, then by the bytes of their ID; `popularOrder` holds for any order.
/// `Sendable`: nothing changes after `init`.
package final class ItemCatalog: Sendable {
    package let ids: IDDictionary
    let titles: TextColumn
    /// The tags, which are a text attribute too.
    package let tagValues: TextAttribute
    /// Attributes and availability windows.
    package let details: ItemDetailColumns
    let counts: Column<UInt64>
    let recent: Column<Float>
    private let popular: Column<UInt32>
    private let lately: Column<UInt32>

    package var count: Int { ids.count }
    package var tagCount: Int { tagValues.valueCount }
    /// Tags of all items together.
    package var tagAssignmentCount: Int { tagValues.assignmentCount }
    /// Bytes that the catalogue takes, mapped or not.
    package var byteCount: Int {
        ids.byteCount + titles.bytes.count + titles.offsets.count * 4 + tagValues.byteCount + details.byteCount
            + counts.count * 8 + recent.count * 4 + popular.count * 4 + lately.count * 4
    }

    /// The same, of items without tags and attributes.
    package static func byteCount(items: Int, idBytes: Double, titleBytes: Double) -> Int {
        IDDictionary.byteCount(count: items, idBytes: idBytes) + Int(Double(items) * titleBytes) + (items + 1) * 4
            // Interactions, recent scores, and the orders by both.
            + items * (8 + 4 + 4 + 4)
            // Tags: where those of each item end.
            + (items + 1) * 4
    }

    /// Adopts columns, checking them against each other.
    init(
        ids: IDDictionary, titles: TextColumn, tagNames: IDDictionary, tagOffsets: Column<UInt32>,
        tagRows: Column<UInt32>, counts: Column<UInt64>, recent: Column<Float>,
        details: ItemDetailColumns = ItemDetailColumns(), path: String
    ) throws(ArtifactError) {
        func invalid(_ fault: String) -> ArtifactError { ArtifactError(.invalidContent, path: path, fault) }
        for (name, count) in [
            ("titles", titles.count), ("interactions", counts.count), ("recent_scores", recent.count),
        ]
        where count != ids.count {
            throw invalid("\(name) has \(count) entries for \(ids.count) items")
        }
        tagValues = try TextAttribute(
            names: tagNames, offsets: tagOffsets, assigned: tagRows, itemCount: ids.count, valuesMax: .max,
            what: ("item_tags.offsets", "item_tags.tags", "tag"), path: path)
        guard recent.values.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            throw invalid("recent_scores holds a number that is negative or not finite")
        }
        self.ids = ids
        self.titles = titles
        self.details = details
        self.counts = counts
        self.recent = recent
        popular = Column(Self.order(counts.values, where: { _ in true }))
        lately = Column(Self.order(recent.values, where: { $0 > 0 }))
    }

    package func row(of item: String) -> UInt32? { ids.row(of: item) }
    package func row(of item: UnsafeRawBufferPointer) -> UInt32? { ids.row(of: item) }
    /// The item's ID. - Precondition: `row < count`.
    package func name(_ row: UInt32) -> String { ids.string(row) }
    /// The UTF-8 bytes of the item's ID; valid while the catalogue lives.
    package func nameBytes(_ row: UInt32) -> UnsafeRawBufferPointer { ids.bytes(row) }

    /// The item's title; empty when it has none.
    package func title(_ row: UInt32) -> String { titles.string(Int(row)) }
    /// The UTF-8 bytes of the title; valid while the catalogue lives.
    package func titleBytes(_ row: UInt32) -> UnsafeRawBufferPointer { titles[Int(row)] }

    package func tags(_ row: UInt32) -> [String] { tagIDs(row).map(tagValues.value) }
    /// Numbers of the item's tags, ascending; valid while the catalogue lives.
    package func tagIDs(_ row: UInt32) -> UnsafeBufferPointer<UInt32> { tagValues.numbers(row) }
    package func tagID(of tag: String) -> UInt32? { tagValues.number(of: tag) }
    /// The name of a tag. - Precondition: `tag < tagCount`.
    package func tagName(_ tag: UInt32) -> String { tagValues.value(tag) }

    /// Whether the item has a tag.
    ///
    /// - Complexity: O(tags of the item); they are few and in one cache line. To test many items use lists by tag.
    package func hasTag(_ tag: UInt32, row: UInt32) -> Bool { tagIDs(row).contains(tag) }

    /// Interactions of the item in the training data.
    package func interactions(_ row: UInt32) -> UInt64 { counts[Int(row)] }

    /// All rows by falling interactions, ties by ascending row; valid while the catalogue lives.
    package var popularOrder: UnsafeBufferPointer<UInt32> { popular.values }
    /// The rows that were had lately, by falling recent score, ties by ascending row.
    package var recentOrder: UnsafeBufferPointer<UInt32> { lately.values }
    /// For each item row how popular it was lately; 0: not at all.
    package var recentScores: UnsafeBufferPointer<Float> { recent.values }

    /// The rows whose value is wanted, by falling value, ties by ascending row.
    private static func order<Value: Comparable>(
        _ values: UnsafeBufferPointer<Value>, where isWanted: (Value) -> Bool
    ) -> [UInt32] {
        let rows = (0..<UInt32(values.count)).filter { isWanted(values[Int($0)]) }
        let isSorted = zip(rows, rows.dropFirst()).allSatisfy { values[Int($0)] >= values[Int($1)] }
        if isSorted { return rows }
        return rows.sorted { (values[Int($1)], $0) < (values[Int($0)], $1) }
    }
}
