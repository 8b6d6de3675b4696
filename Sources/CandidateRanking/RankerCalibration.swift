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

/// In which precision a network is served: the narrowest that hardly changes anybody's order, found out when it is loaded.
package struct RankerCalibration: Sendable {
    package var precision: RankerPrecision
    /// The share of pairs of one user's candidates that may change places.
    package var orderLossMax = 0.005
    /// Users whose candidates are looked at.
    static let usersMax = 24

    package init(precision: RankerPrecision = .auto) { self.precision = precision }

    /// What was found out of one precision.
    package struct Finding: Sendable {
        package var precision: LayerPrecision
        package var orderLoss: Double
    }

    /// Makes a bundle's ranker ready.
    ///
    /// - Returns: The ranker with what was measured on the way.
    /// - Throws: `ArtifactError` when its features cannot be computed from the model, or its scores are not finite.
    package func ranker(
        _ file: RankerArtifact, _ model: RetrievalModel, path: String
    ) throws -> (ranker: CandidateRanker, findings: [Finding]) {
        switch file {
        case .network(let file): return try ranker(file, model, path: path)
        case .trees(let file):
            let plan = try FeaturePlan(file.schema, model, path: path)
            let ranker = CandidateRanker(plan: plan, model: .trees(TreeScorer(file)))
            try Self.check(try scores(ranker, model), path)
            return (ranker, [])
        }
    }

    package func ranker(
        _ file: NetworkRanker, _ model: RetrievalModel, path: String
    ) throws -> (ranker: CandidateRanker, findings: [Finding]) {
        let plan = try FeaturePlan(file.schema, model, path: path)
        func network(_ precision: LayerPrecision) -> Network {
            Network(file.weights, layout: plan.layout, precision: precision)
        }
        let exact = network(.f32)
        let sample = try scores(CandidateRanker(plan: plan, network: exact), model)
        try Self.check(sample, path)
        var findings: [Finding] = []
        let wanted = precision.fixed.map { [$0] } ?? LayerPrecision.supported.reversed()
        for precision in wanted where precision != .f32 && file.weights.shape.isDeep {
            let narrow = CandidateRanker(plan: plan, network: network(precision))
            let finding = Finding(
                precision: precision, orderLoss: Self.orderLoss(sample, try scores(narrow, model)))
            findings.append(finding)
            if self.precision != .auto || finding.orderLoss <= orderLossMax {
                return (narrow, findings)
            }
        }
        return (CandidateRanker(plan: plan, network: exact), findings)
    }

    private static func check(_ sample: [[Float]], _ path: String) throws(ArtifactError) {
        guard sample.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
            throw ArtifactError(
                .invalidContent, path: path,
                "it gives some users' candidates scores that are not finite; train it again")
        }
    }

    /// Scores of some users' candidates.
    private func scores(_ ranker: CandidateRanker, _ model: RetrievalModel) throws -> [[Float]] {
        let generator = CandidateGenerator(model: model)
        let scorer = CandidateScorer(ranker)
        let count = model.users.count
        var found: [[Float]] = []
        for user in stride(from: 0, to: count, by: max(1, count / Self.usersMax)) {
            let history = model.users.history(of: UInt32(user))
            generator.mask.begin()
            generator.mask.block(history)
            generator.begin(user: UInt32(user), history: history, mix: model.mix)
            while try !generator.step() {}
            var candidates: [ScoredRow] = []
            generator.select(200, into: &candidates)
            scorer.begin(
                RankingRequest(user: UInt32(user), history: history, candidates: candidates, lists: generator.lists))
            while !scorer.step() {}
            found.append(candidates.indices.map(scorer.logit))
        }
        return found
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
