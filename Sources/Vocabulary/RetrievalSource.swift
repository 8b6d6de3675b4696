/// A way to find candidates. The raw value is its name in configuration, answers, reports and metrics.
public enum RetrievalSource: String, CaseIterable, Hashable, Sendable, Codable {
    /// The user's ALS factor against the item factors.
    case als
    /// The user's spectral factor against the item factors.
    case spectral
    /// Neighbours of the items in the user's history.
    case itemToItem = "item_to_item"
    /// The items with the most interactions overall.
    case popular
    /// The items with the most interactions lately.
    case recent
    /// Items like those of the history by what they are: tags and attributes.
    case content
    /// What the users had whose factors point the way of the user's.
    case userToUser = "user_to_user"
    /// The items with more clicks just now than they usually have, by the node's own events.
    case trending

    /// Whether the source needs to know the user's history or factors.
    public var isPersonal: Bool {
        switch self {
        case .als, .spectral, .itemToItem, .content, .userToUser: true
        case .popular, .recent, .trending: false
        }
    }
}
