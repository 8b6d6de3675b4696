import Features
import RankingModels
import Retrieval
import VectorMath

/// A ranker that is ready to score candidates: a network with the plan of its features. Immutable; shared by all shards.
package final class CandidateRanker: Sendable {
    package let plan: FeaturePlan
    package let network: Network

    package init(plan: FeaturePlan, network: Network) {
        precondition(plan.layout == network.layout, "the plan is of another schema than the network")
        self.plan = plan
        self.network = network
    }
}

/// Scores the candidates of one request after the other, in short steps. One for each shard or thread.
package final class CandidateScorer {
    package let ranker: CandidateRanker
    package let features: CandidateFeatures
    private let scratch: NetworkScratch
    private var logits: UnsafeMutablePointer<Float>
    private var capacity = 256
    private var done = 0

    /// Rows that one step scores.
    package static let rowsPerStep = 64

    package init(_ ranker: CandidateRanker) {
        self.ranker = ranker
        features = CandidateFeatures(ranker.plan)
        scratch = NetworkScratch(ranker.network)
        logits = .allocate(capacity: capacity)
    }

    deinit { logits.deallocate() }

    /// Computes the features of a request's candidates.
    package func begin(_ request: RankingRequest) {
        features.fill(request)
        done = 0
        if features.rows.count > capacity {
            logits.deallocate()
            capacity = features.rows.count * 2
            logits = .allocate(capacity: capacity)
        }
    }

    /// Scores the next rows; true when all are scored.
    package func step() -> Bool {
        let end = min(done + Self.rowsPerStep, features.rows.count)
        if end > done { ranker.network.score(features.rows, done..<end, scratch, into: logits + done) }
        done = end
        return done == features.rows.count
    }

    /// The logit of a candidate, by its place in the request.
    package func logit(_ place: Int) -> Float {
        precondition(place < done, "candidate \(place) of \(done) that are scored")
        return logits[place]
    }
}
