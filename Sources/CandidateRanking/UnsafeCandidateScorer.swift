import Features
import RankingModels
import Retrieval
import VectorMath

/// A ranker that is ready to score candidates: a network or trees with the plan of their features. Immutable; shared by all shards.
package final class CandidateRanker: Sendable {
    /// Candidates that are ranked where neither the ranker nor the scenario says how many.
    package static let candidatesDefault = 200

    /// Candidates that are ranked where the scenario does not say how many.
    package var candidateCount: Int { fitness.fitted?.count ?? Self.candidatesDefault }

    package let plan: FeaturePlan
    package let model: RankerModel
    package let fitness: RankerFitness
    /// The network cut by side, with the items' parts; nil of trees, and where whole rows are computed.
    package let split: SplitNetwork?
    /// Why, and what was measured.
    package let itemParts: ItemPartsFinding

    /// - Parameter fitted: What the network was fitted or judged with; nil: nobody knows.
    package init(
        plan: FeaturePlan, network: Network, fitted: FittedCandidates? = nil, split: SplitNetwork? = nil,
        itemParts: ItemPartsFinding = .init()
    ) {
        precondition(plan.layout == network.layout, "the plan is of another schema than the network")
        precondition(split == nil || split?.network === network, "the cut network is another")
        self.plan = plan
        model = .network(network)
        fitness = RankerFitness(fitted, plan.schema)
        self.split = split
        self.itemParts = itemParts
    }

    package init(plan: FeaturePlan, trees: TreeScorer, fitted: FittedCandidates? = nil) {
        precondition(plan.layout == trees.layout, "the plan is of another schema than the trees")
        self.plan = plan
        model = .trees(trees)
        fitness = RankerFitness(fitted, plan.schema)
        split = nil
        itemParts = ItemPartsFinding(reason: "trees have no layers")
    }

    /// Bytes of encoded items, the model and the items' parts.
    package var byteCount: Int { plan.byteCount + model.byteCount + (split?.byteCount ?? 0) }

    /// The same, of a ranker that is still a file. Items' parts are counted where a network can be cut and they fit, whether
    /// they will pay is measured at load; a network without a fixed precision counts as int8, which most are served in.
    package static func byteCount(_ artifact: RankerArtifact, items: Int, calibration: RankerCalibration) -> Int {
        let layout = FeatureLayout(artifact.schema)
        let encoded = items * (layout.categorical.count + layout.dense.count) * 4
        guard case .network(let network) = artifact else {
            if case .trees(let trees) = artifact { return encoded + trees.ensemble.byteCount }
            return encoded
        }
        let precision = calibration.precision.fixed ?? .int8
        var bytes = encoded + Network.byteCount(network.weights, precision)
        let shape = network.weights.shape
        if calibration.itemBytesMax > 0, SplitNetwork.isPossible(shape, layout) {
            func parts(_ isHalf: Bool) -> Int { SplitNetwork.byteCount(shape, itemCount: items, isHalf: isHalf) }
            let isHalf = precision != .f32 || parts(false) > calibration.itemBytesMax
            if parts(isHalf) <= calibration.itemBytesMax { bytes += parts(isHalf) }
        }
        return bytes
    }
}

/// Scores the candidates of one request after the other, in short steps. One for each shard or thread.
package final class CandidateScorer {
    package let ranker: CandidateRanker
    package let features: CandidateFeatures
    private let scratch: RankerScratch
    private var logits: UnsafeMutablePointer<Float>
    private var capacity = 256
    private var done = 0
    /// Of a cut network, what is the same for all candidates; computed with the first of them.
    let own: SplitRequest?

    /// Rows that one step scores.
    package static let rowsPerStep = 64

    /// - Parameter scratch: Shared by scorers of one thread; nil: its own.
    package init(_ ranker: CandidateRanker, scratch: RankerScratch? = nil) {
        self.ranker = ranker
        features = CandidateFeatures(ranker.plan, crossStride: ranker.split?.crossStride ?? 0)
        self.scratch = scratch ?? RankerScratch(ranker)
        own = ranker.split.map { SplitRequest($0) }
        logits = .allocate(capacity: capacity)
    }

    deinit { logits.deallocate() }

    /// Computes the features of a request's candidates.
    ///
    /// - Parameter keepsRows: Leaves whole rows in `features`, for who looks at single features.
    package func begin(_ request: RankingRequest, keepsRows: Bool = false) {
        features.fill(request, own == nil ? .rows : keepsRows ? .rowsAndParts : .parts)
        done = 0
        if features.count > capacity {
            logits.deallocate()
            capacity = features.count * 2
            logits = .allocate(capacity: capacity)
        }
    }

    /// Scores the next rows; true when all are scored.
    package func step() -> Bool {
        step(rows: Self.rowsPerStep)
        return isDone
    }

    /// Whether all candidates are scored.
    package var isDone: Bool { done == features.count }

    /// Scores that many of the rows that are left.
    func step(rows: Int) {
        let end = min(done + rows, features.count)
        guard end > done else { return }
        if case .parts(let batch) = scratch {
            batch.score([BatchScorer.Part(scorer: self, rows: done..<end)])
        } else {
            ranker.model.score(features.rows, done..<end, scratch, into: logits + done)
            done = end
        }
    }

    /// Takes the scores of the next rows, which were scored among others' rows.
    func take(_ scores: UnsafePointer<Float>, _ rows: Range<Int>) {
        precondition(rows.lowerBound == done && rows.upperBound <= features.count, "rows \(rows) after \(done)")
        (logits + done).update(from: scores, count: rows.count)
        done = rows.upperBound
    }

    /// The score of a candidate, by its place in the request: of a network its logit.
    package func logit(_ place: Int) -> Float {
        precondition(place < done, "candidate \(place) of \(done) that are scored")
        return logits[place]
    }
}
