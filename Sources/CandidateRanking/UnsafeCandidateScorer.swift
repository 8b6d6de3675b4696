import Features
import RankingModels
import Retrieval
import VectorMath

/// A ranker that is ready to score candidates: a network or trees with the plan of their features. Immutable; shared by all shards.
package final class CandidateRanker: Sendable {
    /// Candidates that are ranked where nothing else is said.
    package static let candidatesDefault = 200

    package let plan: FeaturePlan
    package let model: RankerModel

    package init(plan: FeaturePlan, model: RankerModel) {
        precondition(plan.layout == model.layout, "the plan is of another schema than the ranker")
        self.plan = plan
        self.model = model
    }

    package convenience init(plan: FeaturePlan, network: Network) { self.init(plan: plan, model: .network(network)) }
}

/// Scores the candidates of one request after the other, in short steps. One for each shard or thread.
package final class CandidateScorer {
    package let ranker: CandidateRanker
    package let features: CandidateFeatures
    private let scratch: RankerScratch
    private var logits: UnsafeMutablePointer<Float>
    private var capacity = 256
    private var done = 0

    /// Rows that one step scores.
    package static let rowsPerStep = 64

    /// - Parameter scratch: Shared by scorers of one thread; nil: its own.
    package init(_ ranker: CandidateRanker, scratch: RankerScratch? = nil) {
        self.ranker = ranker
        features = CandidateFeatures(ranker.plan)
        self.scratch = scratch ?? RankerScratch(ranker.model)
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
        step(rows: Self.rowsPerStep)
        return isDone
    }

    /// Whether all candidates are scored.
    package var isDone: Bool { done == features.rows.count }

    /// Scores that many of the rows that are left.
    func step(rows: Int) {
        let end = min(done + rows, features.rows.count)
        if end > done { ranker.model.score(features.rows, done..<end, scratch, into: logits + done) }
        done = end
    }

    /// Takes the scores of the next rows, which were scored among others' rows.
    func take(_ scores: UnsafePointer<Float>, _ rows: Range<Int>) {
        precondition(rows.lowerBound == done && rows.upperBound <= features.rows.count, "rows \(rows) after \(done)")
        (logits + done).update(from: scores, count: rows.count)
        done = rows.upperBound
    }

    /// The score of a candidate, by its place in the request: of a network its logit.
    package func logit(_ place: Int) -> Float {
        precondition(place < done, "candidate \(place) of \(done) that are scored")
        return logits[place]
    }
}
