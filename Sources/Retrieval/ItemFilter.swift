/// What an item must be like to be shown. All conditions hold together; an empty list asks nothing.
package struct ItemFilter: Sendable, Hashable {
    package var anyTag: [String]
    package var allTags: [String]
    package var noTag: [String]
    package var conditions: [ItemCondition]

    package init(
        anyTag: [String] = [], allTags: [String] = [], noTag: [String] = [], conditions: [ItemCondition] = []
    ) {
        self.anyTag = anyTag
        self.allTags = allTags
        self.noTag = noTag
        self.conditions = conditions
    }

    package var isEmpty: Bool { anyTag.isEmpty && allTags.isEmpty && noTag.isEmpty && conditions.isEmpty }

    /// About the bytes that the filter takes.
    var byteCount: Int {
        let lists = [anyTag, allTags, noTag] + conditions.flatMap { [[$0.attribute], $0.anyOf, $0.noneOf] }
        return lists.joined().reduce(64 + conditions.count * 64) { $0 + $1.utf8.count + 16 }
    }
}

/// A test of one attribute. What is given must all hold.
package struct ItemCondition: Sendable, Hashable {
    package var attribute: String
    /// The item has one of these; empty asks nothing. Of a number: its decimal form.
    package var anyOf: [String]
    /// The item has none of these; one without the attribute passes.
    package var noneOf: [String]
    /// The item's number is at least this.
    package var min: Double?
    /// The item's number is at most this.
    package var max: Double?

    package init(
        _ attribute: String, anyOf: [String] = [], noneOf: [String] = [], min: Double? = nil, max: Double? = nil
    ) {
        self.attribute = attribute
        self.anyOf = anyOf
        self.noneOf = noneOf
        self.min = min
        self.max = max
    }
}

/// Why a filter cannot be applied to this model's items: the caller's fault.
package struct FilterFault: Error, Equatable, CustomStringConvertible {
    /// Names the condition, what is wrong with it and what is allowed.
    package let message: String
    package var description: String { message }
}
