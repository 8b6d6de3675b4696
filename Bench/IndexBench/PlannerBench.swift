import Dispatch
import NearestNeighbors
import Retrieval
import VectorMath

/// Judges the planner: for each cell of a grid, what each plan takes, and whether the chosen one is near the best.
package struct PlannerBench {
    private let configuration: PlannerBenchConfiguration

    /// - Throws: `IndexBenchError` for a setting that cannot be.
    package init(_ configuration: PlannerBenchConfiguration) throws {
        try configuration.validate()
        self.configuration = configuration
    }

    /// Measures all cells, and tells of each data set as it is done.
    package func run(_ tell: (String) -> Void = { _ in }) throws -> PlannerReport {
        var report = PlannerReport(recallMin: configuration.recallMin, kernels: Kernels.isa)
        for set in configuration.dataSets() {
            let start = DispatchTime.now().uptimeNanoseconds
            let (cells, calibration) = try measure(set)
            report.cells += cells
            let held = cells.count { $0.holds }
            let name = cells.first.map { "\($0.data), \($0.rows) x \($0.dimension), \($0.metric)" } ?? "no cell"
            let spent = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            tell(
                "\(name): \(held) of \(cells.count) cells hold (calibrated in "
                    + "\(PlannerReport.number(calibration)) ms, all in \(PlannerReport.number(spent)) s)")
        }
        return report
    }

    /// - Returns: The cells of one data set, and the milliseconds of the calibration.
    private func measure(_ set: IndexBenchConfiguration) throws -> ([PlannerCell], Double) {
        let (name, rows, asked) = try IndexBenchData.vectors(set)
        guard rows.columnCount == asked.columnCount else {
            throw IndexBenchError("\(name): rows have \(rows.columnCount) columns, queries \(asked.columnCount)")
        }
        guard asked.rowCount > 1 else { throw IndexBenchError("\(name): at least 2 queries are wanted") }
        // The queries measured are others than those of the calibration.
        let learned = min(SearchPlanner.Calibration.queriesMax, asked.rowCount / 2)
        let places = Set((0..<learned).map { $0 * asked.rowCount / learned })
        let (calibrating, queries) = (
            Self.rows(asked) { places.contains($0) }, Self.rows(asked) { !places.contains($0) }
        )
        var parameters = HNSWParameters(seed: configuration.seed)
        switch configuration.links {
        case .own: break
        case .cosine: parameters.linkMetric = .cosine
        case .auto:
            parameters.linkMetric = try HNSWIndex.chooseLinkMetric(
                rows, metric: set.metric, parameters, queries: calibrating, k: 100,
                threads: configuration.buildThreads)
        }
        let scan = try ScanIndex(rows, metric: set.metric, threads: configuration.buildThreads)
        let graph = try HNSWIndex.build(rows, metric: set.metric, parameters, threads: configuration.buildThreads)
        var calibration = SearchPlanner.Calibration()
        calibration.recallMin = configuration.recallMin
        calibration.keepsGraph = true
        let start = ThreadClock.nanoseconds()
        let index = try PlannedIndex(
            scan: scan, graph: graph, queries: calibrating, calibration: calibration,
            clock: ThreadClock.nanoseconds)
        let milliseconds = Double(ThreadClock.nanoseconds() - start) / 1e6

        let exact = try ExactIndex(rows, metric: set.metric)
        let norms = (0..<rows.rowCount).map { rows.row($0).reduce(0) { $0 + $1 * $1 }.squareRoot() }
        let ks = configuration.ks.filter { $0 <= rows.rowCount }
        var cells: [PlannerCell] = []
        for share in configuration.shares where share == 1 || Float(rows.rowCount) * share >= 1 {
            let predicate = share == 1 ? nil : IndexSweep.predicate(share: share, rowCount: rows.rowCount)
            let trial = PlannerTrial(
                index: index, queries: queries, norms: norms, predicate: predicate,
                truth: try IndexBenchData.truth(exact, queries, ks.max() ?? 1, where: predicate),
                recallMin: configuration.recallMin, repeats: configuration.repeats)
            for k in ks {
                cells.append(
                    PlannerCell(
                        data: name, rows: rows.rowCount, dimension: rows.columnCount, metric: set.metric.rawValue,
                        k: k, share: share, eligible: predicate?.eligibleCount ?? rows.rowCount,
                        plans: try trial.measure(k: k)))
            }
        }
        return (cells, milliseconds)
    }

    private static func rows(_ matrix: FactorMatrix, where isWanted: (Int) -> Bool) -> FactorMatrix {
        let wanted = (0..<matrix.rowCount).filter(isWanted)
        return FactorMatrix(rowCount: wanted.count, columnCount: matrix.columnCount) { row, target in
            _ = target.update(fromContentsOf: matrix.row(wanted[row]))
        }
    }
}
