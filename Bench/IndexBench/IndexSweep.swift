import Foundation
import NearestNeighbors
import Retrieval
import VectorMath
import Vocabulary

/// Indexes over some rows, and what they answer at which recall: one query after the other, on the calling thread.
package struct IndexSweep {
    package private(set) var header: IndexHeader
    private let configuration: IndexBenchConfiguration
    private let data: IndexBenchData
    private let exact: ExactIndex
    private let scan: ScanIndex?
    /// The graph, as it walks by each of the rows that are measured, and the name of its curve.
    private let graphs: [(name: String, index: HNSWIndex)]
    private var graph: HNSWIndex? { graphs.first?.index }
    private let runner: IndexRunner

    /// Reads the data and builds the indexes.
    ///
    /// - Parameter forTurns: Whether `turn` is called, which wants a graph whatever the configuration says.
    /// - Throws: `IndexBenchError`, or `ArtifactError` for a bundle that is not sound.
    package init(_ configuration: IndexBenchConfiguration, forTurns: Bool = false) throws {
        try configuration.validate()
        self.configuration = configuration
        let data = try IndexBenchData(configuration, kMax: configuration.ks.max() ?? 1)
        self.data = data
        header = IndexHeader(
            data: data.name, rows: data.rows.rowCount, dimension: data.rows.columnCount,
            queries: data.queries.rowCount, metric: configuration.metric.rawValue,
            rowsIn: configuration.rowsIn.rawValue, kernels: Kernels.isa,
            threads: configuration.buildThreads, repeats: configuration.repeats, seed: configuration.seed)
        exact = try ExactIndex(data.rows, metric: configuration.metric)
        let rows = RowMatrix(data.rows, in: configuration.rowsIn, threads: configuration.buildThreads)
        guard rows.precision == configuration.rowsIn else {
            throw IndexBenchError("\(data.name): half precision cannot hold the values; --rows-in f32 can")
        }
        func bytesPerRow(_ bytes: Int) -> Double {
            Double(rows.byteCount + bytes) / Double(max(rows.rowCount, 1))
        }
        if configuration.kinds.contains(.scan) {
            let start = DispatchTime.now().uptimeNanoseconds
            let threads = configuration.buildThreads
            var built = try ScanIndex(data.rows, metric: configuration.metric, threads: threads)
            // As a node does it with the codes of a bundle.
            if rows.precision == .f16 {
                built =
                    try built.scored(by: rows, threads: threads)
                    ?? ScanIndex(rows, metric: configuration.metric, threads: threads)
            }
            header.indexes["scan"] = .init(
                seconds: seconds(since: start), bytes: built.byteCount, bytesPerRow: bytesPerRow(built.byteCount))
            scan = built
        } else {
            scan = nil
        }
        if forTurns || configuration.kinds.contains(.hnsw) {
            var parameters = HNSWParameters(
                m: configuration.m, efConstruction: configuration.efConstruction, seed: configuration.seed)
            switch configuration.links {
            case .own: break
            case .cosine: parameters.linkMetric = .cosine
            case .auto:
                parameters.linkMetric = try HNSWIndex.chooseLinkMetric(
                    data.rows, metric: configuration.metric, parameters, queries: data.queries,
                    k: configuration.ks.max() ?? 10, threads: configuration.buildThreads)
            }
            let start = DispatchTime.now().uptimeNanoseconds
            let built = try HNSWIndex.build(
                data.rows, metric: configuration.metric, parameters, threads: configuration.buildThreads)
            let buildSeconds = seconds(since: start)
            var graphs: [(name: String, index: HNSWIndex)] = []
            for graphRows in configuration.graphRows {
                let start = DispatchTime.now().uptimeNanoseconds
                let graph =
                    rows.precision == .f16
                    ? try built.scored(by: rows, graphRows: graphRows) : built.walking(by: graphRows)
                // Rows in half precision are their own halves.
                let isOwn = rows.precision.rawValue == graphRows.rawValue
                guard graphRows == .auto || graph.graphRows == graphRows || isOwn
                else { throw IndexBenchError("\(data.name): \(graphRows.rawValue) cannot hold the rows of walks") }
                let name = configuration.graphRows.count == 1 ? "hnsw" : "hnsw \(graphRows.rawValue)"
                header.indexes[name] = .init(
                    seconds: buildSeconds + seconds(since: start), bytes: graph.graphByteCount,
                    bytesPerRow: bytesPerRow(graph.graphByteCount), m: parameters.m,
                    efConstruction: parameters.efConstruction,
                    linkMetric: (parameters.linkMetric ?? configuration.metric).rawValue, layers: graph.layerCount,
                    walksBy: graph.graphRows.rawValue, walkRowsSeconds: seconds(since: start))
                graphs.append((name, graph))
            }
            self.graphs = graphs
        } else {
            graphs = []
        }
        let norms = (0..<data.rows.rowCount).map { row in
            data.rows.row(row).reduce(0) { $0 + $1 * $1 }.squareRoot()
        }
        runner = IndexRunner(queries: data.queries, truth: data.truth, norms: norms)
    }

    /// Measures every point, and tells of each as it is there.
    package func run(_ tell: (IndexPoint) -> Void = { _ in }) throws -> IndexReport {
        var report = IndexReport(header: header)
        func add(_ point: IndexPoint) {
            report.points.append(point)
            tell(point)
        }
        var calibration = SearchPlanner.Calibration()
        calibration.recallMin = configuration.recallMin
        let planned = try scan.flatMap { scan in
            try configuration.eligible.isEmpty && configuration.blocked == nil
                ? nil
                : PlannedIndex(
                    scan: scan, graph: graph, queries: data.queries, calibration: calibration,
                    clock: ThreadClock.nanoseconds)
        }
        for k in configuration.ks {
            if configuration.kinds.contains(.exact) { add(try exactPoint(k, repeats: configuration.repeats)) }
            if let scan {
                if configuration.together > 1 {
                    add(
                        try runner.measureTogether(
                            scan, configuration.together, k: k, repeats: configuration.repeats))
                }
                if configuration.split > 1 {
                    add(try runner.measureSplit(scan, configuration.split, k: k, repeats: configuration.repeats))
                }
                for confidence in configuration.confidences {
                    var point = try runner.measure(
                        scan.with(confidence: confidence), named: "scan", k: k, repeats: configuration.repeats)
                    point.confidence = confidence
                    add(point)
                }
            }
            for share in configuration.eligible {
                if let planned { add(try self.point(planned, k, eligible: share)) }
            }
            if let planned, let blocked = configuration.blocked {
                for best in [false, true] {
                    add(
                        try runner.measureBlocked(
                            planned, min(blocked, data.rows.rowCount), best: best, k: k,
                            repeats: configuration.repeats))
                }
            }
            guard configuration.kinds.contains(.hnsw) else { continue }
            for efSearch in configuration.efSearch where efSearch >= k {
                for graph in graphs {
                    add(try point(graph, k, efSearch: efSearch, repeats: configuration.repeats))
                }
            }
        }
        return report
    }

    /// Answers one line, `hnsw K EF` or `exact K`, with one round: for comparisons that take turns.
    package func turn(_ line: String) throws -> IndexPoint {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }.filter { $0 > 0 }
        let kMax = configuration.ks.max() ?? 1
        if numbers.count == words.count - 1, let k = numbers.first, k <= kMax {
            switch (words[0], numbers.count) {
            case ("exact", 1): return try exactPoint(k, repeats: 1)
            case ("hnsw", 2):
                guard let graph = graphs.first else { break }
                return try point(graph, k, efSearch: numbers[1], repeats: 1)
            default: break
            }
        }
        throw IndexBenchError("not a turn: '\(line)'; 'hnsw K EF' and 'exact K' are, with K up to \(kMax) (of --k)")
    }

    /// Fewer queries give a steady figure here.
    private func exactPoint(_ k: Int, repeats: Int) throws -> IndexPoint {
        try runner.measure(exact, named: "exact", k: k, repeats: repeats, queriesMax: 1000)
    }

    private func point(
        _ graph: (name: String, index: HNSWIndex), _ k: Int, efSearch: Int, repeats: Int
    ) throws -> IndexPoint {
        var point = try runner.measure(graph.index, named: graph.name, k: k, efSearch: efSearch, repeats: repeats)
        point.efSearch = efSearch
        return point
    }

    /// A search as the node makes it, under a filter that leaves a share of the rows.
    private func point(_ planned: PlannedIndex, _ k: Int, eligible share: Float) throws -> IndexPoint {
        let predicate = Self.predicate(share: share, rowCount: data.rows.rowCount)
        let runner = IndexRunner(
            queries: data.queries, truth: try IndexBenchData.truth(exact, data.queries, k, where: predicate),
            norms: runner.norms, predicate: predicate)
        let decision = planned.planner.decide(k: k, eligible: predicate.eligibleCount)
        var point = try runner.measure(planned, named: "planned", k: k, repeats: configuration.repeats)
        point.eligible = share
        point.plan = decision.plan.rawValue
        if decision.plan.isWalk { point.efSearch = decision.efSearch }
        if decision.plan == .approximateScan { point.confidence = decision.confidence }
        return point
    }

    /// Rows drawn evenly, the same for each run; at least one.
    static func predicate(share: Float, rowCount: Int) -> RowPredicate {
        var state: UInt64 = 7
        return RowPredicate(rowCount: rowCount) { row in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) * 0x1p-24 < share || row == 0
        }
    }
}

private func seconds(since start: UInt64) -> Double { Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9 }
