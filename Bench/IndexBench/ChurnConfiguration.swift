import NearestNeighbors
import VectorMath

/// How a mutable index is put to the test: as many random inserts, updates and deletes, with searches beside.
package struct ChurnConfiguration: Sendable {
    package var shape = SyntheticShape.hubs
    /// Rows at the start; about as many stay.
    package var rows = 100_000
    package var dimension = 64
    package var metric = SimilarityMetric.innerProduct
    /// Nil: the metric.
    package var linkMetric: SimilarityMetric?
    package var operations = 1_000_000
    package var k = 10
    package var efSearch = 64
    package var queries = 1000
    package var m = 16
    package var efConstruction = 200
    package var seed: UInt64 = 1
    /// Threads that search beside the changes.
    package var readers = 1
    /// Threads that build.
    package var buildThreads = 2
    package var tombstoneRatio = 0.1
    /// Times at which recall is measured during the changes.
    package var moments = 5

    package init() {}

    /// Rows that there may be at a time.
    var capacity: Int { rows + max(rows / 10, 16) }

    var parameters: HNSWParameters {
        HNSWParameters(m: m, efConstruction: efConstruction, seed: seed, linkMetric: linkMetric)
    }

    var index: MutableIndexConfiguration {
        MutableIndexConfiguration(
            dimension: dimension, metric: metric, parameters, capacity: capacity, tombstoneRatio: tombstoneRatio)
    }

    /// - Throws: The first setting that cannot be.
    package func validate() throws(IndexBenchError) {
        func check(_ value: Int, _ range: ClosedRange<Int>, _ name: String) throws(IndexBenchError) {
            guard range.contains(value) else {
                throw IndexBenchError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check(rows, 10...100_000_000, "--rows")
        try check(operations, 1...1_000_000_000, "--operations")
        try check(k, 1...rows / 2, "--k")
        try check(efSearch, 1...1_000_000, "--ef")
        try check(queries, 1...1_000_000, "--query-count")
        try check(readers, 0...1024, "--readers")
        try check(buildThreads, 1...1024, "--threads")
        try check(moments, 1...min(1000, operations), "--moments")
        do { try index.validate() } catch { throw IndexBenchError("\(error)") }
    }
}
