import Catalog

/// The values that items have of one attribute which were described after the model was made, numbered as the model's are.
///
/// A text that an item of the model has keeps its number there; one that is new has the next number that is free. So values
/// of all items can be compared, counted and kept in one table.
package struct AddedValues: Sendable {
    /// By the index of the item.
    package let content: ItemAttribute.Content
    /// Of a text, by its number in `content`: its number among both. Empty for numbers, which are their own.
    package let numbers: [UInt32]
    /// Numbers of texts that are taken; 0 for numbers.
    package let valueCount: Int

    /// - Parameters:
    ///   - added: Of the items.
    ///   - known: Of the model's items.
    ///   - first: Others that were numbered before.
    /// - Returns: Nil where one is text and the other numbers.
    /// - Complexity: O(different values of the items).
    init?(_ added: ItemAttribute.Content, among known: ItemAttribute.Content, after first: AddedValues?) {
        content = added
        switch (added, known) {
        case (.number, .number): (numbers, valueCount) = ([], 0)
        case (.text(let added), .text(let known)):
            var next = UInt32(max(known.valueCount, first?.valueCount ?? 0))
            var numbers: [UInt32] = []
            numbers.reserveCapacity(added.valueCount)
            for number in 0..<UInt32(added.valueCount) {
                let text = added.value(number)
                if let same = known.number(of: text) ?? first?.number(of: text) {
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

    /// The number of a text that the model may not have; nil when none of the items has it.
    package func number(of text: String) -> UInt32? {
        guard case .text(let own) = content else { return nil }
        return own.number(of: text).map { numbers[Int($0)] }
    }

    /// By the attributes' names, tags among them.
    static func all(
        _ added: ItemCatalog, among known: ItemCatalog, after first: [String: AddedValues] = [:]
    ) -> [String: AddedValues] {
        var all: [String: AddedValues] = [:]
        for attribute in known.details.attributes {
            guard let own = added.details.attributes.first(where: { $0.name == attribute.name }) else { continue }
            all[attribute.name] = AddedValues(own.content, among: attribute.content, after: first[attribute.name])
        }
        let tags = known.details.tagsName
        if all[tags] == nil, known.tagCount > 0 {
            all[tags] = AddedValues(.text(added.tagValues), among: .text(known.tagValues), after: first[tags])
        }
        return all
    }
}
