import ArgumentParser
import Artifacts
import Training

/// `martlet train`: from a file of interactions to a bundle.
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a model on a file of interactions and write it as a bundle.",
        discussion: """
            The input is a MovieLens folder or file, CSV or TSV (user, item[, value[, timestamp]]; with or without header), \
            or adjacency lines (user item item ...); gzip is unpacked. Titles and tags are read from movies.csv, \
            movies.dat, u.item or items.csv beside it.
            The bundle is put together beside its place and moved there in one step: a reader, or Ctrl-C, never meets half of it.
            """)

    @Option(help: "File of interactions, or the directory that holds it.")
    var input: String
    @Option(help: "Interactions to tune and evaluate on; pairs that also stand in the input are held out for that.")
    var valid: String?
    @Option(help: "The bundle to write: a directory that must not exist yet.")
    var output: String
    @Flag(help: "Replace a bundle that stands at the output.")
    var replace = false
    @Option(help: "File with titles and tags of items (default: found beside the input).")
    var items: String?
    @Option(help: "Name of the model in the manifest.")
    var name = "model"
    @Option(help: "Version of the model in the manifest (default: the time).")
    var modelVersion: String?
    @Option(help: "Hold out by \(SplitMethod.names), report the quality, then train on everything.")
    var evaluate: SplitMethod?
    @Option(name: [.customShort("k"), .customLong("at")], help: "Length of the lists that are evaluated.")
    var k = 20
    @OptionGroup(title: "Reading") var data: DataArguments
    @OptionGroup(title: "Fitting") var training: TrainingArguments

    func validate() throws {
        if valid != nil, evaluate != nil {
            throw ValidationError("--valid and --evaluate both say what to hold out; give one of them")
        }
        guard (1...1000).contains(k) else { throw ValidationError("-k is \(k); 1 to 1000 make sense") }
    }

    func run() throws {
        try LongCommand.run { cancellation in
            var plan = try training.plan()
            plan.name = name
            plan.version = modelVersion
            // Before the work: a place that cannot be written to is found out now.
            let writer = try BundleWriter(destination: output, replace: replace)
            let (interactions, report) = try data.readWithReport(input, cancellation)
            let attributes = try data.readAttributes(items, beside: report.files[0])
            var notes = Trainer.Notes()
            notes.input = report.files[0]
            if let holdout = try holdout(interactions, cancellation) {
                let evaluated = try Rehearsal(plan: plan, k: k, cancellation: cancellation)
                    .run(training: holdout.training, test: holdout.test, name: holdout.name)
                print(evaluated.table)
                notes.evaluation = evaluated.json
            }
            let progress = TrainingProgress()
            defer { progress.clear() }
            let trainer = Trainer(plan, cancellation: cancellation) { progress.show($0) }
            let manifest = try trainer.train(interactions, attributes: attributes, notes: notes, into: writer)
            print(Self.summary(manifest, output))
        }
    }

    /// What is held out to find out how good the models are, if anything.
    private func holdout(
        _ interactions: Interactions, _ cancellation: Cancellation
    ) throws -> (training: Interactions, test: Interactions, name: String)? {
        if let valid {
            let test = try data.read(valid, label: "valid", cancellation)
            return (interactions.removing(test).kept, test, valid)
        }
        if let evaluate {
            let split = try interactions.split(evaluate, seed: training.seed)
            return (split.training, split.test, "\(evaluate.rawValue) split of \(input)")
        }
        return nil
    }

    static func summary(_ manifest: Manifest, _ output: String) -> String {
        let counts = manifest.counts
        let megabytes = (Double(manifest.totalBytes) / 1_000_000).text(digits: 1)
        return "\(output): \(manifest.name) \(manifest.version), \(counts.users) users, \(counts.items) items, "
            + "\(counts.interactions) interactions, \(manifest.files.count) files, \(megabytes) MB"
    }
}
