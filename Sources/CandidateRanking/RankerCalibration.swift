import Artifacts
import Features
import RankingModels
import Retrieval
import VectorMath

/// How a ranker's layers are computed: a precision, or what is found best at load.
package enum RankerPrecision: String, Sendable, CaseIterable {
    case auto, f32, bf16, int8

    /// Nil: by measurement.
    var fixed: LayerPrecision? { LayerPrecision(rawValue: rawValue) }
}

/// How a ranker is served, found out when it is loaded: a network in the narrowest precision that hardly changes anybody's
/// order, and with items' parts where they pay. Of trees it is only seen that their scores are finite.
package struct RankerCalibration: Sendable {
    package var precision: RankerPrecision
    /// The share of pairs of one user's candidates that may change places.
    package var orderLossMax = 0.005
    /// Bytes of the items' parts of the first layer at most; where they would take more, whole rows are computed. 0: none.
    package var itemBytesMax: Int
    package static let itemBytesMaxDefault = 256 << 20
    /// Threads that compute them; nil: as many as there are cores.
    package var threads: Int?
    /// Holds them whatever they cost; for tests.
    package var forcesItemParts = false
    /// Users whose candidates are looked at.
    static let usersMax = 24

    package init(precision: RankerPrecision = .auto, itemBytesMax: Int = Self.itemBytesMaxDefault) {
        self.precision = precision
        self.itemBytesMax = itemBytesMax
    }

    /// What was found out of one precision.
    package struct Finding: Sendable {
        package var precision: LayerPrecision
        package var orderLoss: Double
    }

    /// Makes a bundle's ranker ready.
    ///
    /// - Returns: The ranker with what was measured of precisions on the way; of trees nothing.
    /// - Throws: `ArtifactError` when its features cannot be computed from the model, or its scores are not finite.
    package func ranker(
        _ file: RankerArtifact, _ model: RetrievalModel, path: String
    ) throws -> (ranker: CandidateRanker, findings: [Finding]) {
        switch file {
        case .network(let file): return try ranker(file, model, path: path)
        case .trees(let file):
            let plan = try FeaturePlan(file.schema, model, path: path)
            let ranker = CandidateRanker(plan: plan, trees: TreeScorer(file), fitted: file.candidates)
            try Self.check(logits(ranker, samples(model)), path)
            return (ranker, [])
        }
    }

    package func ranker(
        _ file: NetworkRanker, _ model: RetrievalModel, path: String
    ) throws -> (ranker: CandidateRanker, findings: [Finding]) {
        let plan = try FeaturePlan(file.schema, model, path: path)
        func whole(_ network: Network) -> CandidateRanker {
            CandidateRanker(plan: plan, network: network, fitted: file.candidates)
        }
        let full = Network(file.weights, layout: plan.layout, precision: .f32)
        let exact = whole(full)
        let samples = try samples(model)
        let sample = logits(exact, samples)
        try Self.check(sample, path)
        var findings: [Finding] = []
        let wanted = precision.fixed.map { [$0] } ?? LayerPrecision.supported.reversed()
        for precision in wanted where precision != .f32 && file.weights.shape.isDeep {
            // One set of embeddings for all of them: those may be most of a ranker.
            let cast = Network(
                file.weights, layout: plan.layout, precision: precision, sharingTablesOf: full)
            let narrow = whole(cast)
            let loss = Self.orderLoss(sample, logits(narrow, samples))
            findings.append(Finding(precision: precision, orderLoss: loss))
            if self.precision != .auto || loss <= orderLossMax {
                return (cut(narrow, cast, file.weights, samples, exact: sample, orderLoss: loss), findings)
            }
        }
        return (cut(exact, full, file.weights, samples, exact: sample, orderLoss: 0), findings)
    }

    private static func check(_ sample: [[Float]], _ path: String) throws(ArtifactError) {
        guard sample.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            throw ArtifactError(
                .invalidContent, path: path,
                "it gives some users' candidates scores that are not finite; train it again")
        }
    }

    /// Some users' candidates.
    private func samples(_ model: RetrievalModel) throws -> [RankingRequest] {
        let generator = CandidateGenerator(model: model)
        let count = model.users.count
        var found: [RankingRequest] = []
        for user in stride(from: 0, to: count, by: max(1, count / Self.usersMax)) {
            let history = model.users.history(of: UInt32(user))
            generator.mask.begin()
            generator.mask.block(history)
            generator.begin(user: UInt32(user), history: history, mix: model.mix)
            while try !generator.step() {}
            var candidates: [ScoredRow] = []
            generator.select(CandidateRanker.candidatesDefault, into: &candidates)
            found.append(
                RankingRequest(user: UInt32(user), history: history, candidates: candidates, lists: generator.lists))
        }
        return found
    }

    /// Scores of the samples' candidates.
    func logits(_ ranker: CandidateRanker, _ samples: [RankingRequest]) -> [[Float]] {
        let scorer = CandidateScorer(ranker)
        return samples.map { sample in
            scorer.begin(sample)
            while !scorer.step() {}
            return sample.candidates.indices.map(scorer.logit)
        }
    }

    /// The share of pairs that stand the other way round.
    static func orderLoss(_ exact: [[Float]], _ other: [[Float]]) -> Double {
        var (changed, pairs) = (0, 0)
        for (a, b) in zip(exact, other) {
            for i in a.indices {
                for j in 0..<i where a[i] != a[j] {
                    pairs += 1
                    if (a[i] < a[j]) != (b[i] < b[j]) { changed += 1 }
                }
            }
        }
        return pairs == 0 ? 0 : Double(changed) / Double(pairs)
    }
}
