import Catalog

/// The values that added items have of one attribute, numbered as the model's are.
///
/// A text that an item of the model has keeps its number there; one that is new has the next number that is free. So values
/// of both kinds of items can be compared, counted and kept in one table.
package struct AddedValues: Sendable {
    /// By the index of the added item.
    package let content: ItemAttribute.Content
    /// Of a text, by its number in `content`: its number among both. Empty for numbers, which are their own.
    package let numbers: [UInt32]
    /// Different texts of both; 0 for numbers.
    package let valueCount: Int

    /// - Parameters:
    ///   - added: Of the added items.
    ///   - known: Of the model's items.
    /// - Returns: Nil where one is text and the other numbers.
    /// - Complexity: O(different values of the added items).
    init?(_ added: ItemAttribute.Content, among known: ItemAttribute.Content) {
        content = added
        switch (added, known) {
        case (.number, .number): (numbers, valueCount) = ([], 0)
        case (.text(let added), .text(let known)):
            var next = UInt32(known.valueCount)
            var numbers: [UInt32] = []
            numbers.reserveCapacity(added.valueCount)
            for number in 0..<UInt32(added.valueCount) {
                if let same = known.number(of: added.value(number)) {
                    numbers.append(same)
                } else {
                    numbers.append(next)
                    next += 1
                }
            }
            (self.numbers, valueCount) = (numbers, Int(next))
        default: return nil
        }
    }

    /// The number of a text that the model may not have; nil when no added item has it.
    package func number(of text: String) -> UInt32? {
        guard case .text(let own) = content else { return nil }
        return own.number(of: text).map { numbers[Int($0)] }
    }

    /// By the attributes' names, tags among them.
    static func all(_ added: ItemCatalog, among known: ItemCatalog) -> [String: AddedValues] {
        var all: [String: AddedValues] = [:]
        for attribute in known.details.attributes {
            guard let own = added.details.attributes.first(where: { $0.name == attribute.name }) else { continue }
            all[attribute.name] = AddedValues(own.content, among: attribute.content)
        }
        let tags = known.details.tagsName
        if all[tags] == nil, known.tagCount > 0 {
            all[tags] = AddedValues(.text(added.tagValues), among: .text(known.tagValues))
        }
        return all
    }
}
