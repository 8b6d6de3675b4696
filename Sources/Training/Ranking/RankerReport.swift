import Artifacts
import Vocabulary

/// How a ranker did on users that it did not learn from.
package struct RankerReport: Sendable {
    package var k: Int
    package var examples: Int
    /// Of ndcg@k: the ranker's order less retrieval's, user by user.
    package var difference: PairedDifference
    package var classification: BinaryMetrics
    /// Of the order of retrieval, and of the ranker's.
    package var retrieval: RankingResult
    package var ranked: RankingResult

    /// Whether log-loss and calibration say anything: scores that only order are no log-odds.
    package var givesProbabilities = true

    package var users: Int { difference.users }

    /// Whether it ranks better than retrieval beyond what chance would do.
    package var isBetter: Bool { difference.isGain }

    /// Why it is not published, and what to do; nil for a ranker that is better.
    package var refusal: String? {
        if isBetter { return nil }
        let figures =
            "ndcg@\(k) \(ranked.ndcg.text(digits: 4)) against retrieval's \(retrieval.ndcg.text(digits: 4)): "
            + "\(difference.words)"
        guard difference.hasEnoughUsers else {
            return
                "\(users.counted("user")) to judge the ranker by are too few to tell, \(PairedDifference.usersMin) are needed (\(figures))"
        }
        let reason =
            difference.mean > 0
            ? "the ranker's gain is within what chance would do" : "the ranker ranks no better than retrieval"
        return "\(reason) (\(figures), and a gain of more than \(difference.margin.text(digits: 4)) is needed)"
    }

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
            "difference": [
                "mean": .double(difference.mean), "standard_error": .double(difference.standardError),
                "margin": .double(difference.margin),
            ],
        ]
    }
}
