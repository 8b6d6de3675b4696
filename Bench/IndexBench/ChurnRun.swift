import Foundation
import NearestNeighbors
import Synchronization
import VectorMath

/// Changes an index by one thread while others search, and measures both, and what is found.
package struct ChurnRun {
    private let configuration: ChurnConfiguration
    private let queries: FactorMatrix
    private var rows: ChurnRows
    private var report: ChurnReport

    /// Makes the data.
    package init(_ configuration: ChurnConfiguration) throws(IndexBenchError) {
        try configuration.validate()
        self.configuration = configuration
        // Two changes of three bring a vector; a vector comes again only when most rows have changed several times.
        let pool = configuration.rows + min(configuration.operations, 8 * configuration.rows)
        let made = configuration.shape.make(
            rows: pool, dimension: configuration.dimension, queries: configuration.queries)
        queries = made.queries
        rows = ChurnRows(
            pool: made.rows, rows: configuration.rows, capacity: configuration.capacity, seed: configuration.seed)
        report = ChurnReport(
            data:
                "made rows (\(configuration.shape.rawValue)): \(configuration.rows) x \(configuration.dimension), "
                + "\(configuration.metric.rawValue), links by \((configuration.linkMetric ?? configuration.metric).rawValue), "
                + "m \(configuration.m), efConstruction \(configuration.efConstruction), "
                + "\(configuration.operations) changes, tombstone ratio \(configuration.tombstoneRatio)",
            kernels: Kernels.isa, seed: configuration.seed, k: configuration.k, efSearch: configuration.efSearch,
            readers: configuration.readers)
    }

    /// - Parameter tell: Told of each moment.
    package mutating func run(_ tell: (ChurnReport.Moment) -> Void = { _ in }) throws -> ChurnReport {
        let start = nanosecondsNow()
        let built = try build()
        report.buildSeconds = Double(nanosecondsNow() - start) / 1e9
        let before = try truth()
        report.searches.append(try measure(built.index, "built, quiet", before.answers))
        let index = try MutableIndex(
            built.index, capacity: configuration.capacity, tombstoneRatio: configuration.tombstoneRatio)
        report.searches.append(try measure(index, "mutable, quiet", before.answers))

        let readers = ChurnReaders(index, queries, configuration)
        try change(index, readers, tell)
        report.searches.append(try readers.finish())

        let after = try truth()
        report.searches.append(try measure(index, "mutable, quiet again", after.answers))
        let fresh = try build()
        report.searches.append(try measure(fresh.index, "built anew", after.answers, numbers: fresh.numbers))
        let sealStart = nanosecondsNow()
        let sealed = try index.sealed()
        report.sealSeconds = Double(nanosecondsNow() - sealStart) / 1e9
        report.searches.append(try measure(sealed.index, "mutable, sealed", after.answers, numbers: sealed.rows))
        return report
    }

    /// A fresh graph over the rows there are.
    private func build() throws -> (index: HNSWIndex, numbers: [UInt32]) {
        let (matrix, numbers) = rows.matrix()
        let index = try HNSWIndex.build(
            matrix, metric: configuration.metric, configuration.parameters, threads: configuration.buildThreads)
        return (index, numbers)
    }

    /// Makes all changes, and stops at each moment to measure while the readers go on.
    private mutating func change(
        _ index: MutableIndex, _ readers: ChurnReaders, _ tell: (ChurnReport.Moment) -> Void
    ) throws {
        var nanoseconds = [[UInt32]](repeating: [], count: ChurnRows.Change.allCases.count)
        for moment in 1...configuration.moments {
            let end = configuration.operations * moment / configuration.moments
            readers.isRecording = true
            let start = nanosecondsNow()
            for _ in configuration.operations * (moment - 1) / configuration.moments..<end {
                let (change, row, vector) = rows.next()
                let begun = nanosecondsNow()
                switch change {
                case .insert: try index.insert(rows.pool.row(vector), row: row)
                case .update: try index.update(rows.pool.row(vector), row: row)
                case .delete: try index.delete(row: row)
                }
                nanoseconds[change.rawValue].append(UInt32(clamping: nanosecondsNow() - begun))
            }
            report.churnSeconds += Double(nanosecondsNow() - start) / 1e9
            readers.isRecording = false
            let statistics = index.statistics
            let recall = try measure(index, "", try truth().answers).recall ?? 0
            let point = ChurnReport.Moment(
                changes: end, rows: statistics.rows, recall: recall, usedSlots: statistics.usedSlots,
                deadSlots: statistics.deadSlots, megabytes: Double(statistics.byteCount) / 1e6,
                repairs: statistics.repairs, relinkedNodes: statistics.relinkedNodes)
            report.moments.append(point)
            tell(point)
        }
        for change in ChurnRows.Change.allCases {
            let times = nanoseconds[change.rawValue].sorted()
            let total = times.reduce(0.0) { $0 + Double($1) }
            report.changes.append(
                .init(
                    kind: change.name, count: times.count, perSecond: Double(times.count) / max(total, 1) * 1e9,
                    p50: microseconds(times, 0.5), p99: microseconds(times, 0.99), longest: microseconds(times, 1)))
        }
    }

    /// Of each query, the rows (by their numbers) that are truly nearest now.
    private func truth() throws -> (answers: [Set<UInt32>], numbers: [UInt32]) {
        let (matrix, numbers) = rows.matrix()
        let exact = try ExactIndex(matrix, metric: configuration.metric)
        var found: [[ScoredRow]] = []
        try exact.searchBatch(queries, k: configuration.k, scratch: SearchScratch(), into: &found)
        return (found.map { Set($0.map { numbers[Int($0.row)] }) }, numbers)
    }

    /// Asks every query twice, on this thread; the second time counts.
    ///
    /// - Parameter numbers: Of each row of the index; nil where they are the same.
    private func measure(
        _ index: any NeighborIndex, _ name: String, _ truth: [Set<UInt32>], numbers: [UInt32]? = nil
    ) throws -> ChurnReport.Searches {
        let scratch = SearchScratch()
        var results: [ScoredRow] = []
        var nanoseconds: [UInt32] = []
        var hits = 0
        for round in 0..<2 {
            nanoseconds.removeAll(keepingCapacity: true)
            for query in 0..<queries.rowCount {
                let begun = nanosecondsNow()
                try index.search(
                    queries.row(query), k: configuration.k, efSearch: configuration.efSearch, where: nil,
                    scratch: scratch, into: &results)
                nanoseconds.append(UInt32(clamping: nanosecondsNow() - begun))
                if round == 0 {
                    hits += results.count { truth[query].contains(numbers?[Int($0.row)] ?? $0.row) }
                }
            }
        }
        return Self.searches(
            name, nanoseconds, recall: Double(hits) / Double(max(1, truth.reduce(0) { $0 + $1.count })))
    }

    static func searches(_ name: String, _ nanoseconds: [UInt32], recall: Double?) -> ChurnReport.Searches {
        let times = nanoseconds.sorted()
        let total = times.reduce(0.0) { $0 + Double($1) }
        return .init(
            name: name, perSecond: Double(times.count) / max(total, 1) * 1e9, p50: microseconds(times, 0.5),
            p99: microseconds(times, 0.99), recall: recall)
    }
}

