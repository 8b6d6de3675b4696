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
            With --bundle and --slates its ranker is judged by logged slates: the order of what was logged, and, where chance \
            filled places, an estimate of what it would have been clicked.
            Every item is ranked, those of the user's training history removed. Each source is measured alone, by exact \
            search, and `served` is what the node answers with: the bundle's mix through its own index. The recall of the \
            index against exact search stands below.
            """)

    @Option(help: "The bundle to evaluate.")
    var bundle: String?
    @Option(help: "File of held-out interactions.")
    var test: String?
    @OptionGroup(title: "Event log (in place of --test)") var log: LogArguments
    @Option(
        help: ArgumentHelp(
            "Judge the bundle's ranker by the slate log in this folder.",
            discussion:
                "Events are those of --from-log, or of the folder that the slate log lies in. With --against both rankers are judged.",
            valueName: "dir"))
    var slates: String?
    @Option(
        parsing: .unconditional,
        help: "How long a user may take to answer a slate (default: 1h); only with --slates.")
    var impressionWindow: String?
    @Option(
        parsing: .unconditional,
        help: "Weights above are cut down to it, 1 or more (default: 100); only with --slates.")
    var clip: Double?
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
        if let slates {
            guard bundle != nil, test == nil, input == nil else {
                throw ValidationError("--slates goes with --bundle, and with neither --test nor --input")
            }
            try ArgumentCheck.path(slates, "--slates")
            try ArgumentCheck.range(clip, "--clip", 1...1e9)
            try ArgumentCheck.range(k, "-k", 1...1000)
            _ = try SlateLogArguments.milliseconds(impressionWindow)
            return
        }
        let ofSlates = impressionWindow != nil ? "--impression-window" : clip != nil ? "--clip" : nil
        if let flag = ofSlates { throw ValidationError("\(flag) has no effect without --slates") }
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
            if let slates {
                let judge = SlateJudge(
                    slates: slates, log: log, window: try SlateLogArguments.milliseconds(impressionWindow),
                    k: k, clip: clip ?? 100)
                return try judge.run([bundle, gate.against].compactMap { $0 }, json: json, cancellation)
            }
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
