import VectorMath
import Vocabulary

extension SearchPlanner {
    /// What a load can spend on measuring, and what it asks for.
    package struct Calibration: Sendable, Equatable {
        package var mode = Mode.auto
        /// Recall that a search which is not exact must reach to be chosen: of all neighbours, and under inner product of
        /// those fifth of them that are shortest.
        package var recallMin = 0.999
        package var efSearch = 200
        /// Keeps a graph that no search would walk, to measure it.
        package var keepsGraph = false
        /// Widths that are measured, as far as there are rows.
        package var widths = [10, 100, 400, 1600]

        package init() {}

        /// Queries that are worth loading.
        package static let queriesMax = 64

        /// Queries of one width: narrow searches are quick, and each tells little of the recall.
        func queries(k: Int) -> Int { k <= 10 ? 64 : k <= 100 ? 24 : k <= 400 ? 8 : 4 }
    }

    /// Measures the ways to search `scan` and `graph` with `queries`, one thread: some milliseconds for 100 000 rows.
    ///
    /// - Parameter clock: Nanoseconds.
    static func measured(
        _ scan: ScanIndex, _ graph: HNSWIndex?, queries: FactorMatrix, _ calibration: Calibration,
        clock: () -> UInt64
    ) throws(SearchError) -> SearchPlanner {
        let rowCount = scan.rowCount
        var widths = calibration.widths.filter { $0 < rowCount }
        if widths.isEmpty { widths = [max(1, min(rowCount, calibration.widths.first ?? 10))] }
        // Half a nanosecond a row, where there are no users to measure with.
        let unmeasured = Double(rowCount) / 2
        var planner = SearchPlanner(
            mode: calibration.mode, rowCount: rowCount,
            points: widths.map { Point(k: $0, scanNanoseconds: unmeasured) },
            hasGraph: graph != nil, efSearch: calibration.efSearch)
        guard queries.rowCount > 0 else { return planner }

        let scratch = SearchScratch()
        for (index, k) in widths.enumerated() {
            let sample = try SearchSample(
                scan, queries, count: min(calibration.queries(k: k), queries.rowCount), k: k, scratch, clock)
            planner.points[index].scanNanoseconds = sample.nanoseconds
            // A mode that forces its way needs no price of the others.
            guard calibration.mode == .auto, calibration.recallMin < 1 else { continue }
            try planner.measureApproximation(index, sample, scan, calibration, scratch, clock)
            if let graph { try planner.measureWalk(index, sample, graph, calibration, scratch, clock) }
        }
        try planner.measureFilters(scan, queries, scratch, clock)
        return planner
    }

    /// What a scan with the confidence that the sample's neighbours need costs.
    private mutating func measureApproximation(
        _ index: Int, _ sample: SearchSample, _ scan: ScanIndex, _ calibration: Calibration, _ scratch: SearchScratch,
        _ clock: () -> UInt64
    ) throws(SearchError) {
        var confidence = sample.confidence(reaching: calibration.recallMin, scan)
        // The neighbours of other queries need a little more or less; what that does is looked at.
        for _ in 0..<3 where confidence < 0.97 {
            let rough = scan.with(confidence: confidence)
            let trial = try sample.measure(clock) { query, results throws(SearchError) in
                try rough.search(query, k: sample.k, where: nil, plan: .scan, scratch: scratch, into: &results)
            }
            if trial.recall >= calibration.recallMin {
                points[index].confidence = confidence
                points[index].approximateNanoseconds = trial.nanoseconds
                return
            }
            confidence += 0.05
        }
    }

    /// The least breadth of a walk that reaches the recall and costs less than a scan.
    private mutating func measureWalk(
        _ index: Int, _ sample: SearchSample, _ graph: HNSWIndex, _ calibration: Calibration, _ scratch: SearchScratch,
        _ clock: () -> UInt64
    ) throws(SearchError) {
        let k = sample.k
        let cheapest = points[index].approximateNanoseconds ?? points[index].scanNanoseconds
        var efSearch = max(32, k + k / 4)
        while efSearch <= min(4096, rowCount) {
            let trial = try sample.measure(clock) { query, results throws(SearchError) in
                try graph.walk(query, k: k, efSearch: efSearch, scratch: scratch, into: &results)
            }
            if trial.nanoseconds >= cheapest { return }
            if trial.recall >= calibration.recallMin {
                points[index].efSearch = efSearch
                points[index].walkNanoseconds = trial.nanoseconds
                points[index].walkRecall = trial.recall
                return
            }
            efSearch *= 2
        }
    }

    /// What scans and look-ups cost where only some rows are eligible.
    private mutating func measureFilters(
        _ scan: ScanIndex, _ queries: FactorMatrix, _ scratch: SearchScratch, _ clock: () -> UInt64
    ) throws(SearchError) {
        guard rowCount >= 4096 else { return }
        var results: [ScoredRow] = []
        func measure(every step: Int, _ plan: SearchPlan = .lookUp, k: Int = 10) throws(SearchError) -> (
            eligible: Int, nanoseconds: Double
        ) {
            let predicate = RowPredicate(rowCount: rowCount) { $0 % step == 0 }
            var times: [UInt64] = []
            var spent: UInt64 = 0
            for query in 0..<min(queries.rowCount, 8) where query < 2 || spent < SearchSample.budgetNanoseconds / 2 {
                let start = clock()
                try scan.search(
                    queries.row(query), k: k, where: predicate, plan: plan, scratch: scratch, into: &results)
                times.append(clock() &- start)
                spent &+= times[query]
            }
            return (predicate.eligibleCount, SearchSample.median(times))
        }
        for index in points.indices where points[index].k * 8 <= rowCount {
            let eighth = try measure(every: 8, .scan, k: points[index].k)
            points[index].filteredScanNanoseconds = max(points[index].scanNanoseconds, eighth.nanoseconds)
        }
        // Rows far from each other, as a filter's rows are.
        let few = try measure(every: max(257, rowCount / 128))
        let many = try measure(every: 61)
        let perRow = (many.nanoseconds - few.nanoseconds) / Double(max(1, many.eligible - few.eligible))
        nanosecondsPerEligibleRow = max(0.5, perRow)
        nanosecondsPerWord = max(
            0.1, (few.nanoseconds - nanosecondsPerEligibleRow * Double(few.eligible)) / Double(rowCount / 64))
    }
}