/// Threads that search all the time.
private final class ChurnReaders: Sendable {
    private let isDone = Atomic<Bool>(false)
    private let recording = Atomic<Bool>(false)
    private let group = DispatchGroup()
    private let times = Mutex<[UInt32]>([])
    private let failure = Mutex<String?>(nil)

    init(_ index: MutableIndex, _ queries: FactorMatrix, _ configuration: ChurnConfiguration) {
        for reader in 0..<configuration.readers {
            group.enter()
            Thread.detachNewThread { [self] in
                search(index, queries, configuration, reader)
                group.leave()
            }
        }
    }

    /// Whether the times of searches count.
    var isRecording: Bool {
        get { recording.load(ordering: .relaxed) }
        set { recording.store(newValue, ordering: .relaxed) }
    }

    private func search(
        _ index: MutableIndex, _ queries: FactorMatrix, _ configuration: ChurnConfiguration, _ reader: Int
    ) {
        let scratch = SearchScratch()
        var results: [ScoredRow] = []
        var nanoseconds: [UInt32] = []
        var query = reader * 97
        do {
            while !isDone.load(ordering: .relaxed) {
                query = (query + 1) % queries.rowCount
                let begun = nanosecondsNow()
                try index.search(
                    queries.row(query), k: configuration.k, efSearch: configuration.efSearch, scratch: scratch,
                    into: &results)
                if isRecording { nanoseconds.append(UInt32(clamping: nanosecondsNow() - begun)) }
            }
        } catch {
            failure.withLock { $0 = "a search failed: \(error)" }
        }
        times.withLock { [nanoseconds] in $0 += nanoseconds }
    }

    /// Ends the threads.
    func finish() throws -> ChurnReport.Searches {
        isDone.store(true, ordering: .relaxed)
        group.wait()
        if let text = failure.withLock({ $0 }) { throw IndexBenchError(text) }
        return ChurnRun.searches("mutable, during changes", times.withLock { $0 }, recall: nil)
    }
}

private func nanosecondsNow() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

private func microseconds(_ sorted: [UInt32], _ share: Double) -> Double {
    sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1000
}
