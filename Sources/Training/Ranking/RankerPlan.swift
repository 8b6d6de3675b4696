import Artifacts
import Features
import RankingModels
import Retrieval

/// How a bundle's ranker is made.
package struct RankerPlan: Sendable {
    package var network: NetworkConfiguration
    /// Candidates of a user that are ranked, in training as in serving.
    package var candidates = 200
    /// The part of each user's interactions that the ranker learns from: the last ones where there are times.
    package var heldOut = heldOutDefault
    package static let heldOutDefault = 0.2
    /// Users that examples are taken from, at most.
    package var usersMax = 20_000
    /// Candidates that were not chosen, for each that was.
    package var negatives = 10
    /// Whether a ranker is published that ranks no better than retrieval; else the bundle goes without.
    package var force = false

    package init(network: NetworkConfiguration) { self.network = network }

    package func fault() -> String? {
        if let fault = network.fault() { return fault }
        guard (1...RetrievalMix.limitMax).contains(candidates) else {
            return "\(candidates) candidates; 1 to \(RetrievalMix.limitMax) are possible"
        }
        guard heldOut > 0, heldOut < 1 else { return "a held-out part of \(heldOut)" }
        return (1...1000).contains(negatives) && usersMax > 0 ? nil : "\(negatives) negatives, \(usersMax) users"
    }
}

/// How a ranker did on users that it did not learn from.
package struct RankerReport: Sendable {
    package var k: Int
    package var users: Int
    package var examples: Int
    package var classification: BinaryMetrics
    /// Of the order of retrieval, and of the ranker's.
    package var retrieval: RankingResult
    package var ranked: RankingResult
    /// Whether log-loss and calibration say anything: scores that only order are no log-odds.
    package var givesProbabilities = true

    package var isBetter: Bool { ranked.ndcg > retrieval.ndcg }

    package func json(candidates: Int, isPublished: Bool) -> JSONValue {
        func quality(_ result: RankingResult) -> JSONValue {
            ["ndcg@\(k)": .double(result.ndcg), "recall@\(k)": .double(result.recall)]
        }
        return [
            "published": .bool(isPublished), "candidates": .int(Int64(candidates)), "users": .int(Int64(users)),
            "examples": .int(Int64(examples)),
            "auc": classification.auc.map { .double($0) } ?? .null,
            "log_loss": givesProbabilities ? .double(classification.logLoss) : .null,
            "calibration": classification.calibration.flatMap { givesProbabilities ? .double($0) : nil } ?? .null,
            "retrieval": quality(retrieval), "ranked": quality(ranked),
        ]
    }
}
