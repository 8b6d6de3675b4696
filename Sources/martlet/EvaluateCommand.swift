import ArgumentParser
import Artifacts
import Training

/// `martlet evaluate`: how good a bundle, or a way to train, is.
struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure how good recommendations are against interactions that were held out.",
        discussion: """
            Exit code with --against: 0 when the bundle is not worse than the other by more than the margin, 2 when it is, \
            1 when it could not be measured.
            With --bundle and --test a bundle is asked for every user of the test file. With --input the file is split \
            (--split), a model is trained on one part and asked for the other.
            Every item is ranked, those of the user's training history removed. Each source is measured alone, by exact \
            search, and `served` is what the node answers with: the bundle's mix through its own index. The recall of the \
            index against exact search stands below.
            """)

    @Option(help: "The bundle to evaluate.")
    var bundle: String?
    @Option(help: "File of held-out interactions.")
    var test: String?
    @OptionGroup(title: "Event log (in place of --test)") var log: LogArguments
    @OptionGroup(title: "Comparison (with --bundle)") var gate: GateArguments
    @Option(help: "File of interactions to split, train on and evaluate with.")
    var input: String?
    @Option(help: "How --input is split: \(SplitMethod.names) (default: \(SplitMethod.leaveLastOut.rawValue)).")
    var split: SplitMethod?
    @Option(help: "File of items with tags and attributes, for --sources content (default: what lies beside --input).")
    var items: String?
    @Option(
        parsing: .unconditional,
        help: "Part of the interactions that random and temporal splits hold out, above 0 and below 1 (default: 0.2).")
    var share: Double?
    @Option(
        name: [.customShort("k"), .customLong("at")], parsing: .unconditional, help: "Length of the lists, 1 to 1000.")
    var k = 20
    @Flag(
        help: ArgumentHelp(
            "With --bundle: ask before each choice of the test, at its time, with what its user had done by then.",
            discussion: "Otherwise each user is asked for once. Needs times."))
    var eachChoice = false
    @Flag(help: "Print one JSON object instead of the table.")
    var json = false
    @OptionGroup(title: "Reading") var data: DataArguments
    @OptionGroup(title: "Fitting (with --input)") var training: TrainingArguments

    func validate() throws {
        switch (bundle, test ?? log.fromLog, input) {
        case (.some, .some, nil), (nil, nil, .some): break
        default: throw ValidationError("give either --bundle and --test (or --from-log), or --input")
        }
        if test != nil, log.fromLog != nil { throw ValidationError("give one of --test and --from-log") }
        if bundle == nil, gate.against != nil { throw ValidationError("--against has no effect without --bundle") }
        for (path, flag) in [(bundle, "--bundle"), (test, "--test"), (input, "--input"), (items, "--items")] {
            try ArgumentCheck.path(path, flag)
        }
        try ArgumentCheck.range(k, "-k", 1...1000)
        if eachChoice, bundle == nil || gate.against != nil {
            throw ValidationError("--each-choice goes with --bundle, and without --against")
        }
        if let share, share <= 0 || share >= 1 {
            throw ValidationError("--share is \(share); allowed: above 0 and below 1")
        }
        guard bundle != nil else { return }
        let ofSplit = split != nil ? "--split" : share != nil ? "--share" : nil
        if let flag = ofSplit ?? training.flagOfFit {
            throw ValidationError(
                "\(flag) has no effect with --bundle, which is evaluated as it is; give --input to fit anew")
        }
    }

    func run() throws {
        try LongCommand.run(unfinished: "nothing was measured") { cancellation in
            if let bundle, let other = gate.against {
                return try gate.compare(bundle, other, heldOut(cancellation), k, training, json: json, cancellation)
            }
            let report = try evaluated(cancellation)
            print(json ? JSONText.print(report.json, indented: true) : report.table)
        }
    }

    /// What a bundle is measured by.
    private func heldOut(_ cancellation: Cancellation) throws -> (interactions: Interactions, name: String) {
        if let test { return (try data.read(test, label: "test", cancellation), test) }
        let (interactions, note, _, _) = try log.read(log.fromLog ?? "", minValue: data.minValue, cancellation)
        return (interactions, note)
    }

    private func evaluated(_ cancellation: Cancellation) throws -> EvaluationReport {
        if let bundle {
            // Before the work: a bundle that cannot be served is found out now.
            _ = try Bundle(opening: bundle, verify: .sizes)
            let test = try heldOut(cancellation)
            return try Rehearsal.evaluate(
                bundle: bundle, test: test.interactions, name: test.name, k: k, threads: training.threadCount(),
                sources: training.extraSources(), eachChoice: eachChoice, cancellation: cancellation)
        }
        let path = input ?? ""
        let plan = try training.plan()
        let (interactions, report) = try data.readWithReport(path, cancellation)
        let attributes =
            plan.extraSources.contains(.content)
            ? try data.readAttributes(items, beside: report.files[0], for: interactions) : ItemAttributes()
        let split = split ?? .leaveLastOut
        let parts = try interactions.split(split, share: share ?? 0.2, seed: training.seed)
        return try Rehearsal(plan: plan, k: k, cancellation: cancellation)
            .run(training: parts.training, attributes, test: parts.test, name: "\(split.rawValue) split of \(path)")
    }
}
