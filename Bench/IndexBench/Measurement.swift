import Foundation
import NearestNeighbors
import VectorMath

/// One point of a sweep.
struct Measurement: Codable {
    var index: String
    var k: Int
    /// 0 for the exact scan.
    var efSearch: Int
    var recall: Double
    /// Queries per second on one thread; the median of the repeats.
    var qps: Double
    /// The same per second of processor time: what an idle machine would give when others use this one.
    var cpuQPS: Double
    /// Microseconds per query.
    var p50: Double
    var p99: Double
}

/// Runs all queries, one after the other, on the calling thread.
struct Runner {
    let queries: FactorMatrix
    /// For each query, the true nearest rows, best first.
    let truth: [[UInt32]]
    var predicate: RowPredicate?
    let scratch = SearchScratch()

    init(queries: FactorMatrix, truth: [[UInt32]], predicate: RowPredicate? = nil) {
        self.queries = queries
        self.truth = truth
        self.predicate = predicate
    }

    /// - Parameter queriesMax: Queries to ask; the exact scan needs fewer for a steady figure.
    func measure(
        _ index: any NeighborIndex, named name: String, k: Int, efSearch: Int, repeats: Int, queriesMax: Int? = nil
    ) throws -> Measurement {
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
            let cpuStart = threadCPUSeconds()
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
            cpuRates.append(Double(count) / (threadCPUSeconds() - cpuStart))
        }
        nanoseconds.sort()
        return Measurement(
            index: name, k: k, efSearch: efSearch, recall: recall(answers, k), qps: rates.sorted()[rates.count / 2],
            cpuQPS: cpuRates.sorted()[cpuRates.count / 2],
            p50: Double(nanoseconds[count / 2]) / 1000, p99: Double(nanoseconds[count * 99 / 100]) / 1000)
    }

    /// The same with `count` queries under way at a time; p50 and p99 are of a whole batch.
    func measureTogether(_ index: ScanIndex, _ count: Int, k: Int, repeats: Int) throws -> Measurement {
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
        nanoseconds.sort()
        return Measurement(
            index: "x\(count)", k: k, efSearch: 0, recall: recall(answers, k), qps: rates.sorted()[rates.count / 2],
            cpuQPS: cpuRates.sorted()[cpuRates.count / 2], p50: Double(nanoseconds[batches / 2]) / 1000,
            p99: Double(nanoseconds[batches * 99 / 100]) / 1000)
    }

    /// The share of the true `k` nearest that were found.
    func recall(_ answers: [[ScoredRow]], _ k: Int) -> Double {
        var found = 0
        var wanted = 0
        for (answer, truth) in zip(answers, truth) {
            let expected = Set(truth.prefix(k))
            wanted += expected.count
            found += answer.prefix(k).count { expected.contains($0.row) }
        }
        return wanted == 0 ? 1 : Double(found) / Double(wanted)
    }
}

/// Processor time of the calling thread.
func threadCPUSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Bytes of this process that are in memory.
func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
        let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages * 4096
}
