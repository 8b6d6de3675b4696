import Catalog
import Vocabulary

/// Which column of a file of items is what.
struct HeaderColumns {
    var item: Int
    var title: Int?
    var tags: Int?
    /// How the header calls the tags.
    var tagsName: String?
    var from: Int?
    var until: Int?
    /// Every other column: an attribute.
    var others: [(name: String, field: Int)] = []
    /// Columns of the header; 0 without one.
    var fieldCount = 0

    private static let titleNames: Set<String> = ["title", "name", "itemname", "movietitle"]
    /// The first of these that is there holds the tags.
    private static let tagNames = ["tags", "genres", "genre", "categories", "category", "class"]

    init(item: Int, title: Int?, tags: Int?) {
        self.item = item
        self.title = title
        self.tags = tags
    }

    /// Whether lines hold more than item, title and tags.
    var hasDetails: Bool { !others.isEmpty || from != nil || until != nil }

    /// Nil when `header` is a line like any other: a header names the item, and a title or nothing but columns.
    ///
    /// - Throws: `DatasetError` for a header that cannot be used.
    init?(header: [String], path: String) throws(DatasetError) {
        let names = header.map(ColumnPlan.normalised)
        guard let item = names.firstIndex(where: { ColumnPlan.itemNames.contains($0) || $0 == "id" }) else {
            return nil
        }
        self.init(item: item, title: names.firstIndex(where: Self.titleNames.contains), tags: nil)
        // One letter is an ID rather than a name, where no title says otherwise.
        if title == nil, names[item].count == 1 || !Self.looksLikeNames(header) { return nil }
        tags = Self.tagNames.lazy.compactMap { names.firstIndex(of: $0) }.first
        tagsName = tags.map { Self.attributeName(header[$0]) }
        from = names.firstIndex(of: "availablefrom")
        until = names.firstIndex(of: "availableuntil")
        fieldCount = header.count
        let known = Set([item, title, tags, from, until].compactMap { $0 })
        var seen: Set<String> = tagsName.map { [$0] } ?? []
        for (field, raw) in header.enumerated() where !known.contains(field) {
            let name = Self.attributeName(raw)
            // Tables are written with an unnamed column of row numbers in front.
            if name.isEmpty { continue }
            func refuse(_ expected: String, _ found: String) -> DatasetError {
                DatasetError(.badLine, LineFault(expected: expected, found: found).message(file: path, line: 1))
            }
            guard name.utf8.count <= Identity.bytesMax else {
                throw refuse("column names of at most \(Identity.bytesMax) bytes", "\(name.prefix(40))...")
            }
            guard seen.insert(name).inserted else { throw refuse("columns of different names", "\(name) twice") }
            others.append((name, field))
        }
        if others.count > ItemAttribute.countMax {
            throw DatasetError(
                .badLine,
                "\(path), line 1: \(others.count) columns beside item, title and tags; at most "
                    + "\(ItemAttribute.countMax) can be attributes: leave some out")
        }
    }

    /// "price:float", as RecBole writes it, is "price".
    private static func attributeName(_ raw: String) -> String {
        for suffix in [":token", ":token_seq", ":float", ":float_seq"] where raw.hasSuffix(suffix) {
            return String(raw.dropLast(suffix.count))
        }
        return raw
    }

    /// Different names, and no number among them.
    private static func looksLikeNames(_ header: [String]) -> Bool {
        header.count > 1 && Set(header).count == header.count
            && header.allSatisfy { !$0.isEmpty && Double($0) == nil }
    }
}
