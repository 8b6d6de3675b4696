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

    func run(
        training: Interactions, _ attributes: ItemAttributes, test: Interactions, name: String
    ) throws -> EvaluationReport {
        try withBundle(of: training, attributes) { path in
            try Rehearsal.evaluate(
                bundle: path, test: test, name: name, k: k, threads: plan.threads, sources: plan.extraSources,
                cancellation: cancellation)
        }
    }

    /// Fits a ranker to what users chose later, among the candidates that what came before would have found.
    func fitRanker(
        _ ranker: RankerPlan, _ interactions: Interactions, _ attributes: ItemAttributes
    ) throws -> (ranker: NetworkRanker, report: RankerReport) {
        let start = ContinuousClock.now
        let cuts = try RankerCuts(interactions, share: ranker.heldOut, seed: plan.seed)
        return try withWindow(cuts.newest, isPast: cuts.arePast, attributes) { window in
            let fit = rankerFit(ranker)
            defer { fit.progress.clear() }
            func fitted(_ earlier: RankerWindow?) throws -> (ranker: NetworkRanker, report: RankerReport) {
                try fit.fit.fit(window, earlier: earlier, clock: { (ContinuousClock.now - start) / .seconds(1) })
            }
            guard let earlier = cuts.earlier else { return try fitted(nil) }
            return try withWindow(earlier, isPast: true, attributes, fitted)
        }
    }

    /// Judges a ranker that is there by what users chose later.
    ///
    /// - Returns: The ranker with a note of the candidates that it was judged with, and the judgement.
    func assess(
        _ ranker: RankerArtifact, _ plan: RankerPlan, _ interactions: Interactions, _ attributes: ItemAttributes
    ) throws -> (ranker: RankerArtifact, report: RankerReport) {
        let cuts = try RankerCuts(interactions, share: plan.heldOut, seed: self.plan.seed)
        return try withWindow(cuts.newest, isPast: cuts.arePast, attributes) { window in
            let fit = rankerFit(plan)
            defer { fit.progress.clear() }
            var judged = ranker
            judged.candidates = fit.fit.fitted(with: window.model)
            return (judged, try fit.fit.assess(ranker, window, isOfTaughtTime: cuts.earlier == nil))
        }
    }

    /// Hands over the window that a ranker fitted elsewhere learns from, so that `assess` can judge it by what came after:
    /// the earlier of two, else the only one without the users that are to judge.
    func withTeachingWindow<Result>(
        share: Double, _ interactions: Interactions, _ attributes: ItemAttributes,
        _ body: (_ window: RankerWindow, _ keepsJudgesApart: Bool) throws -> Result
    ) throws -> Result {
        let cuts = try RankerCuts(interactions, share: share, seed: plan.seed)
        return try withWindow(cuts.earlier ?? cuts.newest, isPast: cuts.arePast, attributes) { window in
            try body(window, cuts.earlier == nil)
        }
    }

    private func rankerFit(_ ranker: RankerPlan) -> (fit: RankerFit, progress: TrainingProgress) {
        let progress = TrainingProgress()
        let fit = RankerFit(ranker, k: k, threads: plan.threads, cancellation: cancellation) { progress.show($0) }
        return (fit, progress)
    }

    /// Fits retrieval to what came before.
    private func withWindow<Result>(
        _ split: Split, isPast: Bool, _ attributes: ItemAttributes, _ body: (RankerWindow) throws -> Result
    ) throws -> Result {
        try withBundle(of: split.training, attributes) { path in
            let model = try RetrievalModel(
                bundle: Bundle(opening: path, verify: .sizes), options: RetrievalModel.Options(index: .scan))
            return try body(RankerWindow(model: model, later: split.test, isPast: isPast))
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
    ///
    /// - Parameters:
    ///   - sources: Sources to measure alone although the bundle's mix does not name them.
    ///   - eachChoice: See `Evaluator.evaluate`.
    static func evaluate(
        bundle path: String, test: Interactions, name: String, k: Int, threads: Int, sources: Set<RetrievalSource>,
        eachChoice: Bool = false, cancellation: Cancellation
    ) throws -> EvaluationReport {
        let bundle = try Bundle(opening: path)
        var options = RetrievalModel.Options()
        options.keepsGraphs = true
        let served = try RetrievalModel(bundle: bundle, options: options)
        var exactOptions = RetrievalModel.Options(index: .scan)
        exactOptions.sources = sources
        let exact = try RetrievalModel(bundle: bundle, options: exactOptions)
        let progress = TrainingProgress()
        var ranker: CandidateRanker?
        if bundle.has(RankerArtifact.fileName) {
            let file = try bundle.file(RankerArtifact.fileName)
            ranker = try RankerCalibration().ranker(RankerArtifact(file), served, path: file.path).ranker
        }
        let evaluator = Evaluator(served: served, exact: exact, ranker: ranker, k: k, threads: threads)
        do {
            let report = try evaluator.evaluate(
                test, name: name, eachChoice: eachChoice, cancellation: cancellation
            ) { fraction in
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
