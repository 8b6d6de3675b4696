/// What is said of an item that is new, or that has changed, while a model serves.
public struct ItemDescription: Sendable, Hashable {
    /// 1 to 255 bytes of UTF-8.
    public var item: String
    public var title: String
    public var tags: [String]
    /// Each attribute once.
    public var attributes: [ItemAttributeValue]
    /// Where the item lies among the factors of the model that serves; empty: the node finds a place by tags and attributes.
    public var vector: [Float]
    /// The first second, since 1970, in which the item may be shown; nil: since ever.
    public var fromSeconds: Int64?
    /// The first second in which it may not be shown any more; nil: never.
    public var untilSeconds: Int64?

    public init(
        item: String, title: String = "", tags: [String] = [], attributes: [ItemAttributeValue] = [],
        vector: [Float] = [], fromSeconds: Int64? = nil, untilSeconds: Int64? = nil
    ) {
        self.item = item
        self.title = title
        self.tags = tags
        self.attributes = attributes
        self.vector = vector
        self.fromSeconds = fromSeconds
        self.untilSeconds = untilSeconds
    }
}

/// What an item has of one attribute.
public struct ItemAttributeValue: Sendable, Hashable {
    public var attribute: String
    public var texts: [String]
    /// Of an attribute of numbers.
    public var number: Double?

    public init(_ attribute: String, texts: [String] = [], number: Double? = nil) {
        self.attribute = attribute
        self.texts = texts
        self.number = number
    }
}

/// When an item may be shown, in place of what the model says.
public struct ItemWindow: Sendable, Hashable {
    public var item: String
    /// Never, whatever the seconds say.
    public var isHidden: Bool
    /// Seconds since 1970; nil: since ever.
    public var fromSeconds: Int64?
    /// The first second that is too late; nil: none is.
    public var untilSeconds: Int64?

    public init(item: String, isHidden: Bool = false, fromSeconds: Int64? = nil, untilSeconds: Int64? = nil) {
        self.item = item
        self.isHidden = isHidden
        self.fromSeconds = fromSeconds
        self.untilSeconds = untilSeconds
    }
}

/// A change of one item.
package enum ItemChange: Sendable, Hashable {
    /// The item is there, and is like this; one that was deleted is there again.
    case upsert(ItemDescription)
    case delete(String)
    case window(ItemWindow)
    /// Nothing that was changed of it counts any more: the item is what the model says.
    case restore(String)

    package var item: String {
        switch self {
        case .upsert(let description): description.item
        case .delete(let item), .restore(let item): item
        case .window(let window): window.item
        }
    }
}
