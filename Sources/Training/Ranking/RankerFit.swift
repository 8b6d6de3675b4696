import Artifacts
import CandidateRanking
import Features
import Foundation
import RankingModels
import Retrieval
import Vocabulary

/// A model of what came before a moment, and what users chose after it.
package struct RankerWindow: Sendable {
    package var model: RetrievalModel
    package var later: Interactions
    /// Whether the model knows nothing of the time after any of those choices.
    package var isPast: Bool

    package init(model: RetrievalModel, later: Interactions, isPast: Bool) {
        self.model = model
        self.later = later
        self.isPast = isPast
    }
}

/// Fits a ranker to what users chose among the candidates that retrieval, fitted without those choices, found for them.
package struct RankerFit {
    private let plan: RankerPlan
    private let k: Int
    private let threads: Int
    private let cancellation: Cancellation
    private let onEvent: @Sendable (TrainingEvent) -> Void

    /// Users with which normalisations are fitted.
    private static let normalisedUsers = 500

    package init(
        _ plan: RankerPlan, k: Int, threads: Int, cancellation: Cancellation = Cancellation(),
        onEvent: @escaping @Sendable (TrainingEvent) -> Void = { _ in }
    ) {
        self.plan = plan
        self.k = k
        self.threads = threads
        self.cancellation = cancellation
        self.onEvent = onEvent
    }

    /// - Parameters:
    ///   - window: Its users are dealt into those to learn from, to stop by and to judge by.
    ///   - earlier: A window that ends where `window` begins. With one, a ranker that learns from it alone is judged by all
    ///     users of `window`, so that what holds for one stretch of time only gains nothing; the ranker that comes back has
    ///     then learnt from both in the same way.
    ///   - clock: Seconds, to report rates.
    /// - Throws: `DatasetError` when there is too little to learn from; `CancellationError`.
    package func fit(
        _ window: RankerWindow, earlier: RankerWindow? = nil, clock: () -> Double
    ) throws -> (ranker: NetworkRanker, report: RankerReport) {
        if let fault = plan.fault() { throw DatasetError(.unreadable, "the ranker cannot be fitted: \(fault)") }
        if plan.live != .none { try Self.checkTimes(window, plan.timeline) }
        let newest = try Part(window, plan, threads, judges: earlier == nil)
        let hasTimes = window.isPast && earlier?.isPast != false
        let slates = try usableSlates(for: [window, earlier].compactMap { $0?.model }, hasTimes: hasTimes)
        let schema =
            try slates?.schema
            ?? RankerSchema(
                hasTimes: hasTimes, hasItemIDs: plan.hasItemIDs, timeline: plan.live == .features ? plan.timeline : nil
            ).fitted(newest.examples, Array(newest.learning.prefix(Self.normalisedUsers)))
        guard let earlier else {
            // Nobody judges, or stops the fit, whose slates teach.
            let apart = Set((newest.judging + newest.stopping).map { window.model.users.name($0.user) })
            let (ranker, count) = try fit([newest], schema, slates?.lessons { !apart.contains($0.user) }, clock)
            var report = try judge(newest.examples, newest.judging, .network(ranker))
            report.examples = count
            return (ranker, report)
        }
        let past = try Part(earlier, plan, threads, judges: false)
        let moment = UInt64(clamping: window.later.times?.min() ?? 0)
        let before = slates?.lessons { $0.time < moment }
        var report = try assess(.network(fit([past], schema, before, clock).ranker), window)
        let stopping = Set((newest.stopping + past.stopping).map { window.model.users.name($0.user) })
        let (ranker, count) = try fit(
            [newest, past], schema, slates?.lessons { !stopping.contains($0.user) }, clock)
        report.examples = count
        return (ranker, report)
    }

    /// - Throws: `DatasetError` where nobody can tell what users did by a moment.
    static func checkTimes(_ window: RankerWindow, _ timeline: EventTimeline?) throws(DatasetError) {
        let remedy = "leave out --ranker-live, or take the features \"live...\" out of the schema"
        guard timeline != nil, window.later.times != nil else {
            throw DatasetError(
                .unreadable,
                "live features need to know when things happened, and the interactions have no times; \(remedy)")
        }
        guard window.isPast else {
            throw DatasetError(
                .unreadable,
                "live features are learnt from users who come back after a moment, and fewer than \(RankerCuts.usersMin) do here; \(remedy)"
            )
        }
    }

    /// A window's users, dealt.
    private struct Part {
        let examples: CandidateExamples
        let judging: [CandidateExamples.Case]
        let stopping: [CandidateExamples.Case]
        let learning: [CandidateExamples.Case]

        init(_ window: RankerWindow, _ plan: RankerPlan, _ threads: Int, judges: Bool) throws {
            examples = CandidateExamples(
                model: window.model, candidatesMax: plan.candidates, threads: threads,
                timeline: plan.live == .none ? nil : plan.timeline)
            let cases = try examples.shuffledCases(window.later, seed: plan.network.seed, usersMin: 20)
            let deal = UserDeal(cases.count, judges: judges, plan.limits)
            judging = Array(cases[deal.judging])
            stopping = Array(cases[deal.stopping])
            learning = Array(cases[deal.learning])
        }
    }

    /// How a ranker that is there already orders the candidates, against retrieval's order.
    ///
    /// - Throws: `ArtifactError` naming a feature that the model cannot give; `DatasetError` without users to judge by.
    ///
    /// - Parameter isOfTaughtTime: Whether other users' choices of the same window may have taught the ranker. Then trees are
    ///   judged by those users alone that `ExampleExport` leaves out.
    package func assess(
        _ ranker: RankerArtifact, _ window: RankerWindow, isOfTaughtTime: Bool = false
    ) throws -> RankerReport {
        let isLive = plan.live != .none || LiveNeeds(ranker.schema).timeToLive != nil
        if isLive { try Self.checkTimes(window, plan.timeline) }
        let examples = CandidateExamples(
            model: window.model, candidatesMax: plan.candidates, threads: threads,
            timeline: isLive ? plan.timeline : nil)
        var cases = try examples.shuffledCases(window.later, seed: plan.network.seed, usersMin: 1)
        if case .trees = ranker, isOfTaughtTime {
            cases = Array(cases[UserDeal(cases.count, judges: true, plan.limits).judging])
        }
        return try judge(examples, Array(cases.prefix(plan.judgesMax)), ranker)
    }

    private func judge(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ ranker: RankerArtifact
    ) throws -> RankerReport {
        let features = try FeaturePlan(ranker.schema, examples.model, path: "ranker")
        let candidates =
            switch ranker {
            case .network(let ranker):
                CandidateRanker(plan: features, network: Network(ranker.weights, layout: features.layout))
            case .trees(let ranker): CandidateRanker(plan: features, trees: TreeScorer(ranker))
            }
        return try RankerJudge(examples: examples, k: k).judge(cases, candidates)
    }

    /// The slates, where all models can compute their schema.
    private func usableSlates(for models: [RetrievalModel], hasTimes: Bool) throws -> SlateExamples? {
        guard let slates = plan.slates else { return nil }
        var fault: String?
        if !hasTimes, slates.schema.fields.contains(where: \.source.isTimed) {
            fault = "their features tell of time, and too few users come back after a moment to learn from others by it"
        }
        let isLive = LiveNeeds(slates.schema).timeToLive != nil
        if isLive, plan.live == .none || plan.timeline == nil {
            fault = "some of their features are live, and those of other examples are not to be (--ranker-live)"
        } else if !isLive, plan.live == .features {
            fault = "none of their features is live, and live ones are asked for (--ranker-live)"
        }
        for model in models where fault == nil {
            do { _ = try FeaturePlan(slates.schema, model, path: "the slates' schema") } catch { fault = "\(error)" }
        }
        guard let fault else { return slates }
        onEvent(.finished(step: "slates", summary: "not learnt from: \(fault)"))
        return nil
    }

    /// - Parameter lessons: Slates that teach; the users who chose something there teach by nothing else.
    private func fit(
        _ parts: [Part], _ schema: FeatureSchema, _ lessons: SlateExamples.Lessons?, _ clock: () -> Double
    ) throws -> (ranker: NetworkRanker, examples: Int) {
        let layout = FeatureLayout(schema)
        let (training, validation) = (LabelledRows(layout), LabelledRows(layout))
        for part in parts {
            let features = try FeaturePlan(schema, part.examples.model, path: "ranker")
            training.append(
                contentsOf: try labelled(
                    part.examples,
                    part.learning.filter { one in
                        lessons?.users.contains(part.examples.model.users.name(one.user)) != true
                    }, features, negatives: plan.negatives, isEnough: lessons?.users.isEmpty == false))
            validation.append(contentsOf: try labelled(part.examples, part.stopping, features, negatives: nil))
        }
        lessons?.append(to: training)
        try cancellation.check()
        var network = plan.network
        network.listK = k
        let (onEvent, epochs) = (onEvent, plan.network.epochs)
        let fit = try NetworkFit.fit(
            network, training, validation: validation, threads: threads, clock: clock,
            progress: { epoch in
                let quality = epoch.ndcg.map { ", ndcg \($0.text(digits: 4))" } ?? ""
                onEvent(
                    .progress(
                        step: "ranker", fraction: Double(epoch.number) / Double(epochs),
                        detail: "epoch \(epoch.number), loss \(epoch.loss.text(digits: 4))\(quality)"))
            }, isCancelled: { [cancellation] in cancellation.isCancelled })
        let logits = NetworkFit.scores(
            Network(fit.weights, layout: layout), validation.rows, threads: threads)
        let weights = LogitCalibration(logits: logits, labels: validation.labels)
            .apply(fit.weights, denseCount: layout.dense.count)
        var ranker = try NetworkRanker(schema: schema, weights: weights, path: "ranker")
        ranker.candidates = parts.first.map { fitted(with: $0.examples.model) }
        return (ranker, training.count)
    }

    /// What a ranker that is fitted or judged here sees.
    package func fitted(with model: RetrievalModel) -> FittedCandidates {
        FittedCandidates(count: plan.candidates, of: model)
    }

    /// The candidates of each user as a list, where one of them was chosen: without a choice there is nothing to learn from
    /// their order.
    ///
    /// - Parameters:
    ///   - negatives: Of each list, drawn; nil: all.
    ///   - isEnough: Whether there may be nothing, as something else teaches too.
    private func labelled(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ plan: FeaturePlan, negatives: Int?,
        isEnough: Bool = false
    ) throws -> LabelledRows {
        let seed = self.plan.network.seed
        let shown = self.plan.shown?.rows(in: examples.model) ?? []
        let parts = try examples.forEach(cases, plan, make: { LabelledRows(plan.layout) }) {
            part, one, request, features in
            let relevant = Set(one.relevant)
            let isChosen = request.candidates.map { relevant.contains($0.row) }
            let chosen = isChosen.reduce(0) { $0 + ($1 ? 1 : 0) }
            guard chosen > 0 else { return }
            let share = negatives.map { Double($0) / Double(max(isChosen.count - chosen, 1)) } ?? 1
            var random = SplitMix64(seed: seed &+ UInt64(one.user) &* 0x9E37_79B9_7F4A_7C15)
            for (row, isChosen) in isChosen.enumerated()
            where isChosen || random.unit() < share
                || shown.contains(ImpressionCollector.key(one.user, request.candidates[row].row))
            {
                part.append(label: isChosen, copying: row, of: features.rows)
            }
            part.endList()
        }
        let whole = LabelledRows(plan.layout)
        for part in parts { whole.append(contentsOf: part) }
        guard isEnough || (whole.labels.contains(1) && whole.labels.contains(0)) else {
            throw DatasetError(
                .empty,
                "none of what users chose later was among their candidates; there is nothing for a ranker to learn")
        }
        return whole
    }
}
