import Artifacts
import CandidateRanking
import Catalog
import Features
import Foundation
import RankingModels
import Retrieval
import VectorMath
import Vocabulary

/// Fits a ranker to what users chose among the candidates that retrieval, fitted without those choices, found for them.
package struct RankerFit {
    private let plan: RankerPlan
    private let k: Int
    private let threads: Int
    private let cancellation: Cancellation
    private let onEvent: @Sendable (TrainingEvent) -> Void

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
    ///   - model: Fitted to what happened before `later`.
    ///   - clock: Seconds, to report rates.
    /// - Throws: `DatasetError` when there is too little to learn from; `CancellationError`.
    package func fit(
        _ model: RetrievalModel, later: Interactions, clock: () -> Double
    ) throws -> (ranker: NetworkRanker, report: RankerReport) {
        if let fault = plan.fault() { throw DatasetError(.unreadable, "the ranker cannot be fitted: \(fault)") }
        let examples = CandidateExamples(model: model, candidatesMax: plan.candidates, threads: threads)
        var cases = examples.cases(later)
        var random = SplitMix64(seed: plan.network.seed)
        cases.shuffle(using: &random)
        cases = Array(cases.prefix(plan.usersMax))
        guard cases.count >= 20 else {
            throw DatasetError(
                .empty, "only \(cases.count) users have later choices that a ranker could learn from; 20 are needed")
        }
        // Eight parts to learn from, one to stop by, one to judge by.
        let (learn, stop) = (cases.count * 8 / 10, cases.count * 9 / 10)
        let parts = (Array(cases[..<learn]), Array(cases[learn..<stop]), Array(cases[stop...]))
        let schema = try fittedSchema(examples, parts.0, model)
        let featurePlan = try FeaturePlan(schema, model, path: "ranker")
        let (training, share) = try labelled(examples, parts.0, featurePlan, negatives: plan.negatives)
        let (validation, _) = try labelled(examples, parts.1, featurePlan, negatives: nil)
        try cancellation.check()
        let onEvent = onEvent
        let epochs = plan.network.epochs
        let fit = try NetworkFit.fit(
            plan.network, training, validation: validation, threads: threads, clock: clock,
            progress: { epoch in
                let auc = epoch.validation.auc.map { ", AUC \($0.text(digits: 4))" } ?? ""
                onEvent(
                    .progress(
                        step: "ranker", fraction: Double(epoch.number) / Double(epochs),
                        detail: "epoch \(epoch.number), loss \(epoch.loss.text(digits: 4))\(auc)"))
            }, isCancelled: { [cancellation] in cancellation.isCancelled })
        var weights = fit.weights
        // Of the negatives only a share was learnt from, which multiplies the odds by its inverse.
        weights.bias += Float(log(share))
        let ranker = try NetworkRanker(schema: schema, weights: weights, path: "ranker")
        var report = try judge(examples, parts.2, featurePlan, ranker)
        report.examples = training.count
        return (ranker, report)
    }

    /// How a ranker that is there already orders the candidates, against retrieval's order.
    ///
    /// - Throws: `ArtifactError` naming a feature that the model cannot give; `DatasetError` without users to judge by.
    package func assess(
        _ ranker: RankerArtifact, _ model: RetrievalModel, later: Interactions
    ) throws -> RankerReport {
        let featurePlan = try FeaturePlan(ranker.schema, model, path: "ranker")
        let examples = CandidateExamples(model: model, candidatesMax: plan.candidates, threads: threads)
        var cases = examples.cases(later)
        var random = SplitMix64(seed: plan.network.seed)
        cases.shuffle(using: &random)
        guard !cases.isEmpty else {
            throw DatasetError(.empty, "no user has later choices that a ranker could be judged by")
        }
        cases = Array(cases.prefix(plan.usersMax))
        switch ranker {
        case .network(let ranker): return try judge(examples, cases, featurePlan, ranker)
        case .trees(let ranker):
            // The others' candidates may have taught it: `ExampleExport` writes them.
            let apart = cases[(cases.count * 9 / 10)...]
            return try judge(
                examples, Array(apart), CandidateRanker(plan: featurePlan, trees: TreeScorer(ranker)))
        }
    }

    // MARK: Schema

    /// The features that a model's data give, with normalisations fitted to some users' candidates.
    private func fittedSchema(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ model: RetrievalModel
    ) throws -> FeatureSchema {
        var schema = Self.defaultSchema(model)
        let plan = try FeaturePlan(schema, model, path: "ranker")
        let sample = Array(cases.prefix(500))
        let crossFields = schema.fields.indices.filter { schema.fields[$0].side == .cross }
        let columns = try examples.forEach(
            sample, plan, keepsCrossNumbers: true, make: { [[Double]](repeating: [], count: crossFields.count) }
        ) { columns, _, request, features in
            for row in request.candidates.indices {
                for column in crossFields.indices {
                    if let value = features.crossNumbers[row * crossFields.count + column] {
                        columns[column].append(value)
                    }
                }
            }
        }
        for (column, field) in crossFields.enumerated() {
            let values = columns.flatMap { $0[column] }
            guard case .dense(let normalisation, _) = schema.fields[field].kind else { continue }
            let form: Normalisation.Form = if case .log = normalisation { .log } else { .standard }
            // What a source did not bring counts like the least that it brought.
            schema.fields[field].kind = .dense(.fit(form, to: values), missing: values.min() ?? 0)
        }
        return schema
    }

    /// What can be known of any user and item: identity and attributes of the item, how popular it is, what each source says.
    static func defaultSchema(_ model: RetrievalModel) -> FeatureSchema {
        var fields: [FeatureField] = []
        let items = model.items
        let rows = 0..<UInt32(items.count)
        func texts(_ attribute: TextAttribute, _ name: String, _ source: FeatureSource) {
            guard attribute.valueCount > 0 else { return }
            let values = (0..<UInt32(attribute.valueCount)).map(attribute.value)
            fields.append(
                FeatureField(name, from: source, .categorical(.dictionary(values), isMultivalued: true)))
            fields.append(
                FeatureField(
                    "shared_\(name)", from: .sharedAttribute(name), .dense(.standard(mean: 0, deviation: 1), missing: 0)
                ))
        }
        fields.append(
            FeatureField(
                "item", from: .itemID, .categorical(.dictionary(rows.map(items.name)), isMultivalued: false)))
        texts(items.tagValues, items.details.tagsName, .itemTags)
        for attribute in items.details.attributes {
            switch attribute.content {
            case .text(let values): texts(values, attribute.name, .itemAttribute(attribute.name))
            case .number(let numbers):
                let values = rows.compactMap(numbers.value)
                fields.append(
                    FeatureField(
                        attribute.name, from: .itemAttribute(attribute.name),
                        .dense(
                            .fit(.quantile, to: values), missing: values.sorted().dropFirst(values.count / 2).first ?? 0
                        )
                    ))
            }
        }
        func log(_ name: String, _ source: FeatureSource, _ values: [Double]) {
            fields.append(FeatureField(name, from: source, .dense(.fit(.log, to: values), missing: 0)))
        }
        log("popularity", .itemPopularity, rows.map { Double(items.interactions($0)) })
        log("recent_popularity", .itemRecentPopularity, rows.map { Double(items.recentScores[Int($0)]) })
        log(
            "history", .userHistory,
            (0..<UInt32(model.users.count)).map { Double(model.users.history(of: $0).count) })
        let plain = FeatureField.Kind.dense(.standard(mean: 0, deviation: 1), missing: 0)
        for kind in [RetrievalSource.als, .spectral] where model.factors(of: kind) != nil {
            fields.append(FeatureField("product_\(kind.rawValue)", from: .factorProduct(kind.rawValue), plain))
        }
        for entry in model.mix.sources where entry.source == .itemToItem && model.has(.itemToItem) {
            fields.append(
                FeatureField("score_\(entry.source.rawValue)", from: .sourceScore(entry.source.rawValue), plain))
        }
        fields.append(FeatureField("score", from: .retrievalScore, plain))
        fields.append(FeatureField("rank", from: .retrievalRank, .dense(.log(mean: 0, deviation: 1), missing: 0)))
        return FeatureSchema(fields: fields)
    }

    // MARK: Examples

    /// - Parameter negatives: For each chosen candidate; nil: all.
    /// - Returns: The examples, and the share of the negatives that are among them.
    private func labelled(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ plan: FeaturePlan, negatives: Int?
    ) throws -> (rows: LabelledRows, negativeShare: Double) {
        let seed = self.plan.network.seed
        let parts = try examples.forEach(cases, plan, make: { (rows: LabelledRows(plan.layout), others: 0) }) {
            part, one, request, features in
            let relevant = Set(one.relevant)
            let isChosen = request.candidates.map { relevant.contains($0.row) }
            let chosen = isChosen.reduce(0) { $0 + ($1 ? 1 : 0) }
            // Without a choice among the candidates there is nothing to learn from their order.
            guard chosen > 0 else { return }
            let others = request.candidates.count - chosen
            part.others += others
            let share = negatives.map { Double($0 * chosen) / Double(max(others, 1)) } ?? 1
            var random = SplitMix64(seed: seed &+ UInt64(one.user) &* 0x9E37_79B9_7F4A_7C15)
            for (row, isChosen) in isChosen.enumerated() where isChosen || random.unit() < share {
                part.rows.append(label: isChosen, copying: row, of: features.rows)
            }
        }
        let whole = LabelledRows(plan.layout)
        for part in parts { whole.append(contentsOf: part.rows) }
        guard whole.labels.contains(1), whole.labels.contains(0) else {
            throw DatasetError(
                .empty,
                "none of what users chose later was among their candidates; there is nothing for a ranker to learn")
        }
        let kept = whole.labels.reduce(0) { $0 + ($1 > 0.5 ? 0 : 1) }
        return (whole, Double(kept) / Double(max(parts.reduce(0) { $0 + $1.others }, 1)))
    }

    // MARK: Judgement

    private struct Judgement {
        var retrieval: RankingMetrics
        var ranked: RankingMetrics
        var logits: [Float] = []
        var labels: [Float] = []
    }

    private func judge(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ plan: FeaturePlan, _ ranker: NetworkRanker
    ) throws -> RankerReport {
        let network = Network(ranker.weights, layout: plan.layout)
        return try judge(examples, cases, CandidateRanker(plan: plan, network: network))
    }

    private func judge(
        _ examples: CandidateExamples, _ cases: [CandidateExamples.Case], _ candidates: CandidateRanker
    ) throws -> RankerReport {
        let model = examples.model
        let counts = (0..<UInt32(model.items.count)).map { UInt32(clamping: model.items.interactions($0)) }
        let empty = RankingMetrics(k: k, itemCounts: counts, trainingUsers: model.users.count)
        let parts = try examples.forEach(cases, candidates.plan, make: { Judgement(retrieval: empty, ranked: empty) }) {
            part, one, request, features in
            let relevant = Set(one.relevant)
            let logits = RankerScores.all(candidates.model, features.rows, threads: 1)
            let order = request.candidates.indices.sorted {
                logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1]
            }
            part.retrieval.add(ranking: request.candidates.prefix(k).map(\.row), relevant: relevant)
            part.ranked.add(ranking: order.prefix(k).map { request.candidates[$0].row }, relevant: relevant)
            part.logits += logits.map(candidates.model.logit)
            part.labels += request.candidates.map { relevant.contains($0.row) ? 1 : 0 }
        }
        var whole = Judgement(retrieval: empty, ranked: empty)
        for part in parts {
            whole.retrieval.merge(part.retrieval)
            whole.ranked.merge(part.ranked)
            whole.logits += part.logits
            whole.labels += part.labels
        }
        return RankerReport(
            k: k, users: cases.count, examples: 0,
            classification: BinaryMetrics(logits: whole.logits, labels: whole.labels),
            retrieval: whole.retrieval.result(), ranked: whole.ranked.result(),
            givesProbabilities: candidates.model.givesProbabilities)
    }
}
