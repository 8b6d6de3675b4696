import ArgumentParser
import Artifacts
import Features
import Foundation
import RankingModels
import Retrieval
import Training

/// `martlet ranker export-examples`
struct RankerExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export-examples",
        abstract:
            "Write users' candidates with their features and what was chosen, for LightGBM, XGBoost and others to learn from.",
        discussion: """
            With --input retrieval is fitted to what came before a moment, and what it finds for each user is written with what \
            they chose in the stretch after it; `martlet train --ranker-file` judges by the stretch that follows, as it judges \
            --ranker. Where there are no times, or few users come back, a fifth of each user's choices is held out instead, and \
            three tenths of the users are left out to judge by. Give both commands the same --input, --seed and flags. With \
            --bundle and --later the bundle's candidates are written with what users chose since.
            The CSV has the columns label, part (train or valid), user, item, and the features in the schema's order; what is \
            missing is empty. docs/ranking-trees.md has an example.
            """)

    @Option(help: "File of interactions, or the directory that holds it.")
    var input: String?
    @Option(help: "File with titles, tags and attributes of items (default: found beside the input).")
    var items: String?
    @Option(help: "A bundle, in place of --input.")
    var bundle: String?
    @Option(help: "File of interactions that happened after those of the bundle.")
    var later: String?
    @Option(help: "The schema of the features, JSON (default: all that the data give; --write-features tells them).")
    var features: String?
    @Option(help: "A file to write the schema to, for martlet ranker import; it must not exist yet.")
    var writeFeatures: String?
    @Option(help: "The CSV file to write; it must not exist yet.")
    var output: String
    @Option(parsing: .unconditional, help: "Candidates of a user, 1 to 2000.")
    var rankCandidates = 200
    @Option(parsing: .unconditional, help: "Users at most, drawn by chance.")
    var users = 20_000
    @Option(
        parsing: .unconditional,
        help:
            "Candidates that were not chosen, for each that was, drawn by chance (default: all, as lambdarank wants it)."
    )
    var negatives: Int?
    @Option(
        help:
            "As of when candidates are: none, when the model was made; history, at the moment of a later choice, with what the user did by then; features, the same with features of what the user did lately (default: none, or history where --features names live features)."
    )
    var rankerLive: RankerLive?
    @OptionGroup(title: "Reading") var data: DataArguments
    @OptionGroup(title: "Fitting (with --input)") var training: TrainingArguments

    func validate() throws {
        switch (input, bundle, later) {
        case (.some, nil, nil), (nil, .some, .some): break
        default: throw ValidationError("give either --input, or --bundle and --later")
        }
        let paths = [
            (input, "--input"), (items, "--items"), (bundle, "--bundle"), (later, "--later"), (features, "--features"),
            (writeFeatures, "--write-features"), (output, "--output"),
        ]
        for (path, flag) in paths { try ArgumentCheck.path(path, flag) }
        guard features != nil || writeFeatures != nil else {
            throw ValidationError("name the schema with --features, or where to write it with --write-features")
        }
        if bundle != nil, items != nil {
            throw ValidationError("--items has no effect with --bundle, which has its own")
        }
        if features != nil, rankerLive == .features {
            throw ValidationError("--ranker-live features has no effect with --features, which names the features")
        }
        if training.sources != nil { throw ValidationError("--sources has no effect here, where nothing is weighed") }
        try ArgumentCheck.range(rankCandidates, "--rank-candidates", 1...2000)
        try ArgumentCheck.range(users, "--users", 1...100_000_000)
        if let negatives { try ArgumentCheck.range(negatives, "--negatives", 1...1000) }
    }

    func run() throws {
        try LongCommand.run(unfinished: "no examples were written") { cancellation in
            // Before the work: files that cannot be read and places that cannot be written to are found out now.
            try DataArguments.check(interactions: [input, later], items: items)
            for case let path? in [output, writeFeatures] { try RankerFile.check(path) }
            let schema = try features.map { try ImportFiles.schema($0) }
            if let bundle, let later {
                let opened = try Bundle(opening: bundle)
                let interactions = try data.read(later, label: "later", cancellation)
                let model = try RetrievalModel(bundle: opened, options: RetrievalModel.Options(index: .scan))
                return try export(
                    RankerWindow(model: model, later: interactions, isPast: true), schema,
                    EventTimeline(model, followedBy: interactions), keepsApart: false, cancellation)
            }
            let plan = try training.plan()
            let (interactions, report) = try data.readWithReport(input ?? "", cancellation)
            let attributes = try data.readAttributes(items, beside: report.files[0], for: interactions)
            try Rehearsal(plan: plan, k: 20, cancellation: cancellation).withTeachingWindow(
                share: RankerPlan.heldOutDefault, interactions, attributes
            ) { window, keepsApart in
                try export(window, schema, EventTimeline(interactions), keepsApart: keepsApart, cancellation)
            }
        }
    }

    /// - Parameter timeline: Nil where the interactions have no times.
    private func export(
        _ window: RankerWindow, _ given: FeatureSchema?, _ timeline: EventTimeline?, keepsApart: Bool,
        _ cancellation: Cancellation
    ) throws {
        let live = rankerLive ?? (given.map { $0.fields.contains { $0.source.live != nil } } == true ? .history : .none)
        if live != .none { try ExampleExport.checkTimes(window, timeline) }
        let schema =
            given
            ?? FeatureSchema.forTrees(
                window.model, hasTimes: window.isPast, timeline: live == .features ? timeline : nil)
        var configuration = ExampleExport.Configuration()
        configuration.candidates = rankCandidates
        configuration.usersMax = users
        configuration.negatives = negatives
        configuration.keepsApart = keepsApart
        configuration.timeline = live == .none ? nil : timeline
        configuration.seed = training.seed
        configuration.threads = try training.threadCount()
        let export = try ExampleExport(configuration, window.model, schema: schema, path: features ?? "the schema")
        let line = ProgressLine("examples")
        let summary: ExampleExport.Summary
        do {
            summary = try RankerFile.writing(to: output) { handle in
                try export.run(
                    window.later, cancellation: cancellation, onProgress: { line.update($0, "") },
                    write: { try handle.write(contentsOf: $0) })
            }
        } catch {
            line.clear()
            throw error
        }
        line.finish(
            "\(summary.rows.counted("candidate")) of \(summary.users.counted("user")), \(summary.chosen) chosen; "
                + "\(summary.without.counted("user")) chose none of theirs"
                + (keepsApart ? ", \(summary.keptApart.counted("user")) are kept apart to judge by" : "")
                + (input != nil && !keepsApart ? "; what came after is kept to judge by" : ""))
        for field in schema.fields where field.side == .context {
            line.note(
                "  \(field.name) comes from the request's context (\(field.source.text)), which no past choice has: its column is empty"
            )
        }
        if !window.isPast {
            for field in schema.fields where field.source.isOfTime {
                line.note(
                    "  \(field.name) tells of time (\(field.source.text)), and here it knows of what came after the choices: leave it out"
                )
            }
        }
        if let writeFeatures {
            var members = schema.json().objectValue ?? [:]
            members[FittedCandidates.key] = export.candidates.json
            let text = JSONText.print(.object(members), indented: true) + "\n"
            try RankerFile.writing(to: writeFeatures) { try $0.write(contentsOf: Array(text.utf8)) }
        }
        print("\(output): \(schema.fields.count.counted("feature")), \(schema.hash.prefix(12))")
    }
}
