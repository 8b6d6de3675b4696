/// Something that a user did with an item.
public struct UserEvent: Sendable, Hashable {
    /// 1 to 255 bytes of UTF-8.
    public var user: String
    /// 1 to 255 bytes of UTF-8; may be one that no model knows.
    public var item: String
    /// The name of one of the node's event types.
    public var type: String
    /// A rating, a price, seconds watched: what the type means.
    public var value: Float?
    /// Since 1970-01-01 UTC; 0: when the node takes it.
    public var timeMilliseconds: UInt64
    /// Where the item was shown.
    public var scenario: String
    /// Of the slate that showed it.
    public var requestID: String
    /// The same event given again under its ID counts once; empty: every one counts.
    public var id: String

    public init(
        user: String, item: String, type: String, value: Float? = nil, timeMilliseconds: UInt64 = 0,
        scenario: String = "", requestID: String = "", id: String = ""
    ) {
        self.user = user
        self.item = item
        self.type = type
        self.value = value
        self.timeMilliseconds = timeMilliseconds
        self.scenario = scenario
        self.requestID = requestID
        self.id = id
    }
}
