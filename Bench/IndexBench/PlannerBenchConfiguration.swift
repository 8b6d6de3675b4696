import NearestNeighbors
import VectorMath

/// The grid on which the planner is judged.
package struct PlannerBenchConfiguration: Sendable {
    /// Rows and queries from files or a bundle; nil: they are made, for each shape, dimension and count.
    package var source: IndexBenchConfiguration.Source?
    /// Of made data. The first shape, dimension and metric are the base; the others are tried one at a time, unless
    /// `isCrossed`.
    package var shapes: [SyntheticShape] = [.hubs, .unit, .noise]
    package var dimensions = [64, 16, 128]
    package var metrics: [SimilarityMetric] = [.innerProduct, .cosine, .l2]
    /// Of made data, rows to make; of other data, each is a number of rows to take at most.
    package var rowCounts = [2000, 20_000, 100_000]
    package var isCrossed = false
    package var ks = [1, 10, 30, 100, 300, 1000]
    /// Shares of the rows that a filter leaves; 1: no filter.
    package var shares: [Float] = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001, 0.0001]
    package var recallMin = SearchPlanner.Calibration().recallMin
    /// Rounds of a cell, before any that noise calls for.
    package var repeats = 2
    package var links = IndexBenchConfiguration.Links.auto
    package var seed: UInt64 = 1
    package var buildThreads = 2

    package init() {}

    /// A chosen plan may take so many times the best plan's time.
    package static let ratioMax = 1.25
    /// Or so many microseconds more: below that, calls cost more than any choice.
    package static let slackMicroseconds = 2.0

    /// - Throws: The first setting that cannot be, before anything is read.
    package func validate() throws(IndexBenchError) {
        func check(_ isAllowed: Bool, _ message: String) throws(IndexBenchError) {
            if !isAllowed { throw IndexBenchError(message) }
        }
        try check(
            !rowCounts.isEmpty && rowCounts.allSatisfy { (2...10_000_000).contains($0) },
            "--row-count: counts from 2 to 10000000 are wanted")
        try check(
            !dimensions.isEmpty && dimensions.allSatisfy { (1...VectorFile.columnsMax).contains($0) },
            "--dimension: counts from 1 to \(VectorFile.columnsMax) are wanted")
        try check(
            !ks.isEmpty && ks.allSatisfy { (1...100_000).contains($0) }, "--k: counts from 1 to 100000 are wanted")
        try check(
            !shares.isEmpty && shares.allSatisfy { $0 > 0 && $0 <= 1 },
            "--eligible: shares above 0 and at most 1 are wanted")
        try check(!shapes.isEmpty, "--shape names none")
        try check(!metrics.isEmpty, "--metric names none")
        try check(
            recallMin > 0 && recallMin <= 1, "--recall-min: a share above 0 and at most 1 is wanted")
        try check((1...100).contains(repeats), "--repeats is \(repeats); allowed: 1 to 100")
        try check((1...1024).contains(buildThreads), "--threads is \(buildThreads); allowed: 1 to 1024")
    }

    /// What is indexed and searched, one after the other.
    func dataSets() -> [IndexBenchConfiguration] {
        var sets: [IndexBenchConfiguration] = []
        for rowCount in rowCounts {
            for (i, metric) in metrics.enumerated() {
                if let source {
                    sets.append(dataSet(source, rowCount, metric))
                    continue
                }
                for (j, shape) in shapes.enumerated() {
                    for (l, dimension) in dimensions.enumerated() {
                        let others = [i, j, l].count { $0 > 0 }
                        guard isCrossed || others <= 1 else { continue }
                        sets.append(dataSet(.made(shape, dimension: dimension), rowCount, metric))
                    }
                }
            }
        }
        return sets
    }

    private func dataSet(
        _ source: IndexBenchConfiguration.Source, _ rowCount: Int, _ metric: SimilarityMetric
    ) -> IndexBenchConfiguration {
        var configuration = IndexBenchConfiguration()
        configuration.source = source
        configuration.rowsMax = rowCount
        configuration.queriesMax = SearchPlanner.Calibration.queriesMax + PlannerTrial.queriesMax
        configuration.metric = metric
        return configuration
    }
}
