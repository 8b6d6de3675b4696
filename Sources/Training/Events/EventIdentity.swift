import Artifacts
import Vocabulary

extension UserEvent {
    /// An ID from everything that the event says: the same event, read again, has the same one. Two events that agree in all
    /// of it, the time included, cannot be told apart and share it.
    ///
    /// Source: the first half of SHA-256 over the fields, each with its length in front.
    package var contentID: String {
        var text = ""
        for field in [user, item, type, scenario, requestID] { text += "\(field.utf8.count):\(field)" }
        text += "\(value.map { String($0.bitPattern) } ?? "-"):\(timeMilliseconds)"
        return "c" + ContentHash.sha256(of: text).prefix(32)
    }
}
