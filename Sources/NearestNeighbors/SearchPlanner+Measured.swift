import VectorMath
import Vocabulary

extension SearchPlanner {
    /// What a load can spend on measuring, and what it asks for.
    package struct Calibration: Sendable, Equatable {
        package var mode = Mode.auto
        /// Recall that a walk must reach to be chosen.
        package var recallMin = 0.98
        package var efSearch = 200
        package var queriesMax = 24
        /// Widths that are measured, as far as there are rows.
        package var widths = [10, 100, 400, 1600]

        package init() {}
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
        let count = min(calibration.queriesMax, queries.rowCount)
        let scratch = SearchScratch()
        // Half a nanosecond a row, where there are no users to measure with.
        let unmeasured = Double(rowCount) / 2
        var planner = SearchPlanner(
            mode: calibration.mode, rowCount: rowCount,
            points: widths.map { Point(k: $0, scanNanoseconds: unmeasured) },
            hasGraph: graph != nil, efSearch: calibration.efSearch)
        guard count > 0 else { return planner }

        var results: [ScoredRow] = []
        for (index, k) in widths.enumerated() {
            // Many rows of few queries tell the recall as well.
            let count = k <= 100 ? count : min(count, 8)
            var times: [UInt64] = []
            var truth: [Set<UInt32>] = []
            for query in 0..<count {
                let start = clock()
                try scan.search(queries.row(query), k: k, scratch: scratch, into: &results)
                times.append(clock() &- start)
                truth.append(Set(results.lazy.map(\.row)))
            }
            planner.points[index].scanNanoseconds = Double(median(times))
            // A mode that forces its way needs no price of the other.
            guard let graph, calibration.mode == .auto else { continue }
            var efSearch = max(32, k + k / 4)
            while efSearch <= min(4096, rowCount) {
                var walkTimes: [UInt64] = []
                var found = 0
                for query in 0..<count {
                    let start = clock()
                    try graph.walk(queries.row(query), k: k, efSearch: efSearch, scratch: scratch, into: &results)
                    walkTimes.append(clock() &- start)
                    found += results.lazy.filter { truth[query].contains($0.row) }.count
                }
                let nanoseconds = Double(median(walkTimes))
                if nanoseconds >= planner.points[index].scanNanoseconds { break }
                let recall = Double(found) / Double(max(1, truth.reduce(0) { $0 + $1.count }))
                if recall >= calibration.recallMin {
                    planner.points[index].efSearch = efSearch
                    planner.points[index].walkNanoseconds = nanoseconds
                    planner.points[index].walkRecall = recall
                    break
                }
                efSearch *= 2
            }
        }
        try planner.measureFilters(scan, queries, count, scratch, clock)
        return planner
    }

    /// What scans and look-ups cost where only some rows are eligible.
    private mutating func measureFilters(
        _ scan: ScanIndex, _ queries: FactorMatrix, _ count: Int, _ scratch: SearchScratch, _ clock: () -> UInt64
    ) throws(SearchError) {
        guard rowCount >= 4096 else { return }
        var results: [ScoredRow] = []
        func measure(every step: Int, _ plan: SearchPlan = .lookUp, k: Int = 10) throws(SearchError) -> (
            eligible: Int, nanoseconds: Double
        ) {
            let predicate = RowPredicate(rowCount: rowCount) { $0 % step == 0 }
            var times: [UInt64] = []
            for query in 0..<min(count, 8) {
                let start = clock()
                try scan.search(
                    queries.row(query), k: k, where: predicate, plan: plan, scratch: scratch, into: &results)
                times.append(clock() &- start)
            }
            return (predicate.eligibleCount, Double(Self.median(times)))
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

    private static func median(_ values: [UInt64]) -> UInt64 { values.sorted()[values.count / 2] }
}
