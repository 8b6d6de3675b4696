/// The largest requests that a node takes. Protos/README.md states them; a request beyond one is INVALID_ARGUMENT.
public enum RequestLimits {
    /// Bytes of a user, item, tenant, scenario, source, tag or context key.
    public static let idBytesMax = 255
    /// Items asked for in one answer.
    public static let kMax = 1000
    /// Users in one RecommendMany.
    public static let usersMax = 1024
    /// Items in an exclude list.
    public static let excludeItemsMax = 10_000
    /// Items of a Rank.
    public static let rankItemsMax = 10_000
    /// Tags in each list of a filter.
    public static let tagsMax = 64
    /// Attribute conditions of a filter.
    public static let conditionsMax = 16
    /// Values in each list of an attribute condition.
    public static let conditionValuesMax = 128
    /// Entries of a context.
    public static let contextEntriesMax = 64
    /// Bytes of a context value.
    public static let contextValueBytesMax = 1024
    /// Bytes of a cursor: one that names a thousand items fits.
    public static let cursorBytesMax = 4096
    /// Pins of a request.
    public static let pinsMax = 16
    /// Recent items of a request.
    public static let recentItemsMax = 200
    /// Events of a RecordEvents.
    public static let eventsMax = 1000
    /// Bytes of an event's ID, and of the request ID that it names.
    public static let eventIDBytesMax = 64
    /// Items of an UpsertItems, a DeleteItems or a SetAvailability.
    public static let changedItemsMax = 1000
    /// Bytes of the title of an upserted item.
    public static let titleBytesMax = 1024
    /// Tags of an upserted item, and texts of one of its attributes.
    public static let itemTextsMax = 64
    /// Attributes of an upserted item.
    public static let itemAttributesMax = 64
    /// Numbers of the vector of an upserted item.
    public static let vectorMax = 4096
    /// Bytes of a path to a bundle.
    public static let pathBytesMax = 1024
}

/// What is wrong with a request. The caller's fault: INVALID_ARGUMENT, and sending it again does not help.
package struct RequestFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// Names the field, says what is wrong with it and what is allowed.
    package let message: String

    package init(_ message: String) { self.message = message }
    package var description: String { message }
}
