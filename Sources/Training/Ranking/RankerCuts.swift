import Vocabulary

/// Where interactions are cut into what retrieval is fitted to and what a ranker learns from or is judged by.
///
/// With times the cut is a moment, the same for all, as it is between a training and the serving after it: counts and ages
/// then hold nothing of what came after a choice. Where few users come back after such a moment, or there are no times, a
/// part of each user's choices is held out, and what tells of time is not used.
package struct RankerCuts: Sendable {
    package let newest: Split
    /// The same one stretch before: its later part ends where that of `newest` begins. Nil where there is none.
    package let earlier: Split?
    /// Whether what came before holds nothing later than any choice.
    package let arePast: Bool

    /// Users that a moment must leave with both a past and a later choice.
    package static let usersMin = 400

    /// - Parameter share: Of the interactions, held out.
    /// - Throws: `DatasetError` when nothing is left on one side.
    package init(_ interactions: Interactions, share: Double, seed: UInt64) throws {
        if interactions.times != nil, let newest = try? interactions.split(.temporal, share: share),
            newest.returningUsers >= Self.usersMin
        {
            self.newest = newest
            arePast = true
            // As long a stretch of the interactions again.
            let before = try? newest.training.split(.temporal, share: share / (1 - share))
            earlier = before.flatMap { $0.returningUsers >= Self.usersMin ? $0 : nil }
            return
        }
        newest = try interactions.split(interactions.times == nil ? .random : .latest, share: share, seed: seed)
        earlier = nil
        arePast = false
    }
}

extension Split {
    /// Users on both sides.
    fileprivate var returningUsers: Int {
        (0..<training.userCount).count { !training.range(of: $0).isEmpty && !test.range(of: $0).isEmpty }
    }
}
