import Artifacts
import Catalog
import Vocabulary

/// Descriptions of items as columns like those of a model's catalogue.
struct DescribedItems {
    /// What was said, and the row of an item of the model: what was not said of it is as there.
    private let entries: [(said: ItemDescription, row: UInt32?)]
    private let known: ItemCatalog

    init(_ entries: [(said: ItemDescription, row: UInt32?)], beside known: ItemCatalog) {
        self.entries = entries
        self.known = known
    }

    /// - Complexity: O(descriptions).
    func catalog() throws(ArtifactError) -> ItemCatalog {
        let details = known.details
        let sources = details.attributes.map { attribute in
            switch attribute.content {
            case .text(let text):
                ItemDetailColumns.Source(name: attribute.name, .text { texts($0, attribute.name, text) })
            case .number(let number):
                ItemDetailColumns.Source(name: attribute.name, .number { self.number($0, attribute.name, number) })
            }
        }
        return try ItemCatalog(
            ids: try IDDictionary(entries.map(\.said.item), what: "described item"), title: title, tags: tags,
            interactions: Array(repeating: 0, count: entries.count),
            recentScores: Array(repeating: 0, count: entries.count),
            details: try ItemDetailColumns(sources, tagsName: details.tagsName, itemCount: entries.count))
    }

    private func value(_ index: UInt32, _ attribute: String) -> ItemAttributeValue? {
        entries[Int(index)].said.attributes.first { $0.attribute == attribute }
    }

    private static func texts(_ value: ItemAttributeValue) -> [String] {
        value.texts.isEmpty ? value.number.map { ["\($0)"] } ?? [] : value.texts
    }

    private func texts(_ index: UInt32, _ attribute: String, _ text: TextAttribute) -> [String] {
        if let value = value(index, attribute) {
            return Array(Self.texts(value).prefix(ItemAttribute.valuesPerItemMax))
        }
        return entries[Int(index)].row.map { row in text.numbers(row).map(text.value) } ?? []
    }

    private func number(_ index: UInt32, _ attribute: String, _ number: NumberAttribute) -> Double? {
        if let value = value(index, attribute) {
            return (value.number ?? value.texts.first.flatMap { Double($0) }).flatMap { $0.isFinite ? $0 : nil }
        }
        return entries[Int(index)].row.flatMap(number.value)
    }

    private func title(_ index: UInt32) -> String {
        let (said, row) = entries[Int(index)]
        return said.title.isEmpty ? row.map(known.title) ?? "" : said.title
    }

    private func tags(_ index: UInt32) -> [String] {
        let (said, row) = entries[Int(index)]
        let name = known.details.tagsName
        let named = known.details.attributes.contains { $0.name == name } ? nil : value(index, name)
        if said.tags.isEmpty, named == nil, let row { return known.tags(row) }
        return said.tags + (named.map(Self.texts) ?? [])
    }
}

extension ItemDescription {
    /// Whether it says more of an item than when it may be shown.
    var describes: Bool { !title.isEmpty || !tags.isEmpty || !attributes.isEmpty }
}
