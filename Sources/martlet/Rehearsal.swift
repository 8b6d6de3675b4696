import Artifacts
import CandidateRanking
import Foundation
import RankingModels
import Retrieval
import Training
import Vocabulary

/// Trains on a part, writes a bundle that nobody sees, and evaluates what it would serve.
struct Rehearsal {
    let plan: TrainingPlan
    let k: Int
    let cancellation: Cancellation

    func run(training: Interactions, test: Interactions, name: String) throws -> EvaluationReport {
        try withBundle(of: training, ItemAttributes()) { path in
            try Rehearsal.evaluate(
                bundle: path, test: test, name: name, k: k, threads: plan.threads, cancellation: cancellation)
        }
    }

    /// Fits a ranker to the last choices of each user, among the candidates that the rest would have found.
    func fitRanker(
        _ ranker: RankerPlan, _ interactions: Interactions, _ attributes: ItemAttributes
    ) throws -> (ranker: NetworkRanker, report: RankerReport) {
        let start = ContinuousClock.now
        return try withEarlierModel(ranker, interactions, attributes) { model, later, fit in
            try fit.fit(model, later: later, clock: { (ContinuousClock.now - start) / .seconds(1) })
        }
    }

    /// Judges a ranker that is there by the last choices of each user.
    func assess(
        _ ranker: RankerArtifact, _ plan: RankerPlan, _ interactions: Interactions, _ attributes: ItemAttributes
    ) throws -> RankerReport {
        try withEarlierModel(plan, interactions, attributes) { model, later, fit in
            try fit.assess(ranker, model, later: later)
        }
    }

    private func withEarlierModel<Result>(
        _ ranker: RankerPlan, _ interactions: Interactions, _ attributes: ItemAttributes,
        _ body: (RetrievalModel, Interactions, RankerFit) throws -> Result
    ) throws -> Result {
        try withEarlierModel(heldOut: ranker.heldOut, interactions, attributes) { model, later in
            let progress = TrainingProgress()
            defer { progress.clear() }
            let fit = RankerFit(ranker, k: k, threads: plan.threads, cancellation: cancellation) { progress.show($0) }
            return try body(model, later, fit)
        }
    }

    /// Fits retrieval to all but the last choices of each user, and hands over both.
    func withEarlierModel<Result>(
        heldOut: Double, _ interactions: Interactions, _ attributes: ItemAttributes,
        _ body: (RetrievalModel, Interactions) throws -> Result
    ) throws -> Result {
        let split = try interactions.split(
            interactions.times == nil ? .random : .latest, share: heldOut, seed: plan.seed)
        return try withBundle(of: split.training, attributes) { path in
            let model = try RetrievalModel(
                bundle: Bundle(opening: path, verify: .sizes), options: RetrievalModel.Options(index: .scan))
            return try body(model, split.test)
        }
    }

    /// Hands over a bundle that is gone afterwards.
    private func withBundle<Result>(
        of training: Interactions, _ attributes: ItemAttributes, _ body: (String) throws -> Result
    ) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("bundle").path
        let progress = TrainingProgress()
        defer { progress.clear() }
        let trainer = Trainer(plan, cancellation: cancellation) { progress.show($0) }
        try trainer.train(training, attributes: attributes, into: BundleWriter(destination: path))
        return try body(path)
    }

    /// Evaluates the bundle at `path`.
    static func evaluate(
        bundle path: String, test: Interactions, name: String, k: Int, threads: Int, cancellation: Cancellation
    ) throws -> EvaluationReport {
        let bundle = try Bundle(opening: path)
        var options = RetrievalModel.Options()
        options.keepsGraphs = true
        let served = try RetrievalModel(bundle: bundle, options: options)
        let exact = try RetrievalModel(bundle: bundle, options: RetrievalModel.Options(index: .scan))
        let progress = TrainingProgress()
        var ranker: CandidateRanker?
        if bundle.has(RankerArtifact.fileName) {
            let file = try bundle.file(RankerArtifact.fileName)
            ranker = try RankerCalibration().ranker(RankerArtifact(file), served, path: file.path).ranker
        }
        let evaluator = Evaluator(served: served, exact: exact, ranker: ranker, k: k, threads: threads)
        do {
            let report = try evaluator.evaluate(test, name: name, cancellation: cancellation) { fraction in
                progress.show(.progress(step: "evaluate", fraction: fraction, detail: ""))
            }
            progress.show(.finished(step: "evaluate", summary: report.users.counted("user")))
            return report
        } catch {
            progress.clear()
            throw error
        }
    }
}
