import FactorModels
import NearestNeighbors
import VectorMath

/// Why indexes cannot be measured: which file, bundle or setting is wrong, and how.
package struct IndexBenchError: Error, Equatable, CustomStringConvertible {
    package let message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}

/// What is measured, on which rows, with which queries.
package struct IndexBenchConfiguration: Sendable {
    /// Where rows and queries come from.
    package enum Source: Sendable {
        case files(rows: String, queries: String)
        /// Item factors are the rows, a sample of the user factors the queries; nil takes als where there is one.
        case bundle(String, factors: FactorKind?)
        case made(SyntheticShape, dimension: Int)
    }

    package enum Kind: String, CaseIterable, Sendable {
        case exact, scan, hnsw
    }

    /// What a graph's links are chosen by.
    package enum Links: String, CaseIterable, Sendable {
        /// The metric that is searched by.
        case own
        case cosine
        /// What a pilot with the queries finds better.
        case auto
    }

    package var source = Source.made(.hubs, dimension: 64)
    /// Rows to take at most; of made data, rows to make.
    package var rowsMax: Int?
    package var queriesMax = 10_000
    /// A file of true neighbours; nil: an exact search finds them.
    package var truth: String?
    package var metric = SimilarityMetric.innerProduct
    package var kinds = Kind.allCases
    /// How scan and hnsw hold the rows that they score by.
    package var rowsIn = RowPrecision.f32
    /// What walks read of the rows: the same graph is measured with each.
    package var graphRows = [GraphRows.auto]
    /// Neighbours wanted.
    package var ks = [10, 100]
    package var efSearch = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
    /// Of the scan's bounds; 1 is exact.
    package var confidences: [Float] = [1]
    /// Queries that scan together, measured beside one after the other; 1: none.
    package var together = 1
    /// Threads that read one scan, measured beside a scan by one thread; 1: none.
    package var split = 1
    /// Shares of the rows that a filter leaves, for searches by the planner; none: no planned searches.
    package var eligible: [Float] = []
    /// Recall that the planner asks of searches that are not exact.
    package var recallMin = SearchPlanner.Calibration().recallMin
    /// Rows that a seen set blocks, measured as what it adds to a planned search; nil: not measured.
    package var blocked: Int?
    package var m = 16
    package var efConstruction = 200
    package var links = Links.own
    package var seed: UInt64 = 1
    /// Threads that build.
    package var buildThreads = 2
    /// Rounds; medians are told.
    package var repeats = 3

    package init() {}

    /// Rows of made data unless told.
    static let madeRows = 100_000

    /// - Throws: The first setting that cannot be, before anything is read.
    package func validate() throws(IndexBenchError) {
        func check(_ value: Int, _ range: ClosedRange<Int>, _ name: String) throws(IndexBenchError) {
            guard range.contains(value) else {
                throw IndexBenchError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        if let rowsMax { try check(rowsMax, 1...(1 << 30) - 1, "--row-count") }
        if case .made(_, let dimension) = source { try check(dimension, 1...VectorFile.columnsMax, "--dimension") }
        try check(queriesMax, 1...10_000_000, "--query-count")
        if let blocked { try check(blocked, 1...10_000_000, "--blocked") }
        try check(together, 1...4096, "--together")
        try check(split, 1...17, "--split")
        try check(repeats, 1...1000, "--repeats")
        try check(buildThreads, 1...1024, "--threads")
        guard !kinds.isEmpty else { throw IndexBenchError("--indexes names none") }
        guard !graphRows.isEmpty, Set(graphRows).count == graphRows.count else {
            throw IndexBenchError("--graph-rows: different ones of auto, rows, f16, int8 are wanted")
        }
        guard !ks.isEmpty, ks.allSatisfy({ $0 > 0 }) else { throw IndexBenchError("--k: counts from 1 are wanted") }
        guard !efSearch.isEmpty, efSearch.allSatisfy({ $0 > 0 && $0 <= 1_000_000 }) else {
            throw IndexBenchError("--ef: counts from 1 to 1000000 are wanted")
        }
        for (values, name) in [(confidences, "--confidence"), (eligible, "--eligible")] {
            guard values.allSatisfy({ $0 > 0 && $0 <= 1 }) else {
                throw IndexBenchError("\(name): shares above 0 and at most 1 are wanted")
            }
        }
        guard recallMin > 0, recallMin <= 1 else {
            throw IndexBenchError("--recall-min: a share above 0 and at most 1 is wanted")
        }
        if kinds.contains(.hnsw), let k = ks.first(where: { k in !efSearch.contains { $0 >= k } }) {
            throw IndexBenchError("--ef has no value of \(k) or more, as k \(k) wants")
        }
        if !kinds.contains(.scan) {
            if together > 1 { throw IndexBenchError("--together has no effect without scan in --indexes") }
            if split > 1 { throw IndexBenchError("--split has no effect without scan in --indexes") }
            if !eligible.isEmpty { throw IndexBenchError("--eligible has no effect without scan in --indexes") }
            if blocked != nil { throw IndexBenchError("--blocked has no effect without scan in --indexes") }
        }
        do { try HNSWParameters(m: m, efConstruction: efConstruction).validate() } catch {
            throw IndexBenchError("\(error)")
        }
    }
}
