import ArgumentParser
import FactorModels
import Foundation
import IndexBench
import LoadGenerator
import VectorMath

/// `martlet-bench index`
struct IndexCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index",
        abstract: "Measures how many queries a second the indexes answer at which recall, on one thread.",
        discussion: """
            Rows and queries come from files (.fbin, .u8bin, .fvecs, .bvecs, .npy of Float32, idx3-ubyte), from a bundle \
            (its item factors, and a sample of its user factors), or are made. True neighbours come from --truth \
            (.ibin, .ivecs, .npy of Int32) or an exact search. Pin it (taskset -c 0) for steady figures.
            Exit codes: 0 fine; 1 data that cannot be read or do not fit together; 64 wrong options.
            """)

    @Option(help: "File of the rows to index.") var rows: String?
    @Option(help: "File of the queries.") var queries: String?
    @Option(help: "File of each query's true nearest rows, best first; computed when missing.") var truth: String?
    @Option(help: "Take the factors of this bundle.") var bundle: String?
    @Option(help: "Which of the bundle's: als or spectral. Default: als where there is one.") var factors: FactorKind?
    @Option(help: "Make data: hubs (the default), unit or noise.") var shape: SyntheticShape?
    @Option(parsing: .unconditional, help: "Rows of made data (default: 100000); of other data, at most.")
    var rowCount: Int?
    @Option(parsing: .unconditional, help: "Columns of made data; default: 64.") var dimension: Int?
    @Option(parsing: .unconditional, help: "Queries to ask at most.") var queryCount = 10_000
    @Option(help: "inner_product, cosine or l2.") var metric = SimilarityMetric.innerProduct
    @Option(parsing: .unconditional, help: "Neighbours wanted, one or more: 10,100.") var k = "10,100"
    @Option(help: "How scan and hnsw hold the rows that they score by: f32 or f16; recall is held against f32.")
    var rowsIn = RowPrecision.f32
    @Option(help: "What walks read of rows, a curve for each: auto, rows (as scored by), f16, int8.")
    var graphRows = "auto"
    @Option(help: "Indexes to measure, of exact, scan and hnsw.") var indexes = "exact,scan,hnsw"
    @Option(parsing: .unconditional, help: "Confidences of the scan's bounds; 1 is exact (default: 1).")
    var confidence: String?
    @Option(parsing: .unconditional, help: "Queries that scan together, beside one after the other; 1: none.")
    var together = 1
    @Option(parsing: .unconditional, help: "Threads that read one scan, beside a scan by one thread; 1: none.")
    var split = 1
    @Option(
        parsing: .unconditional, help: "Shares of rows that a filter leaves, for planned searches: 0.001,0.1,1.")
    var eligible: String?
    @Option(parsing: .unconditional, help: "Recall that planned searches must reach (default: 0.999).")
    var recallMin: Double?
    @Option(
        parsing: .unconditional,
        help: "Rows that a seen set blocks, drawn evenly or each query's best: what that adds to a planned search.")
    var blocked: Int?
    @Option(
        parsing: .unconditional,
        help: "efSearch values; those below k are left out (default: 10,16,24,32,48,64,96,128,192,256,384,512).")
    var ef: String?
    @Option(parsing: .unconditional, help: "Links per node, 2 to 128 (twice on layer 0; default: 16).") var m: Int?
    @Option(
        parsing: .unconditional,
        help: "Breadth of the search for a new node's neighbours, 1 to 10000 (default: 200).")
    var efConstruction: Int?
    @Option(
        help: "What links are chosen by: own (the metric; the default), cosine, or auto (by a pilot with the queries).")
    var links: IndexBenchConfiguration.Links?
    @Option(parsing: .unconditional, help: "Seed of the graph's layers (default: 1).") var seed: UInt64?
    @Option(parsing: .unconditional, help: "Threads that build.") var threads = 2
    @Option(parsing: .unconditional, help: "Repeats; medians are told.") var repeats = 3
    @Option(help: "Write header and points as JSON to this file; - is the standard output, without the table.")
    var json: String?
    @Option(help: "Write a drawing of recall against queries/s to this SVG file.") var plot: String?
    @Flag(
        help: ArgumentHelp(
            "Answer lines on standard input, for a comparison that takes turns.",
            discussion: """
                A line of JSON tells of the data and the graph; then each line `hnsw K EF` or `exact K` is answered by one. \
                K is at most the largest of --k.
                """))
    var turns = false

    func validate() throws {
        try DataSourceCheck.check(
            bundle: bundle, rows: rows, queries: queries, isMade: shape != nil, namesFactors: factors != nil)
        if dimension != nil, rows != nil || bundle != nil {
            throw ValidationError("--dimension has no effect on data that is not made")
        }
        if turns, json != nil || plot != nil { throw ValidationError("--turns writes no --json and no --plot") }
        // What can be wrong without a look at the data.
        do {
            let settings = try settings()
            try settings.validate()
            try checkEffects(settings)
        } catch let error as IndexBenchError { throw ValidationError("\(error)") }
    }

    /// Options that would change nothing are mistakes.
    private func checkEffects(_ settings: IndexBenchConfiguration) throws {
        let ofGraph: [(String, Bool)] = [
            ("--ef", ef != nil), ("--m", m != nil), ("--ef-construction", efConstruction != nil),
            ("--links", links != nil), ("--seed", seed != nil),
        ]
        if !settings.kinds.contains(.hnsw), let flag = ofGraph.first(where: \.1)?.0 {
            throw ValidationError("\(flag) has no effect without hnsw in --indexes")
        }
        if confidence != nil, !settings.kinds.contains(.scan) {
            throw ValidationError("--confidence has no effect without scan in --indexes")
        }
        if recallMin != nil, eligible == nil, blocked == nil {
            throw ValidationError("--recall-min has no effect without --eligible or --blocked: nothing is planned")
        }
        if settings.rowsIn != .f32, settings.kinds == [.exact] {
            throw ValidationError("--rows-in has no effect without scan or hnsw in --indexes")
        }
    }

    func run() throws {
        let (jsonFile, plotFile): (ReportFile?, ReportFile?)
        do {
            // Before the run: a report that has no place to go is found out now.
            if let plot, plot == json || plot == "-" {
                throw ValidationError("--plot \(plot): the drawing wants a file of its own")
            }
            jsonFile = try json.flatMap { $0 == "-" ? nil : try ReportFile($0, flag: "--json") }
            plotFile = try plot.map { try ReportFile($0, flag: "--plot") }
        } catch { throw ValidationError("\(error)") }
        do {
            if turns { return try takeTurns() }
            if let note = MachineLoad.note() { Terminal.complain(note) }
            let sweep = try IndexSweep(settings())
            if json != "-" { say(sweep.header.text) }
            let report = try sweep.run { if json != "-" { say($0.text) } }
            let document = try report.json() + Data("\n".utf8)
            if json == "-" { Terminal.put(document) }
            try jsonFile?.write(document)
            try plotFile?.write(Data(report.svg.utf8))
        } catch let error as ExitCode {
            throw error
        } catch {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
    }

    private func takeTurns() throws {
        let sweep = try IndexSweep(settings(), forTurns: true)
        say(try IndexReport.line(sweep.header))
        while let line = readLine() { say(try IndexReport.line(sweep.turn(line))) }
    }

    /// A line on standard output, at once.
    private func say(_ line: String) { Terminal.say(line) }

    func settings() throws -> IndexBenchConfiguration {
        var settings = IndexBenchConfiguration()
        if let rows, let queries {
            settings.source = .files(rows: rows, queries: queries)
        } else if let bundle {
            settings.source = .bundle(bundle, factors: factors)
        } else {
            settings.source = .made(shape ?? .hubs, dimension: dimension ?? 64)
        }
        settings.rowsMax = rowCount
        settings.queriesMax = queryCount
        settings.truth = truth
        settings.metric = metric
        settings.rowsIn = rowsIn
        settings.kinds = try Self.list(indexes, "--indexes", "one of exact, scan, hnsw") { .init(rawValue: $0) }
        settings.graphRows = try Self.list(graphRows, "--graph-rows", "one of auto, rows, f16, int8") {
            .init(rawValue: $0)
        }
        settings.ks = try Self.list(k, "--k", "a count") { Int($0) }
        settings.efSearch = try ef.map { try Self.list($0, "--ef", "a count") { Int($0) } } ?? settings.efSearch
        settings.confidences =
            try confidence.map { try Self.list($0, "--confidence", "a share") { Float($0) } } ?? settings.confidences
        if let recallMin { settings.recallMin = recallMin }
        settings.eligible = try eligible.map { try Self.list($0, "--eligible", "a share") { Float($0) } } ?? []
        settings.blocked = blocked
        settings.together = together
        settings.split = split
        if let m { settings.m = m }
        if let efConstruction { settings.efConstruction = efConstruction }
        if let links { settings.links = links }
        if let seed { settings.seed = seed }
        settings.buildThreads = threads
        settings.repeats = repeats
        return settings
    }

    static func list<Value>(
        _ text: String, _ flag: String, _ wanted: String, _ value: (String) -> Value?
    ) throws -> [Value] {
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        return try words.map { word in
            guard let value = value(word) else { throw ValidationError("\(flag): '\(word)' is not \(wanted)") }
            return value
        }
    }
}

extension SimilarityMetric: ExpressibleByArgument {}
extension RowPrecision: ExpressibleByArgument {}
extension FactorKind: ExpressibleByArgument {}
extension SyntheticShape: ExpressibleByArgument {}
extension IndexBenchConfiguration.Links: ExpressibleByArgument {}
