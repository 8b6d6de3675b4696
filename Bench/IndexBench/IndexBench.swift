import ArgumentParser
import Foundation
import NearestNeighbors
import VectorMath

/// Question: how many queries per second does the index answer at which recall, on one thread, beside an exact scan?
@main
struct IndexBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index-bench",
        abstract:
            "Queries per second and recall of the nearest-neighbour index over a sweep of efSearch, on one thread.",
        discussion: """
            Reads rows from --rows FILE.fbin and queries from --queries FILE.fbin (u32 rows, u32 columns, Float32 values,
            little-endian), or makes a named shape. True neighbours come from --truth FILE.ibin or an exact search.
            Pin it (taskset -c 0) for steady figures.
            """)

    @Option(help: "Rows to index (.fbin).") var rows: String?
    @Option(help: "Queries (.fbin).") var queries: String?
    @Option(help: "True nearest rows of each query (.ibin); computed when missing.") var truth: String?
    @Option(help: "Made data: hubs, unit or noise.") var shape = SyntheticShape.hubs
    @Option(help: "Rows of made data; of a file, at most.") var rowCount: Int?
    @Option(help: "Columns of made data.") var dimension = 64
    @Option(help: "Queries to ask at most.") var queryCount = 10_000
    @Option(help: "inner_product, cosine or l2.") var metric = SimilarityMetric.innerProduct
    @Option(help: "Neighbours wanted, one or more: 10,100.") var k = "10,100"
    @Option(help: "Indexes to measure, of exact, scan and hnsw.") var indexes = "exact,scan,hnsw"
    @Option(help: "Confidences of the scan's bounds; 1 is exact.") var confidence = "1"
    @Option(help: "Queries that scan together, beside one after the other; 1: none.") var together = 1
    @Option(help: "Shares of rows that a filter leaves, for planned searches: 0.001,0.1,1.") var eligible: String?
    @Option(help: "efSearch values.") var ef = "10,16,24,32,48,64,96,128,192,256,384,512"
    @Option(help: "Links per node (twice on layer 0).") var m = 16
    @Option(help: "Breadth of the search for a new node's neighbours.") var efConstruction = 200
    @Option(help: "What links are chosen by: own (the metric), cosine, or auto (by a pilot with the queries).")
    var links = Links.own
    @Option(help: "Seed of the layers.") var seed: UInt64 = 1
    @Option(help: "Threads that build.") var threads = 2
    @Option(help: "Repeats; the median is printed.") var repeats = 3
    @Flag(help: "Print one JSON document.") var json = false
    @Flag(
        help:
            "Build, then answer lines `hnsw K EF` and `exact K` on standard input with a line of JSON each (for a comparison that takes turns)."
    ) var turns = false

    func run() throws {
        let (matrix, asked) = try data()
        let ks = try Self.numbers(k, "--k")
        let wanted = indexes.split(separator: ",").map(String.init)
        for name in wanted where !["exact", "scan", "hnsw"].contains(name) {
            throw ValidationError("--indexes: '\(name)' is not one of exact, scan, hnsw")
        }
        let start = DispatchTime.now().uptimeNanoseconds
        let scan = try wanted.contains("scan") ? ScanIndex(matrix, metric: metric) : nil
        let scanSeconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        let (walked, built) =
            wanted.contains("hnsw") || turns
            ? try buildGraph(matrix, asked, k: ks.max() ?? 10) : (nil, nil)
        if let scan, !json {
            print(
                String(
                    format: "scan: built in %.2f s, %.1f MB of codes", scanSeconds, Double(scan.byteCount) / 1e6))
        }
        let exact = try ExactIndex(matrix, metric: metric)
        let runner = Runner(queries: asked, truth: try trueRows(exact, asked, max(ks.max() ?? 1, turns ? 100 : 1)))

        if turns, let walked, let built { return try takeTurns(built, walked, exact, runner) }
        if !json { built?.printTable() }
        var sweep: [Measurement] = []
        for k in ks {
            if wanted.contains("exact") {
                sweep.append(
                    try runner.measure(
                        exact, named: "exact", k: k, efSearch: 0, repeats: repeats, queriesMax: 1000))
                if !json { Self.printRow(sweep[sweep.count - 1]) }
            }
            if let scan {
                if together > 1 {
                    sweep.append(try runner.measureTogether(scan, together, k: k, repeats: repeats))
                    if !json { Self.printRow(sweep[sweep.count - 1]) }
                }
                for confidence in try Self.shares(confidence) {
                    let name = confidence == 1 ? "scan" : "scan\(confidence)"
                    let index = scan.with(confidence: confidence)
                    sweep.append(try runner.measure(index, named: name, k: k, efSearch: 0, repeats: repeats))
                    if !json { Self.printRow(sweep[sweep.count - 1]) }
                }
            }
            if let scan, let eligible {
                let planned = try PlannedIndex(
                    scan: scan, graph: walked, queries: asked, clock: { DispatchTime.now().uptimeNanoseconds })
                for share in try Self.shares(eligible) {
                    let predicate = Self.predicate(share: share, rowCount: matrix.rowCount)
                    let truth = try Self.truth(exact, asked, k, predicate)
                    let runner = Runner(queries: asked, truth: truth, predicate: predicate)
                    let plan = planned.planner.decide(k: k, eligible: predicate.eligibleCount).plan
                    sweep.append(
                        try runner.measure(
                            planned, named: "\(share * 100)% \(plan.rawValue)", k: k, efSearch: 0, repeats: repeats))
                    if !json { Self.printRow(sweep[sweep.count - 1]) }
                }
            }
            guard let walked else { continue }
            for ef in try Self.numbers(ef, "--ef") where ef >= k {
                let point = try runner.measure(walked, named: "hnsw", k: k, efSearch: ef, repeats: repeats)
                sweep.append(point)
                if !json { Self.printRow(point) }
            }
        }
        if json { print(try Self.encode(Report(build: built, sweep: sweep))) }
    }

    private func buildGraph(
        _ matrix: FactorMatrix, _ asked: FactorMatrix, k: Int
    ) throws -> (HNSWIndex, Build) {
        var parameters = HNSWParameters(m: m, efConstruction: efConstruction, seed: seed)
        switch links {
        case .own: break
        case .cosine: parameters.linkMetric = .cosine
        case .auto:
            parameters.linkMetric = try HNSWIndex.chooseLinkMetric(
                matrix, metric: metric, parameters, queries: asked, k: k, threads: threads)
        }
        let before = residentBytes()
        let start = DispatchTime.now().uptimeNanoseconds
        let index = try HNSWIndex.build(matrix, metric: metric, parameters, threads: threads)
        let built = Build(
            rows: matrix.rowCount, dimension: matrix.columnCount, metric: metric.rawValue,
            linkMetric: (parameters.linkMetric ?? metric).rawValue, isa: Kernels.isa, m: m,
            efConstruction: efConstruction, threads: threads,
            buildSeconds: Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9,
            graphBytes: index.graphByteCount, residentGrowthBytes: residentBytes() - before, layers: index.layerCount)
        return (index, built)
    }

    private func data() throws -> (FactorMatrix, FactorMatrix) {
        guard let rows else { return shape.make(rows: rowCount ?? 100_000, dimension: dimension, queries: queryCount) }
        guard let queries else { throw ValidationError("--rows needs --queries") }
        let matrix = try VectorFile.matrix(rows, rowsMax: rowCount)
        let asked = try VectorFile.matrix(queries, rowsMax: queryCount)
        guard matrix.columnCount == asked.columnCount else {
            throw ValidationError("rows have \(matrix.columnCount) columns, queries \(asked.columnCount)")
        }
        return (matrix, asked)
    }

    private func trueRows(_ exact: ExactIndex, _ asked: FactorMatrix, _ k: Int) throws -> [[UInt32]] {
        if let truth { return try VectorFile.neighbours(truth) }
        var results: [[ScoredRow]] = []
        try exact.searchBatch(asked, k: k, scratch: SearchScratch(), into: &results)
        return results.map { $0.map(\.row) }
    }

    private func takeTurns(_ built: Build, _ index: HNSWIndex, _ exact: ExactIndex, _ runner: Runner) throws {
        print(try Self.encode(built, pretty: false))
        fflush(nil)
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 2, let k = Int(words[1]) else { throw ValidationError("not a turn: \(line)") }
            let ef = words.count > 2 ? Int(words[2]) ?? k : k
            let point =
                words[0] == "exact"
                ? try runner.measure(exact, named: "exact", k: k, efSearch: 0, repeats: 1, queriesMax: 1000)
                : try runner.measure(index, named: "hnsw", k: k, efSearch: ef, repeats: 1)
            print(try Self.encode(point, pretty: false))
            fflush(nil)
        }
    }

    private static func numbers(_ text: String, _ option: String) throws -> [Int] {
        try text.split(separator: ",").map {
            guard let value = Int($0), value > 0 else { throw ValidationError("\(option): '\($0)' is not a count") }
            return value
        }
    }

    /// Rows drawn evenly, the same for each run.
    private static func predicate(share: Float, rowCount: Int) -> RowPredicate {
        var state: UInt64 = 7
        return RowPredicate(rowCount: rowCount) { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) * 0x1p-24 < share
        }
    }

    private static func truth(
        _ exact: ExactIndex, _ asked: FactorMatrix, _ k: Int, _ predicate: RowPredicate
    ) throws -> [[UInt32]] {
        var results: [[ScoredRow]] = []
        try exact.searchBatch(asked, k: k, where: predicate, scratch: SearchScratch(), into: &results)
        return results.map { $0.map(\.row) }
    }

    private static func shares(_ text: String) throws -> [Float] {
        try text.split(separator: ",").map {
            guard let value = Float($0), value > 0, value <= 1 else {
                throw ValidationError("--confidence: '\($0)' is not above 0 and at most 1")
            }
            return value
        }
    }

    private static func printRow(_ point: Measurement) {
        print(
            String(
                format:
                    "%@ k=%-4d ef=%-5d recall %.4f  %9.0f queries/s  %9.0f per CPU second  p50 %7.1f us  p99 %7.1f us",
                point.index.padding(toLength: max(6, point.index.count), withPad: " ", startingAt: 0), point.k,
                point.efSearch, point.recall,
                point.qps, point.cpuQPS, point.p50, point.p99))
    }

    private static func encode(_ value: some Encodable, pretty: Bool = true) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = pretty ? [.prettyPrinted, .sortedKeys] : [.sortedKeys]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// What was built, and at what cost.
struct Build: Codable {
    var rows: Int
    var dimension: Int
    var metric: String
    var linkMetric: String
    var isa: String
    var m: Int
    var efConstruction: Int
    var threads: Int
    var buildSeconds: Double
    var graphBytes: Int
    var residentGrowthBytes: Int
    var layers: Int

    func printTable() {
        print(
            "\(rows) rows x \(dimension), \(metric), links by \(linkMetric), kernels \(isa), m \(m), efConstruction \(efConstruction)"
        )
        print(
            String(
                format: "built in %.2f s on %d threads: graph %.1f MB in %d layers, resident memory grew by %.1f MB",
                buildSeconds, threads, Double(graphBytes) / 1e6, layers, Double(residentGrowthBytes) / 1e6))
    }
}

enum Links: String, ExpressibleByArgument {
    case own, cosine, auto
}

struct Report: Codable {
    /// Of the graph, where one was asked for.
    var build: Build?
    var sweep: [Measurement]
}

extension SimilarityMetric: ExpressibleByArgument {}
