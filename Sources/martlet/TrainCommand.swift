import ArgumentParser
import Artifacts
import Foundation
import RankingModels
import Retrieval
import Training
import Vocabulary

/// `martlet train`: from a file of interactions to a bundle.
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on a file of interactions, or an event log, and write it as a bundle.",
        discussion: """
            The input is a MovieLens folder or file, CSV or TSV (user, item[, value[, timestamp]]; with or without header), \
            or adjacency lines (user item item ...); gzip is unpacked. Titles, tags and attributes are read from movies.csv, \
            movies.dat, u.item or items.csv beside it.
            The bundle is put together beside its place and moved there in one step: a reader, or Ctrl-C, never meets half of it.
            """)

    @Option(
        help: "File of interactions, or the directory that holds it; with --from-log, what is known beside the log.")
    var input: String?
    @Option(
        help:
            "Interactions to weigh the sources of the retrieval mix by, and to tune on with --tune; pairs that also stand in the input are held out for that."
    )
    var valid: String?
    @Flag(
        help: ArgumentHelp(
            "Also tune rank, regularisation and the like, on --valid or on a random tenth of the input.",
            discussion: "Takes --tune-minutes; the final training on the whole input comes on top."))
    var tune = false
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long to tune, above 0 to 10000 (default: 10); only with --tune.",
            discussion: "The first trial, your settings, runs whatever the time."))
    var tuneMinutes: Double?
    @Option(help: "The bundle to write: a directory that must not exist yet.")
    var output: String
    @Flag(help: "Replace a bundle that stands at the output.")
    var replace = false
    @Option(help: "File with titles, tags and attributes of items (default: found beside the input).")
    var items: String?
    @Option(help: "Name of the model in the manifest.")
    var name = "model"
    @Option(help: "Version of the model in the manifest (default: the time).")
    var modelVersion: String?
    @OptionGroup(title: "Event log") var log: LogArguments
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long a user may take to answer an impression (default: 1h); passed over for longer, the item teaches --ranker what was not chosen.",
            valueName: "duration"))
    var impressionWindow: String?
    @OptionGroup(title: "Slate log") var slates: SlateLogArguments
    @OptionGroup(title: "Ranking") var ranking: RankingArguments
    @Option(help: "Hold out by \(SplitMethod.names), report the quality, then train on everything.")
    var evaluate: SplitMethod?
    @Option(
        name: [.customShort("k"), .customLong("at")], parsing: .unconditional,
        help: "Length of the lists that are evaluated, 1 to 1000.")
    var k = 20
    @OptionGroup(title: "Reading") var data: DataArguments
    @OptionGroup(title: "Fitting") var training: TrainingArguments

    func validate() throws {
        if let tuneMinutes {
            guard tune else { throw ValidationError("--tune-minutes has no effect without --tune") }
            guard tuneMinutes > 0, tuneMinutes <= 10_000 else {
                throw ValidationError("--tune-minutes is \(tuneMinutes); allowed: above 0 to 10000")
            }
        }
        if training.sources != nil, !tune, valid == nil {
            throw ValidationError("--sources has no effect where nothing is weighed; add --tune or --valid")
        }
        try ArgumentCheck.range(k, "-k", 1...1000)
        if input == nil, log.fromLog == nil { throw ValidationError("give --input FILE, --from-log DIR, or both") }
        if impressionWindow != nil, log.fromLog == nil || ranking.ranker == nil {
            throw ValidationError("--impression-window has no effect without --from-log and --ranker")
        }
        _ = try impressionMilliseconds()
        if let flag = slates.flag, log.fromLog == nil || ranking.ranker == nil {
            throw ValidationError("\(flag) has no effect without --from-log and --ranker")
        }
        let paths = [(input, "--input"), (output, "--output"), (valid, "--valid"), (items, "--items")]
        for (path, flag) in paths { try ArgumentCheck.path(path, flag) }
    }

    func run() throws {
        try LongCommand.run(unfinished: "no bundle was written") { cancellation in
            var plan = try training.plan()
            plan.name = name
            plan.version = modelVersion
            // Before the work: files that cannot be read and a place that cannot be written to are found out now.
            try DataArguments.check(interactions: [input, valid], items: items)
            if let file = ranking.rankerFile { _ = try RankerArtifact(TensorFile(path: file)) }
            let writer = try BundleWriter(destination: output, replace: replace)
            let source = try TrainingInput(
                file: input, log: log, data, impressionWindow: impressionMilliseconds(),
                keepsTimeline: ranking.rankerLive ?? .none != .none || ranking.rankerFile != nil, cancellation)
            let interactions = source.interactions
            let attributes = try source.attributes(items, data)
            var notes = Trainer.Notes()
            notes.input = source.note
            notes.take(attributes, interactions)
            if let evaluate {
                let split = try interactions.split(evaluate, seed: training.seed)
                plan = try tuned(plan, split.training, attributes, &notes, cancellation)
                let evaluated = try Rehearsal(plan: plan, k: k, cancellation: cancellation)
                    .run(
                        training: split.training, attributes, test: split.test,
                        name: "\(evaluate.rawValue) split of \(source.note)")
                print(evaluated.table)
                notes.evaluation = evaluated.json
            } else {
                plan = try tuned(plan, interactions, attributes, &notes, cancellation)
            }
            let ranker = try ranker(plan, source, attributes, &notes, cancellation)
            let progress = TrainingProgress()
            defer { progress.clear() }
            let trainer = Trainer(plan, cancellation: cancellation) { progress.show($0) }
            let manifest = try trainer.train(
                interactions, attributes: attributes, ranker: ranker, notes: notes, into: writer)
            print(Self.summary(manifest, output))
        }
    }

    /// The ranker that --ranker or --ranker-file asks for, if it ranks better than retrieval does.
    private func ranker(
        _ plan: TrainingPlan, _ source: TrainingInput, _ attributes: ItemAttributes, _ notes: inout Trainer.Notes,
        _ cancellation: Cancellation
    ) throws -> RankerArtifact? {
        guard var wanted = ranking.plan(training.seed) else { return nil }
        wanted.shown = source.shown
        if wanted.live != .none || ranking.rankerFile != nil { wanted.timeline = try source.timeline() }
        if let folder = log.fromLog, let window = try impressionMilliseconds() {
            wanted.slates = try slates.examples(events: folder, log, window: window, cancellation)
        }
        let ranker: RankerArtifact
        let report: RankerReport
        do {
            (ranker, report) = try judged(&wanted, plan, source.interactions, attributes, cancellation)
        } catch let error as DatasetError where error.code == .empty && !wanted.force {
            StandardError.write("note: there is no ranker: \(error); the bundle is written without one\n")
            notes.ranker = ["published": .bool(false), "reason": .string("\(error)")]
            return nil
        }
        print(Self.summary(report))
        fflush(nil)
        let isTaken = report.isBetter || wanted.force
        notes.ranker = report.json(candidates: wanted.candidates, isPublished: isTaken)
        if let refusal = report.refusal {
            StandardError.write(
                isTaken
                    ? "note: \(refusal); it is in the bundle all the same, as --force-ranker asks\n"
                    : "note: \(refusal); the bundle is written without it; --force-ranker takes it all the same\n")
        }
        return isTaken ? ranker : nil
    }

    /// Fits the ranker, or reads it from its file, and judges it.
    ///
    /// - Parameter wanted: Gets the number of candidates that a file was fitted with, where no flag says another.
    private func judged(
        _ wanted: inout RankerPlan, _ plan: TrainingPlan, _ interactions: Interactions, _ attributes: ItemAttributes,
        _ cancellation: Cancellation
    ) throws -> (ranker: RankerArtifact, report: RankerReport) {
        let rehearsal = Rehearsal(plan: plan, k: k, cancellation: cancellation)
        if let file = ranking.rankerFile {
            let found = try RankerArtifact(TensorFile(path: file))
            if ranking.rankCandidates == nil, let fitted = found.candidates {
                wanted.candidates = min(fitted.count, RetrievalMix.limitMax)
            }
            return try rehearsal.assess(found, wanted, interactions, attributes)
        }
        let fitted = try rehearsal.fitRanker(wanted, interactions, attributes)
        return (.network(fitted.ranker), fitted.report)
    }

    /// Nil where impressions are of no use.
    private func impressionMilliseconds() throws -> UInt64? {
        guard log.fromLog != nil, ranking.ranker != nil else { return nil }
        let text = impressionWindow ?? "1h"
        guard let window = EventTime.duration(text) else {
            throw ValidationError(
                "--impression-window '\(text)' is no duration: write a number and s, m, h or d, such as 30m")
        }
        return window
    }

    private static func summary(_ report: RankerReport) -> String {
        func quality(_ result: RankingResult) -> String {
            "ndcg@\(report.k) \(result.ndcg.text(digits: 4)), recall@\(report.k) \(result.recall.text(digits: 4))"
        }
        let auc = report.classification.auc.map { $0.text(digits: 4) } ?? "unknown"
        let odds =
            report.givesProbabilities
            ? "log-loss \(report.classification.logLoss.text(digits: 4)), calibration "
                + "\(report.classification.calibration?.text(digits: 3) ?? "unknown")"
            : "its scores are no probabilities"
        return
            "ranker: \(report.examples == 0 ? "" : report.examples.counted("example") + "; ")on \(report.users.counted("user")) kept apart "
            + "\(quality(report.ranked)), retrieval's order \(quality(report.retrieval)); difference \(report.difference.words); AUC \(auc), \(odds)"
    }

    /// The plan with the mix, and with `--tune` the settings, that serve held-out interactions best; as it is when the
    /// flags ask for neither.
    private func tuned(
        _ plan: TrainingPlan, _ interactions: Interactions, _ attributes: ItemAttributes,
        _ notes: inout Trainer.Notes, _ cancellation: Cancellation
    ) throws -> TrainingPlan {
        guard tune || valid != nil else { return plan }
        let parts: (training: Interactions, test: Interactions)
        if let valid {
            let test = try data.read(valid, label: "valid", cancellation)
            parts = (interactions.removing(test).kept, test)
        } else {
            let split = try interactions.split(.random, share: 0.1, seed: training.seed)
            parts = (split.training, split.test)
        }
        let words = TuningWords(k: k, source: valid ?? "a random tenth of the input", triesSettings: tune)
        let line = ProgressLine(words.label)
        let began = ContinuousClock.now
        let budget: Duration = .milliseconds(tune ? Int64((tuneMinutes ?? 10) * 60_000) : 0)
        line.note(words.opening(budget: budget, now: Date()))
        let tuner = Tuner(
            plan, k: k, budget: budget, elapsed: { ContinuousClock.now - began }, cancellation: cancellation,
            onTrial: { trial in if tune { line.note("tune: \(trial)") } })
        let outcome = try tuner.tune(training: parts.training, validation: parts.test, attributes: attributes)
        line.finish(words.summary(outcome))
        notes.tuning = try outcome.json
        notes.evaluation = [
            "test": .string(valid ?? "a random tenth of the input"), "k": .int(Int64(k)),
            "users": .int(Int64(outcome.users)),
            "served": ["ndcg@\(k)": .double(outcome.ndcg), "recall@\(k)": .double(outcome.recall)],
        ]
        return outcome.plan
    }

    static func summary(_ manifest: Manifest, _ output: String) -> String {
        let counts = manifest.counts
        let megabytes = (Double(manifest.totalBytes) / 1_000_000).text(digits: 1)
        return "\(output): \(manifest.name) \(manifest.version), \(counts.users.counted("user")), "
            + "\(counts.items.counted("item")), \(counts.interactions.counted("interaction")), "
            + "\(manifest.files.count.counted("file")), \(megabytes) MB"
    }
}
