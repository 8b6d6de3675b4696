import Artifacts
import FactorModels
import Retrieval
import Vocabulary

/// Looks for the settings and the mix that serve a validation part best, within a time budget.
///
/// One setting is changed at a time, in a fixed order; a change stays when the fused ranking's ndcg@k rises. The trials
/// and their order depend on the data and the seed alone, so a larger budget only adds trials at the end. What is best so
/// far is the answer when the budget ends, even in the middle of a trial.
package struct Tuner {
    /// One fit that was tried.
    package struct Trial: Sendable, Codable, Equatable {
        /// From 0, which is the plan as it was handed in.
        package let number: Int
        /// What was changed, `als.rank 128` say.
        package let change: String
        /// Of the fused ranking, with the best mix for these fits.
        package let ndcg: Double
        package let recall: Double
        /// Whether the change stays.
        package let isKept: Bool
        /// Since the tuning began.
        package let seconds: Double
    }

    /// What a tuning ends with.
    package struct Outcome: Sendable {
        /// The plan with the settings and the mix found best.
        package var plan: TrainingPlan
        package var trials: [Trial]
        package var ndcg: Double
        package var recall: Double
        /// Users of the validation part that were asked for.
        package var users: Int
    }

    /// Most users to ask for; more are thinned out evenly.
    package static let usersMax = 6000
    /// Candidates of each source.
    static let limit = 400

    private let plan: TrainingPlan
    private let k: Int
    private let budget: Duration
    private let elapsed: @Sendable () -> Duration
    private let cancellation: Cancellation
    private let onTrial: (Trial) -> Void

    /// - Parameters:
    ///   - plan: Where to start from; what it does not make (no ALS, say) is not tried.
    ///   - elapsed: Time since the tuning began.
    ///   - onTrial: Told of each trial when it is over.
    package init(
        _ plan: TrainingPlan, k: Int = 20, budget: Duration, elapsed: @escaping @Sendable () -> Duration,
        cancellation: Cancellation = Cancellation(), onTrial: @escaping (Trial) -> Void = { _ in }
    ) {
        self.plan = plan
        self.k = k
        self.budget = budget
        self.elapsed = elapsed
        self.cancellation = cancellation
        self.onTrial = onTrial
    }

    /// Tunes on `validation`, which must not stand in `training`.
    ///
    /// - Parameter attributes: What the items are, where the plan weighs `content`.
    /// - Throws: `DatasetError` when no user of the validation part can be asked for, `CancellationError` when cancelled
    ///   (not when the budget ends).
    package func tune(
        training: Interactions, validation: Interactions, attributes: ItemAttributes = ItemAttributes()
    ) throws -> Outcome {
        let data = training.inBundleOrder()
        let matrix = data.matrix(plan.confidence)
        guard let cases = ValidationCases(data, validation, usersMax: Self.usersMax) else {
            throw DatasetError(.empty, "no user of the validation part has both a history and an item to find")
        }
        let ranker = ValidationRanker(matrix: matrix, cases: cases, k: k, limit: Self.limit, threads: plan.threads)
        var state = State(plan: plan)
        var trials: [Trial] = []

        // The plan as it is. Its fits come first whatever the budget: there must be an answer.
        for source in Self.sources(of: plan) {
            let fitted = try fit(source, plan, matrix, ranker, hasBudget: false)
            state.lists.merge(fitted) { $1 }
        }
        let counts = data.itemCounts().map(Float.init)
        state.lists[.popular] = ranker.lists(scores: counts)
        let recent = RecentPopularity(data).scores
        if recent != counts { state.lists[.recent] = ranker.lists(scores: recent) }
        if plan.extraSources.contains(.content) {
            let content = ContentIndex(try CatalogAssembly(data, attributes, RecentPopularity(data)).items)
            if !content.isEmpty { state.lists[.content] = ranker.lists(content, histories: data) }
        }
        state.improveMix(ranker)
        record("your settings", state, true, &trials)

        var isImproving = true
        while isImproving, elapsed() < budget {
            isImproving = false
            for move in TuningMove.all(for: plan) {
                guard elapsed() < budget else { break }
                guard let changed = move.apply(state.plan), !state.tried.contains(changed.key) else { continue }
                state.tried.insert(changed.key)
                var next = state
                next.plan = changed.plan
                do {
                    let fitted = try fit(move.source, changed.plan, matrix, ranker, hasBudget: true)
                    next.lists.merge(fitted) { $1 }
                } catch is CancellationError where !cancellation.isCancelled {
                    break
                }
                next.improveMix(ranker)
                let isBetter = next.score.ndcg > state.score.ndcg
                record(changed.change, next, isBetter, &trials)
                if isBetter {
                    state = next
                    isImproving = true
                }
            }
        }
        return Outcome(
            plan: state.finished(), trials: trials, ndcg: state.score.ndcg, recall: state.score.recall,
            users: cases.count)
    }

    private func record(_ change: String, _ state: State, _ isKept: Bool, _ trials: inout [Trial]) {
        let trial = Trial(
            number: trials.count, change: change, ndcg: state.score.ndcg, recall: state.score.recall, isKept: isKept,
            seconds: elapsed() / .seconds(1))
        trials.append(trial)
        onTrial(trial)
    }

    /// The sources that the plan fits.
    static func sources(of plan: TrainingPlan) -> [RetrievalSource] {
        [.itemToItem] + (plan.als == nil ? [] : [.als]) + (plan.spectral == nil ? [] : [.spectral])
    }

    /// Fits one source and ranks with it, and with what goes with it, for the cases.
    private func fit(
        _ source: RetrievalSource, _ plan: TrainingPlan, _ matrix: SparseMatrix, _ ranker: ValidationRanker,
        hasBudget: Bool
    ) throws -> [RetrievalSource: ValidationRanker.Lists] {
        let (cancellation, elapsed, budget) = (cancellation, elapsed, budget)
        let isCancelled: @Sendable () -> Bool = {
            cancellation.isCancelled || (hasBudget && elapsed() >= budget)
        }
        switch source {
        case .als:
            let model = try ALS.fit(
                matrix, plan.als ?? ALSConfiguration(), threads: plan.threads, isCancelled: isCancelled)
            return lists(of: model, source, plan, ranker)
        case .spectral:
            let model = try Spectral.fit(
                matrix, plan.spectral ?? SpectralConfiguration(), threads: plan.threads, isCancelled: isCancelled)
            return lists(of: model, source, plan, ranker)
        case .itemToItem, .popular, .recent, .content, .userToUser, .trending:
            let neighbors = try ItemNeighbors.fit(
                matrix, plan.neighbors, threads: plan.threads, isCancelled: isCancelled)
            return [source: ranker.lists(neighbors)]
        }
    }

    /// Factors rank items, and where the plan weighs `userToUser` they name the users whose items count.
    private func lists(
        of model: FactorModel, _ source: RetrievalSource, _ plan: TrainingPlan, _ ranker: ValidationRanker
    ) -> [RetrievalSource: ValidationRanker.Lists] {
        var lists = [source: ranker.lists(model)]
        if plan.extraSources.contains(.userToUser), source == .als || plan.als == nil {
            lists[.userToUser] = ranker.lists(usersLike: model)
        }
        return lists
    }

    /// The best so far, and a candidate to follow it.
    private struct State {
        var plan: TrainingPlan
        var lists: [RetrievalSource: ValidationRanker.Lists] = [:]
        var weights: [RetrievalSource: Float] = [:]
        var score = ValidationRanker.Score(ndcg: -1, recall: 0)
        var tried: Set<String> = []

        init(plan: TrainingPlan) {
            self.plan = plan
            weights = [.itemToItem: 1]
        }

        /// Weights that are tried for a source beside item-to-item, which keeps weight 1, or 0 when it only harms.
        private static let steps: [Float] = [0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.5, 4]

        /// Finds the weights, one source after the other, until none changes.
        mutating func improveMix(_ ranker: ValidationRanker) {
            let sources = RetrievalSource.allCases.filter { lists[$0] != nil }
            score = ranker.score(mix(weights), lists)
            for _ in 0..<3 {
                let before = weights
                for source in sources {
                    for step in source == .itemToItem && sources.count > 1 ? [0, 1] : Self.steps {
                        if sources.count == 1 { break }
                        var weights = weights
                        weights[source] = step
                        let mix = mix(weights)
                        if mix.sources.isEmpty || weights == self.weights { continue }
                        let score = ranker.score(mix, lists)
                        if score.ndcg > self.score.ndcg { (self.weights, self.score) = (weights, score) }
                    }
                }
                if weights == before { break }
            }
        }

        private func mix(_ weights: [RetrievalSource: Float]) -> RetrievalMix {
            RetrievalMix(
                sources: [RetrievalSource.itemToItem, .als, .spectral, .popular, .recent, .content, .userToUser]
                    .compactMap { source in
                        guard lists[source] != nil, let weight = weights[source], weight > 0 else { return nil }
                        return .init(source: source, limit: Tuner.limit, weight: weight)
                    }, normalisation: .zscore)
        }

        /// The plan with its mix; a source without weight is still fitted, for similar items and other scenarios.
        func finished() -> TrainingPlan {
            var plan = plan
            plan.mix = mix(weights)
            return plan
        }
    }
}

extension Tuner.Outcome {
    /// For the manifest.
    package var json: JSONValue {
        get throws {
            .object([
                "ndcg": .double(ndcg), "recall": .double(recall), "users": .int(Int64(users)),
                "trials": try JSONValue(encoding: trials),
            ])
        }
    }
}

extension Tuner.Trial: CustomStringConvertible {
    /// One line of a tuning's progress.
    package var description: String {
        "trial \(number): \(change): ndcg \(ndcg.text(digits: 4)) recall \(recall.text(digits: 4)) "
            + "after \(seconds.text(digits: 1)) s\(isKept ? ", kept" : "")"
    }
}
