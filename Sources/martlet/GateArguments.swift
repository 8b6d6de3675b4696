import ArgumentParser
import Artifacts
import Catalog
import Training
import Vocabulary

/// Whether one bundle may take another's place: both are asked for the same held-out interactions.
struct GateArguments: ParsableArguments {
    /// The figures that may decide: the greater, the better.
    enum Metric: String, CaseIterable, ExpressibleByArgument {
        case ndcg, recall, mrr, map
        case hitRate = "hit_rate"
    }

    /// Ends the program when the bundle is worse.
    static let worseCode: Int32 = 2

    @Option(help: ArgumentHelp("The bundle that serves now, to compare --bundle with.", valueName: "bundle"))
    var against: String?
    @Option(
        parsing: .unconditional,
        help: "How much worse --bundle may be, as a part of the other's figure, 0 to 1 (default: 0.02).")
    var margin: Double?
    @Option(help: "The figure that decides: ndcg, recall, mrr, map or hit_rate (default: ndcg).")
    var metric: Metric?
    @Option(
        parsing: .unconditional,
        help: "Users that both know and that have something held out, at least; fewer decide nothing (default: 20).")
    var minUsers: Int?

    func validate() throws {
        try ArgumentCheck.path(against, "--against")
        try ArgumentCheck.range(margin, "--margin", 0...1)
        try ArgumentCheck.range(minUsers, "--min-users", 1...1_000_000_000)
        guard against == nil else { return }
        let flags = [
            ("--margin", margin != nil), ("--metric", metric != nil), ("--min-users", minUsers != nil),
        ]
        if let flag = flags.first(where: \.1)?.0 { throw ValidationError("\(flag) has no effect without --against") }
    }

    /// Measures both, prints both, and ends the program with `worseCode` when the first is worse by more than the margin.
    ///
    /// What one of them does not know, or counts among a user's history, is asked of neither.
    /// - Throws: `ExitCode`; `DatasetError` when too few users are left to decide by; `ArtifactError`.
    func compare(
        _ bundle: String, _ other: String, _ test: (interactions: Interactions, name: String), _ k: Int,
        _ training: TrainingArguments, json: Bool, _ cancellation: Cancellation
    ) throws {
        var common = test.interactions
        for path in [bundle, other] { common = try Self.askable(common, of: path) }
        let users = (0..<common.userCount).count { !common.range(of: $0).isEmpty }
        let least = minUsers ?? 20
        guard users >= least else {
            throw DatasetError(
                .empty,
                "\(users.counted("user")) with \(common.count.counted("held-out interaction")) of \(test.name) can be asked of both "
                    + "bundles; \(least) are needed to decide (--min-users)")
        }
        let reports = try [bundle, other].map { path in
            try Rehearsal.evaluate(
                bundle: path, test: common, name: test.name, k: k, threads: training.threadCount(),
                sources: training.extraSources(), cancellation: cancellation)
        }
        let verdict = try Verdict(reports[0], reports[1], metric ?? .ndcg, margin ?? 0.02)
        if json {
            print(
                JSONText.print(
                    ["bundle": reports[0].json, "against": reports[1].json, "verdict": verdict.json], indented: true))
        } else {
            print("\(bundle)\n\(reports[0].table)\n\(other)\n\(reports[1].table)\n\(verdict.text)")
        }
        if !verdict.passes { throw ExitCode(Self.worseCode) }
    }

    /// The interactions whose user and item the bundle at `path` knows, the user's history left out.
    private static func askable(_ interactions: Interactions, of path: String) throws -> Interactions {
        let bundle = try Bundle(opening: path, verify: .sizes)
        let users = try UserDirectory(bundle: bundle)
        let items = try ItemCatalog(bundle: bundle)
        let itemRows = (0..<UInt32(interactions.itemCount)).map { items.row(of: interactions.items.string($0)) }
        var kept = [Bool](repeating: false, count: interactions.count)
        for user in 0..<interactions.userCount {
            guard let row = users.row(of: interactions.users.string(UInt32(user))) else { continue }
            let history = Set(users.history(of: row))
            for place in interactions.range(of: user) {
                kept[place] = itemRows[Int(interactions.itemRows[place])].map { !history.contains($0) } ?? false
            }
        }
        return interactions.subset(kept)
    }
}

/// Whether a bundle is good enough beside another.
struct Verdict {
    let metric: String
    let margin: Double
    let new: Double
    let old: Double
    let users: Int

    var passes: Bool { new >= old * (1 - margin) }

    init(metric: String, margin: Double, new: Double, old: Double, users: Int) {
        self.metric = metric
        self.margin = margin
        self.new = new
        self.old = old
        self.users = users
    }

    init(
        _ new: EvaluationReport, _ old: EvaluationReport, _ metric: GateArguments.Metric, _ margin: Double
    ) throws {
        func figure(_ report: EvaluationReport) throws -> Double {
            let named = report[EvaluationReport.servedName]?.named ?? []
            guard let value = named.first(where: { $0.name == "\(metric.rawValue)@\(report.k)" })?.value else {
                throw DatasetError(.empty, "the evaluation has no \(metric.rawValue)@\(report.k)")
            }
            return value
        }
        self.init(
            metric: "\(metric.rawValue)@\(new.k)", margin: margin, new: try figure(new), old: try figure(old),
            users: new.users)
    }

    var text: String {
        let least = old * (1 - margin)
        return
            "\(passes ? "PASSES" : "WORSE"): served \(metric) \(new.text(digits: 4)), the other's \(old.text(digits: 4)); "
            + "\(least.text(digits: 4)) or more was needed (margin \((margin * 100).text(digits: 1)) %), on \(users.counted("user"))"
    }

    var json: JSONValue {
        [
            "metric": .string(metric), "margin": .double(margin), "new": .double(new), "old": .double(old),
            "users": .int(Int64(users)), "passes": .bool(passes),
        ]
    }
}
