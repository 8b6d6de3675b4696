import Artifacts
import Catalog

/// Users with their histories and items with their attributes, as a bundle holds them.
struct CatalogAssembly {
    let users: UserDirectory
    let items: ItemCatalog

    /// - Parameter data: In bundle order.
    init(_ data: Interactions, _ attributes: ItemAttributes, _ recent: RecentPopularity) throws {
        let itemIDs = try CatalogAssembly.dictionary(data.items, what: "item ID")
        let entries: [ItemAttributes.Entry?] =
            attributes.entries.isEmpty
            ? [] : (0..<UInt32(data.items.count)).map { attributes[data.items.string($0)] }
        func entry(_ row: UInt32) -> ItemAttributes.Entry? { entries.isEmpty ? nil : entries[Int(row)] }
        let sources = attributes.attributes.map { place, column -> ItemDetailColumns.Source in
            func field(_ row: UInt32) -> UInt32 { entry(row)?.places[place] ?? 0 }
            return .init(
                name: column.name,
                column.isNumber ? .number { column.number(field($0)) } : .text { column.texts(field($0)) })
        }
        let details = try ItemDetailColumns(
            sources, windows: entries.contains { $0?.window != nil } ? { entry($0)?.window } : nil,
            tagsName: attributes.tagsName ?? ItemDetailColumns.defaultTagsName, itemCount: data.items.count)
        items = try ItemCatalog(
            ids: itemIDs, title: { entry($0)?.title ?? "" }, tags: { entry($0)?.tags ?? [] },
            interactions: data.itemCounts().map(UInt64.init), recentScores: recent.scores, details: details)
        users = try UserDirectory(
            ids: try CatalogAssembly.dictionary(data.users, what: "user ID"), offsets: data.offsets.map(UInt64.init),
            items: data.itemRows, times: data.times, itemCount: data.itemCount)
    }

    func write(to writer: BundleWriter) throws {
        try users.write(to: writer)
        try items.write(to: writer)
    }

    private static func dictionary(_ ids: IDTable, what: String) throws -> IDDictionary {
        var builder = IDDictionary.Builder(what: what)
        for row in 0..<UInt32(ids.count) {
            try ids.withBytes(of: row) { try builder.append($0) }
        }
        return try IDDictionary(builder)
    }
}
