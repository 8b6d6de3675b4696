import Retrieval
import Synchronization
import TestSupport
import Testing
import VectorMath
import Vocabulary

@testable import NearestNeighbors
@testable import Serving

@Suite(.ownThreads) struct RecallSamplerTests {
    /// A hand-driven clock, and the closures that wait to be run.
    final class Bench: Sendable {
        let now = Mutex<UInt64>(1_000_000)
        let waiting = Mutex<[@Sendable () -> Void]>([])
        let recorded = Mutex<[(SearchPlan, Int, Int)]>([])

        func sampler(share: Double, checkTakes nanoseconds: UInt64 = 0) -> RecallSampler {
            let reads = Mutex(0)
            return RecallSampler(
                share: share,
                clock: { [self] in
                    // A check reads the clock before and after.
                    let step: UInt64 = reads.withLock {
                        $0 += 1
                        return nanoseconds
                    }
                    return now.withLock {
                        $0 += step
                        return $0
                    }
                }, run: { [self] check in waiting.withLock { $0.append(check) } },
                record: { [self] plan, found, expected in recorded.withLock { $0.append((plan, found, expected)) } })
        }

        func runAll() {
            let checks = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for check in checks { check() }
        }
    }

    /// An approximate search of a small index that found `found` of the best 10 rows.
    func search(found: Int) throws -> SampledSearch {
        var random = SeededGenerator(seed: 4)
        let matrix = FactorMatrix(rowCount: 500, columnCount: 8) { _, row in
            for i in row.indices { row[i] = Float.random(in: -1...1, using: &random) }
        }
        let scan = try ScanIndex(matrix, metric: .innerProduct)
        let planner = SearchPlanner(
            rowCount: 500, points: [.init(k: 10, scanNanoseconds: 1)], hasGraph: false)
        let index = PlannedIndex(scan: scan, graph: nil, planner: planner)
        let query = (0..<8).map { _ in Float.random(in: -1...1, using: &random) }
        let predicate = RowPredicate(rowCount: 500) { $0 % 3 != 0 }
        let best = try scan.search(query, k: 10, where: predicate).map(\.row)
        // Rows that are not eligible cannot be among the best.
        let rows = Array(best.prefix(found)) + (0..<UInt32(10 - found)).map { $0 * 3 }
        return SampledSearch(plan: .walk, index: index, query: query, limit: 10, predicate: predicate, rows: rows)
    }

    @Test("what a search missed is told, under the predicate it had")
    func recall() throws {
        let bench = Bench()
        let sampler = bench.sampler(share: 1)
        for found in [10, 7, 0] {
            sampler.take(try search(found: found))
            bench.runAll()
        }
        #expect(bench.recorded.withLock { $0.map(\.1) } == [10, 7, 0])
        #expect(bench.recorded.withLock { $0.allSatisfy { $0.0 == .walk && $0.2 == 10 } })
    }

    @Test("one search in so many is wanted, none when there is no share")
    func share() {
        let bench = Bench()
        let tenth = bench.sampler(share: 0.1)
        #expect((0..<1000).count { _ in tenth.wantsNext() } == 100)
        let none = bench.sampler(share: 0)
        #expect((0..<1000).count { _ in none.wantsNext() } == 0)
    }

    @Test("a check in progress, and the rest after it, let searches go")
    func rest() throws {
        let bench = Bench()
        let sampler = bench.sampler(share: 1, checkTakes: 1000)
        #expect(sampler.wantsNext())
        sampler.take(try search(found: 5))
        #expect(!sampler.wantsNext(), "one is being checked")
        sampler.take(try search(found: 5))
        #expect(bench.waiting.withLock { $0.count } == 1, "two at a time")
        bench.runAll()
        // The check took one step of the clock: it rests for 99 more.
        var waited = 0
        while !sampler.wantsNext(), waited < 1000 { waited += 1 }
        #expect((90...100).contains(waited))
    }
}
