import Retrieval
import VectorMath

/// Candidates of one user, to be scored.
package struct RankingRequest {
    /// Nil for a user the model does not know.
    package var user: UInt32?
    /// What the user had, oldest first.
    package var history: [UInt32]
    /// The user's ALS factor where it is another than the bundle's; empty: it is not.
    package var factor: [Float] = []
    /// Values that the request names.
    package var context: [String: String]
    /// Candidates with retrieval's scores, best first.
    package var candidates: [ScoredRow]
    /// What each source brought.
    package var lists: [SourceList]
    /// What is known now; live features of a request without are missing.
    package var live = LiveReadings()
    /// Whether the candidates come from retrieval; else its scores and places are missing.
    package var isRetrieved: Bool

    package init(
        user: UInt32?, history: some Collection<UInt32>, context: [String: String] = [:], candidates: [ScoredRow],
        lists: [SourceList] = [], isRetrieved: Bool = true
    ) {
        self.isRetrieved = isRetrieved
        self.user = user
        self.history = Array(history)
        self.context = context
        self.candidates = candidates
        self.lists = lists
    }
}
