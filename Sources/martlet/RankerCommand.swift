import ArgumentParser
import Artifacts
import CandidateRanking
import Features
import Foundation
import RankingModels
import Training
import Vocabulary

/// `martlet ranker`: networks and trees that score examples, by themselves.
struct RankerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ranker",
        abstract: "Fit, import, show and measure rankers.",
        subcommands: [
            RankerTrainCommand.self, RankerExportCommand.self, RankerImportCommand.self, RankerInspectCommand.self,
            RankerEvaluateCommand.self,
        ])
}

/// `martlet ranker train`
struct RankerTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Fit a ranker to labelled examples and write it as a safetensors file.",
        discussion: """
            Examples are CSV or TSV with a header and a label column, or libFM lines (label index:1 index:1 ...); gzip is \
            unpacked. Columns of texts or few numbers become embeddings, other numbers are normalised; texts with | between \
            are several values. Fitting stops when the AUC on the validation examples no longer grows, and the best epoch is kept.
            """)

    @Option(help: "File of labelled examples.")
    var examples: String
    @Option(help: "Examples that decide when to stop (default: a random tenth of --examples).")
    var valid: String?
    @Option(help: "Examples that the result is measured with.")
    var test: String?
    @Option(help: "The file to write, such as ranker.safetensors; it must not exist yet.")
    var output: String?
    @OptionGroup(title: "Columns") var reading: ExampleArguments
    @OptionGroup(title: "Network") var network: NetworkArguments
    @Option(parsing: .unconditional, help: "Number that decides all chance, 0 or more.")
    var seed: UInt64 = 1
    @Option(parsing: .unconditional, help: "Threads to use, 1 to 1024 (default: one for each core).")
    var threads: Int?

    func validate() throws {
        for (path, flag) in [(examples, "--examples"), (valid, "--valid"), (test, "--test"), (output, "--output")] {
            try ArgumentCheck.path(path, flag)
        }
        if let threads { try ArgumentCheck.range(threads, "--threads", 1...1024) }
        if let fault = network.configuration(seed).fault() { throw ValidationError("this cannot be fitted: \(fault)") }
    }

    func run() throws {
        try LongCommand.run(unfinished: "no ranker was written") { cancellation in
            let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
            for case let path? in [examples, valid, test] { try FileSystem.checkReadable(path) }
            if let output { try RankerFile.check(output) }
            let line = ProgressLine("examples")
            let reader = try ExampleReader(surveying: examples, reading.options)
            let all = try reader.read(examples)
            // Before the work: a test file that lacks a column is found out now.
            let tested = try test.map { try reader.read($0) }
            let parts: (training: LabelledRows, validation: LabelledRows)
            if let valid {
                parts = (all, try reader.read(valid))
            } else {
                parts = all.split(share: 0.1, seed: seed)
            }
            line.finish(
                "\(parts.training.count.counted("example")) to fit to, \(parts.validation.count) to stop by, "
                    + "\(reader.schema.fields.count.counted("feature"))")
            for field in reader.schema.fields { line.note("  \(Self.line(field))") }
            let fitting = ProgressLine(network.ranker.rawValue)
            let start = ContinuousClock.now
            let fit = try NetworkFit.fit(
                network.configuration(seed), parts.training, validation: parts.validation, threads: threads,
                clock: { (ContinuousClock.now - start) / .seconds(1) },
                progress: { fitting.note(Self.line($0)) }, isCancelled: { cancellation.isCancelled })
            fitting.finish("epoch \(fit.best) of \(fit.epochs.count) is kept")
            if let test, let tested {
                let metrics = NetworkFit.evaluate(fit.weights, tested, threads: threads)
                print("\(test): \(metrics.line)")
            }
            if let output {
                let ranker = try NetworkRanker(schema: reader.schema, weights: fit.weights, path: output)
                try RankerFile.write(.network(ranker), to: output)
                print("\(output): \(network.ranker.rawValue), features \(reader.schema.hash.prefix(12))")
            }
        }
    }

    /// What became of a column.
    private static func line(_ field: FeatureField) -> String {
        switch field.kind {
        case .dense(let normalisation, _): "\(field.name): a number (\(normalisation.form.rawValue))"
        case .categorical(.dictionary(let values), let isMultivalued):
            "\(field.name): \(values.count.counted("value"))\(isMultivalued ? ", several at once" : "")"
        case .categorical(let encoding, _): "\(field.name): \(encoding.tableRows - 1) rows"
        }
    }

    private static func line(_ epoch: NetworkFit.Epoch) -> String {
        "  epoch \(epoch.number): loss \(epoch.loss.text(digits: 5)), \(epoch.validation.line), "
            + "\((epoch.rowsPerSecond / 1000).text(digits: 1)) k examples/s"
    }
}

/// `martlet ranker evaluate`
struct RankerEvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure a ranker's file on labelled examples.")

    @Option(help: "The ranker's file.")
    var ranker: String
    @Option(help: "File of labelled examples with the columns that it was fitted to.")
    var test: String
    @Option(
        help:
            "A file to write the scores to, one a line in the order of the examples: of a network before any sigmoid, of trees as their library predicts."
    )
    var scores: String?
    @OptionGroup(title: "Reading") var reading: LabelArguments

    func validate() throws {
        for (path, flag) in [(ranker, "--ranker"), (test, "--test"), (scores, "--scores")] {
            try ArgumentCheck.path(path, flag)
        }
    }

    func run() throws {
        try LongCommand.run(unfinished: "nothing was written") { _ in
            let ranker = try RankerArtifact(TensorFile(path: ranker))
            let rows = try ExampleReader(ranker.schema, reading.options).read(test)
            let model = ranker.model
            let found = RankerScores.all(model, rows.rows, threads: ProcessInfo.processInfo.activeProcessorCount)
            if let scores {
                let text = found.map { "\($0)\n" }.joined()
                try text.write(toFile: scores, atomically: true, encoding: .utf8)
            }
            print("\(test): \(model.line(found, rows.labels))")
        }
    }
}

extension RankerArtifact {
    /// Ready to score rows of its schema, in full precision.
    var model: RankerModel {
        switch self {
        case .network(let ranker): .network(Network(ranker.weights, layout: FeatureLayout(ranker.schema)))
        case .trees(let ranker): .trees(TreeScorer(ranker))
        }
    }
}

extension RankerModel {
    /// How well scores foretell labels, for people.
    func line(_ scores: [Float], _ labels: [Float]) -> String {
        let metrics = BinaryMetrics(logits: scores.map(logit), labels: labels)
        if givesProbabilities { return metrics.line }
        return
            "AUC \(metrics.auc.map { $0.text(digits: 5) } ?? "unknown (one label only)"); its scores are no probabilities"
    }
}

extension BinaryMetrics {
    /// For people.
    var line: String {
        "AUC \(auc.map { $0.text(digits: 5) } ?? "unknown (one label only)"), log-loss \(logLoss.text(digits: 5)), "
            + "calibration \(calibration.map { $0.text(digits: 3) } ?? "unknown")"
    }
}
