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
        package var widths = [1, 10, 30, 100, 300, 1000]

        package init() {}

        /// Queries that are worth loading.
        package static let queriesMax = 256

        /// Queries of one width: narrow searches are quick, and each tells little of the recall.
        func queries(k: Int) -> Int { k <= 10 ? 256 : k <= 30 ? 64 : k <= 100 ? 48 : k <= 300 ? 24 : 16 }
    }

    /// Measures the ways to search `scan` and `graph` with `queries`, one thread: some tens of milliseconds for 100 000
    /// rows, as times are budgeted not much more for more.
    ///
    /// - Parameter clock: Nanoseconds; best of the thread's own processor time, as a load has company.
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
        planner.graphRows = graph?.graphRows
        guard queries.rowCount > 0 else { return planner }

        let scratch = SearchScratch()
        for (index, k) in widths.enumerated() {
            let sample = try SearchSample(
                scan, queries, count: min(calibration.queries(k: k), queries.rowCount), k: k, scratch, clock)
            planner.points[index].scanNanoseconds = sample.nanoseconds
            planner.points[index].filteredScanNanoseconds = sample.nanoseconds
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
        let limit = sample.nanoseconds * Self.missingShareMax
        func trial(
            _ confidence: Float, reaching recall: Double, queriesMax: Int = .max
        ) throws(SearchError) -> (nanoseconds: Double, recall: Double, reached: Bool) {
            try sample.measure(
                reaching: recall, within: limit, queriesMax: queriesMax, clock
            ) { query, results throws(SearchError) in
                try scan.search(query, k: sample.k, confidence: confidence, scratch: scratch, into: &results)
            }
        }
        // Whether less than what any sample wants would save enough: mostly it does not, and that is told sooner.
        if try trial(Self.confidenceMin, reaching: 0, queriesMax: 8).nanoseconds > limit { return }
        var confidence = sample.confidence(reaching: calibration.recallMin, scan)
        // The neighbours of other queries need a little more or less; what that does is looked at.
        for _ in 0..<3 where confidence < 0.97 {
            let trial = try trial(confidence, reaching: calibration.recallMin)
            if trial.nanoseconds > limit { return }
            if trial.reached {
                points[index].confidence = confidence
                points[index].approximateNanoseconds = trial.nanoseconds
                return
            }
            confidence += 0.05
        }
    }

    private static let confidenceMin: Float = 0.6

    /// The least breadth of a walk that reaches the recall and costs enough less than a scan.
    private mutating func measureWalk(
        _ index: Int, _ sample: SearchSample, _ graph: HNSWIndex, _ calibration: Calibration, _ scratch: SearchScratch,
        _ clock: () -> UInt64
    ) throws(SearchError) {
        let k = sample.k
        let limit = min(
            points[index].approximateNanoseconds ?? .infinity, points[index].scanNanoseconds * Self.missingShareMax)
        var efSearch = max(32, k + k / 4)
        while efSearch <= min(4096, rowCount) {
            let trial = try sample.measure(
                reaching: calibration.recallMin, within: limit, clock
            ) { query, results throws(SearchError) in
                try graph.walk(query, k: k, efSearch: efSearch, scratch: scratch, into: &results)
            }
            if trial.nanoseconds > limit { return }
            if trial.reached {
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
        guard rowCount >= Self.filtersMeasuredMin else { return }
        var results: [ScoredRow] = []
        func measure(_ predicate: RowPredicate, _ plan: SearchPlan, k: Int) throws(SearchError) -> Double {
            var times: [UInt64] = []
            var spent: UInt64 = 0
            for query in 0..<min(queries.rowCount, 8) where query < 4 || spent < SearchSample.budgetNanoseconds / 8 {
                let start = clock()
                try scan.search(
                    queries.row(query), k: k, where: predicate, plan: plan, scratch: scratch, into: &results)
                times.append(clock() &- start)
                spent &+= times[query]
            }
            return SearchSample.typical(times)
        }
        let eighth = drawn(every: 8)
        for index in points.indices where points[index].k * 8 <= rowCount {
            let nanoseconds = try measure(eighth, .scan, k: points[index].k)
            points[index].filteredScanNanoseconds = max(points[index].scanNanoseconds, nanoseconds)
        }
        let (few, half) = (drawn(every: 64), drawn(every: 2))
        let costs = (
            few: try measure(few, .lookUp, k: 1), eighth: try measure(eighth, .lookUp, k: 1),
            half: try measure(half, .lookUp, k: 1)
        )
        func slope(_ a: (Double, RowPredicate), _ b: (Double, RowPredicate)) -> Double {
            (b.0 - a.0) / Double(max(1, b.1.eligibleCount - a.1.eligibleCount))
        }
        nanosecondsPerEligibleRow = max(0.5, slope((costs.few, few), (costs.eighth, eighth)))
        // Rows that no near cache holds cost more each.
        nanosecondsPerDenseRow = max(nanosecondsPerEligibleRow, slope((costs.eighth, eighth), (costs.half, half)))
        nanosecondsPerWord = max(
            0.1, (costs.few - nanosecondsPerEligibleRow * Double(few.eligibleCount)) / Double(max(1, rowCount / 64)))
        let kept = min(300, eighth.eligibleCount)
        nanosecondsPerKeptRow = max(0, (try measure(eighth, .lookUp, k: kept) - costs.eighth) / Double(max(1, kept)))
    }

    /// With fewer rows nothing is worth a choice.
    private static let filtersMeasuredMin = 512

    /// One row in `step`, as no pattern of processors or pages has it.
    private func drawn(every step: UInt32) -> RowPredicate {
        RowPredicate(rowCount: rowCount) { row in
            (UInt32(truncatingIfNeeded: row) &* 2_654_435_769) >> 16 & (step - 1) == 0
        }
    }
}
