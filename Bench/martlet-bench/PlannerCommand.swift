import ArgumentParser
import FactorModels
import Foundation
import IndexBench
import LoadGenerator
import VectorMath

/// `martlet-bench planner`
struct PlannerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "planner",
        abstract: "Judges how well the node chooses its way to search: each way is measured over a grid.",
        discussion: """
            For each number of rows, k and filter every plan is measured on one thread, with queries other than those that \
            the planner was calibrated with. A cell holds when the chosen plan reaches the recall and takes at most 1.25 \
            times the time (or 2 microseconds more than that) of the quickest plan that reaches it. \
            Made data: the first of --shape, --dimension and --metric are combined with each other one alone; --crossed \
            combines all. Pin it (taskset -c 0) for steady figures.
            Exit codes: 0 fine; 1 data that cannot be read or do not fit together; 64 wrong options.
            """)

    @Option(help: "File of the rows to index.") var rows: String?
    @Option(help: "File of the queries.") var queries: String?
    @Option(help: "Take the factors of this bundle.") var bundle: String?
    @Option(help: "Which of the bundle's: als or spectral. Default: als where there is one.") var factors: FactorKind?
    @Option(help: "Shapes of made data, of hubs, unit and noise. Default: hubs,unit,noise.") var shape: String?
    @Option(
        parsing: .unconditional,
        help: "Counts of rows to make (default: 2000,20000,100000); of other data, to take at most (default: all).")
    var rowCount: String?
    @Option(parsing: .unconditional, help: "Columns of made data. Default: 64,16,128.") var dimension: String?
    @Option(help: "Metrics, of inner_product, cosine and l2. Default: all; of other data than made, inner_product.")
    var metric: String?
    @Option(parsing: .unconditional, help: "Neighbours wanted.") var k = "1,10,30,100,300,1000"
    @Option(parsing: .unconditional, help: "Shares of rows that a filter leaves; 1: no filter.")
    var eligible = "1,.5,.2,.1,.05,.02,.01,.001,.0001"
    @Option(parsing: .unconditional, help: "Recall that searches must reach.")
    var recallMin = PlannerBenchConfiguration().recallMin
    @Flag(help: "Combine all shapes, dimensions and metrics.") var crossed = false
    @Option(help: "What links are chosen by: own (the metric), cosine, or auto (by a pilot with the queries).")
    var links = IndexBenchConfiguration.Links.auto
    @Option(parsing: .unconditional, help: "Seed of the graph's layers.") var seed: UInt64 = 1
    @Option(parsing: .unconditional, help: "Threads that build.") var threads = 2
    @Option(parsing: .unconditional, help: "Rounds of a cell, before those that noise calls for.") var repeats = 2
    @Option(help: "Write all cells as JSON to this file; - is the standard output, without the tables.")
    var json: String?

    func validate() throws {
        try DataSourceCheck.check(
            bundle: bundle, rows: rows, queries: queries, isMade: shape != nil, namesFactors: factors != nil)
        if rows != nil || bundle != nil {
            if dimension != nil { throw ValidationError("--dimension has no effect on data that is not made") }
            if crossed { throw ValidationError("--crossed has no effect on data that is not made") }
        }
        do { try settings().validate() } catch let error as IndexBenchError { throw ValidationError("\(error)") }
    }

    func run() throws {
        let file: ReportFile?
        do {
            // Before the run: a report that has no place to go is found out now.
            file = try json.flatMap { $0 == "-" ? nil : try ReportFile($0, flag: "--json") }
        } catch { throw ValidationError("\(error)") }
        do {
            if let note = MachineLoad.note() { Terminal.complain(note) }
            let report = try PlannerBench(settings()).run { if json != "-" { say($0) } }
            let document = try report.json() + Data("\n".utf8)
            if json == "-" { Terminal.put(document) } else { say(report.text) }
            try file?.write(document)
        } catch {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
    }

    /// A line on standard output, at once.
    private func say(_ line: String) { Terminal.say(line) }

    func settings() throws -> PlannerBenchConfiguration {
        var settings = PlannerBenchConfiguration()
        if let rows, let queries {
            settings.source = .files(rows: rows, queries: queries)
        } else if let bundle {
            settings.source = .bundle(bundle, factors: factors)
        }
        if settings.source != nil {
            settings.metrics = [.innerProduct]
            settings.rowCounts = [10_000_000]
        }
        typealias List = IndexCommand
        if let shape {
            settings.shapes = try List.list(shape, "--shape", "one of hubs, unit, noise") { .init(rawValue: $0) }
        }
        if let rowCount { settings.rowCounts = try List.list(rowCount, "--row-count", "a count") { Int($0) } }
        if let dimension { settings.dimensions = try List.list(dimension, "--dimension", "a count") { Int($0) } }
        if let metric {
            settings.metrics = try List.list(metric, "--metric", "one of inner_product, cosine, l2") {
                .init(rawValue: $0)
            }
        }
        settings.ks = try List.list(k, "--k", "a count") { Int($0) }
        settings.shares = try List.list(eligible, "--eligible", "a share") { Float($0) }
        settings.recallMin = recallMin
        settings.isCrossed = crossed
        settings.links = links
        settings.seed = seed
        settings.buildThreads = threads
        settings.repeats = repeats
        return settings
    }
}
