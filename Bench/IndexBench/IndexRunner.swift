import Foundation
import NearestNeighbors
import VectorMath

/// Runs all queries, one after the other, on the calling thread.
struct IndexRunner {
    let queries: FactorMatrix
    /// For each query, the true nearest rows, best first.
    let truth: [[UInt32]]
    /// Length of each row.
    let norms: [Float]
    let predicate: RowPredicate?
    private let scratch = SearchScratch()

    init(queries: FactorMatrix, truth: [[UInt32]], norms: [Float], predicate: RowPredicate? = nil) {
        self.queries = queries
        self.truth = truth
        self.norms = norms
        self.predicate = predicate
    }

    /// - Parameter queriesMax: Queries to ask; the exact scan needs fewer for a steady figure.
    func measure(
        _ index: any NeighborIndex, named name: String, k: Int, efSearch: Int = 0, repeats: Int, queriesMax: Int? = nil,
        cpuSeconds: () -> Double = threadCPUSeconds
    ) throws -> IndexPoint {
        let count = min(queries.rowCount, queriesMax ?? queries.rowCount)
        var answers = [[ScoredRow]](repeating: [], count: count)
        var rates: [Double] = []
        var cpuRates: [Double] = []
        var nanoseconds = [UInt64](repeating: 0, count: count)
        // Warm: scratch, result arrays, caches.
        for i in 0..<count {
            try index.search(
                queries.row(i), k: k, efSearch: efSearch, where: predicate, scratch: scratch, into: &answers[i])
        }
        for _ in 0..<max(1, repeats) {
            let cpuStart = cpuSeconds()
            let start = DispatchTime.now().uptimeNanoseconds
            var last = start
            for i in 0..<count {
                try index.search(
                    queries.row(i), k: k, efSearch: efSearch, where: predicate, scratch: scratch, into: &answers[i])
                let now = DispatchTime.now().uptimeNanoseconds
                nanoseconds[i] = now - last
                last = now
            }
            rates.append(Double(count) / Double(last - start) * 1e9)
            cpuRates.append(Double(count) / (cpuSeconds() - cpuStart))
        }
        return point(name, k, answers, rates, cpuRates, nanoseconds)
    }

    /// The same with `threads` threads for each query; processor time is that of all.
    func measureSplit(_ index: ScanIndex, _ threads: Int, k: Int, repeats: Int) throws -> IndexPoint {
        var point = try measure(
            SplitScan(scan: index, threads: threads), named: "scan /\(threads)", k: k, repeats: repeats,
            cpuSeconds: processCPUSeconds)
        point.split = threads
        return point
    }

    /// The same with `count` queries under way at a time; p50 and p99 are of a whole batch.
    func measureTogether(_ index: ScanIndex, _ count: Int, k: Int, repeats: Int) throws -> IndexPoint {
        let batches = max(1, queries.rowCount / count)
        let scans = (0..<count).map { _ in RunningScan(index) }
        var answers = [[ScoredRow]](repeating: [], count: batches * count)
        var rates: [Double] = []
        var cpuRates: [Double] = []
        var nanoseconds = [UInt64](repeating: 0, count: batches)
        for _ in 0...max(1, repeats) {
            let cpuStart = threadCPUSeconds()
            let start = DispatchTime.now().uptimeNanoseconds
            var last = start
            for batch in 0..<batches {
                for i in 0..<count {
                    try index.begin(scans[i], queries.row((batch * count + i) % queries.rowCount), k: k)
                }
                index.finish(scans, scratch)
                for i in 0..<count {
                    answers[batch * count + i].removeAll(keepingCapacity: true)
                    scans[i].drain(into: &answers[batch * count + i])
                }
                let now = DispatchTime.now().uptimeNanoseconds
                nanoseconds[batch] = now - last
                last = now
            }
            rates.append(Double(batches * count) / Double(last - start) * 1e9)
            cpuRates.append(Double(batches * count) / (threadCPUSeconds() - cpuStart))
        }
        var point = point("scan x\(count)", k, answers, rates, cpuRates, nanoseconds)
        point.together = count
        return point
    }

    private func point(
        _ name: String, _ k: Int, _ answers: [[ScoredRow]], _ rates: [Double], _ cpuRates: [Double],
        _ nanoseconds: [UInt64]
    ) -> IndexPoint {
        let (times, last) = (nanoseconds.sorted(), nanoseconds.count - 1)
        let (recall, byNorm) = recall(answers, k)
        return IndexPoint(
            index: name, k: k, recall: recall, recallByNorm: byNorm, qps: rates.sorted()[rates.count / 2],
            cpuQPS: cpuRates.sorted()[cpuRates.count / 2], p50: Double(times[min(last, times.count / 2)]) / 1000,
            p99: Double(times[min(last, times.count * 99 / 100)]) / 1000)
    }

    /// The share of the true `k` nearest that were found: of all, and of each fifth of them by the rows' norms, the
    /// shortest first; nil for a fifth without any, as among rows of one length.
    func recall(_ answers: [[ScoredRow]], _ k: Int) -> (Double, [Double?]) {
        let lengths = zip(answers, truth).flatMap { $1.prefix(k).map { norms[Int($0)] } }.sorted()
        let edges = (1...4).map { Self.quantile(lengths, Double($0) / 5) }
        var found = [Int](repeating: 0, count: 5)
        var wanted = found
        for (answer, truth) in zip(answers, truth) {
            let rows = Set(answer.prefix(k).lazy.map(\.row))
            for row in truth.prefix(k) {
                let fifth = edges.count { $0 <= norms[Int(row)] }
                wanted[fifth] += 1
                if rows.contains(row) { found[fifth] += 1 }
            }
        }
        let total = wanted.reduce(0, +)
        return (
            total == 0 ? 1 : Double(found.reduce(0, +)) / Double(total),
            zip(found, wanted).map { $1 == 0 ? nil : Double($0) / Double($1) }
        )
    }

    /// Between two neighbours of the sorted `values`, as numpy does it.
    private static func quantile(_ values: [Float], _ share: Double) -> Float {
        guard let last = values.last else { return 0 }
        let place = share * Double(values.count - 1)
        let low = Int(place)
        guard low + 1 < values.count else { return last }
        return values[low] + Float(place - Double(low)) * (values[low + 1] - values[low])
    }
}

/// A scan whose searches are read by several threads.
private struct SplitScan: NeighborIndex {
    let scan: ScanIndex
    let threads: Int
    var metric: SimilarityMetric { scan.metric }
    var rowCount: Int { scan.rowCount }
    var dimension: Int { scan.dimension }

    func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, where predicate: RowPredicate?,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        try scan.search(query, k: k, where: predicate, threads: threads, scratch: scratch, into: &results)
    }
}

/// Processor time of all threads.
func processCPUSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Processor time of the calling thread.
func threadCPUSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
