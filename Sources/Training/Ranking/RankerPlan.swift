import Artifacts
import Features
import RankingModels
import Retrieval

/// As of when a ranker's examples are.
package enum RankerLive: String, Sendable, CaseIterable {
    /// When the model was made.
    case none
    /// The moment of a later choice, with what the user did by then in the history.
    case history
    /// The same, and what the user did lately in features of its own.
    case features
}

/// How a bundle's ranker is made.
package struct RankerPlan: Sendable {
    package var network: NetworkConfiguration
    /// Candidates of a user that are ranked, in training as in serving.
    package var candidates = 200
    /// The part of the interactions that came last (a random part of each user's without times) that it learns from or is
    /// judged by.
    package var heldOut = heldOutDefault
    package static let heldOutDefault = 0.2
    /// Users that examples are taken from, at most.
    package var usersMax = UserDeal.Limits().learning
    /// Users that decide when to stop, at most.
    package var stopsMax = UserDeal.Limits().stopping
    /// Users that it is judged by, at most.
    package var judgesMax = UserDeal.Limits().judging
    /// Candidates of a user that were not chosen, about, that it learns from.
    package var negatives = 60
    /// What users were shown and passed over: all of it that is among the candidates is learnt from as not chosen.
    package var shown: ShownItems?
    /// What logged slates teach, with features as they were served; the fit then takes their schema.
    package var slates: SlateExamples?
    /// Whether items have embeddings of their own.
    package var hasItemIDs = false
    /// What of users' live state it learns with.
    package var live = RankerLive.none
    /// What happened when; nil: nobody knows.
    package var timeline: EventTimeline?
    /// Whether a ranker is published that ranks no better than retrieval; else the bundle goes without.
    package var force = false

    package init(network: NetworkConfiguration) { self.network = network }

    var limits: UserDeal.Limits {
        UserDeal.Limits(judging: judgesMax, stopping: stopsMax, learning: usersMax)
    }

    package func fault() -> String? {
        if let fault = network.fault() { return fault }
        guard (1...RetrievalMix.limitMax).contains(candidates) else {
            return "\(candidates) candidates; 1 to \(RetrievalMix.limitMax) are possible"
        }
        guard heldOut > 0, heldOut < 1 else { return "a held-out part of \(heldOut)" }
        return (1...1000).contains(negatives) && usersMax > 0 && stopsMax > 0 && judgesMax > 0
            ? nil : "\(negatives) negatives, \(usersMax) users"
    }
}
