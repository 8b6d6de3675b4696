import Dispatch
import Foundation
import TestSupport
import Testing
import VectorMath
import Vocabulary

@testable import NearestNeighbors

@Suite(.ownThreads) struct SearchPlannerTests {
    /// Scans of 50, 95 and 245 us; walks of 20, 60 and, at 400 rows, none.
    static func planner(_ mode: SearchPlanner.Mode = .auto, hasGraph: Bool = true) -> SearchPlanner {
        var points = [10, 100, 400].map { SearchPlanner.Point(k: $0, scanNanoseconds: Double($0) * 500 + 45_000) }
        points[0].efSearch = 64
        points[0].walkNanoseconds = 20_000
        points[1].efSearch = 200
        points[1].walkNanoseconds = 60_000
        for index in points.indices { points[index].filteredScanNanoseconds = points[index].scanNanoseconds * 2 }
        var planner = SearchPlanner(mode: mode, rowCount: 100_000, points: points, hasGraph: hasGraph, efSearch: 128)
        planner.nanosecondsPerWord = 1
        planner.nanosecondsPerEligibleRow = 5
        return planner
    }

    @Test("the cheapest way that reaches the recall is chosen")
    func cheapest() {
        let planner = Self.planner()
        #expect(planner.decide(k: 10, eligible: 100_000).plan == .walk)
        #expect(planner.decide(k: 10, eligible: 100_000).efSearch == 64)
        // Between two measured widths, in proportion; a little past the last one that walks reach, too.
        #expect(planner.decide(k: 55, eligible: 100_000).efSearch == 132)
        #expect(planner.decide(k: 120, eligible: 100_000).efSearch == 240)
        // What may miss rows must save a fifth: 120 rows by a walk take 72 us, 190 rows 114, by a scan 167.
        #expect(planner.decide(k: 190, eligible: 100_000).plan == .walk)
        #expect(planner.decide(k: 201, eligible: 100_000).plan == .scan)
        #expect(planner.decide(k: 5000, eligible: 100_000).plan == .scan)
    }

    @Test("a scan that may miss rows is chosen where it saves enough, with the most careful confidence around")
    func approximateScans() {
        var planner = Self.planner(hasGraph: false)
        planner.points[0].confidence = 0.9
        planner.points[0].approximateNanoseconds = planner.points[0].scanNanoseconds * 0.7
        planner.points[1].confidence = 0.8
        planner.points[1].approximateNanoseconds = planner.points[1].scanNanoseconds * 0.6
        planner.points[2].confidence = 0.7
        planner.points[2].approximateNanoseconds = planner.points[2].scanNanoseconds * 0.95
        #expect(planner.decide(k: 5, eligible: 100_000).confidence == 0.9)
        #expect(planner.decide(k: 10, eligible: 100_000).plan == .approximateScan)
        #expect(planner.decide(k: 50, eligible: 100_000).confidence == 0.9)
        #expect(planner.decide(k: 100, eligible: 100_000).confidence == 0.8)
        // Saves too little.
        planner.points[0].approximateNanoseconds = planner.points[0].scanNanoseconds * 0.85
        #expect(planner.decide(k: 10, eligible: 100_000).plan == .scan)
        planner.points[0].approximateNanoseconds = planner.points[0].scanNanoseconds * 0.7
        #expect(planner.decide(k: 400, eligible: 100_000).plan == .scan)
        #expect(planner.decide(k: 400, eligible: 100_000).confidence == 1)
        #expect(planner.decide(k: 10, eligible: 10).plan == .lookUp)
        planner.mode = .scan
        #expect(planner.decide(k: 10, eligible: 100_000).plan == .scan)
    }

    @Test("a search that is not exact is chosen only where it reaches the recall", arguments: [0.9, 0.99, 1])
    func recall(wanted: Double) throws {
        var random = SeededGenerator(seed: 33)
        let matrix = random.matrix(rows: 20_000, dimension: 48)
        let queries = random.matrix(rows: 80, dimension: 48)
        var calibration = SearchPlanner.Calibration()
        calibration.recallMin = wanted
        let scan = try ScanIndex(matrix, metric: .innerProduct)
        let index = try PlannedIndex(scan: scan, graph: nil, queries: queries, calibration: calibration) {
            DispatchTime.now().uptimeNanoseconds
        }
        if wanted == 1 { #expect(index.planner.points.allSatisfy { $0.confidence == 1 }) }
        let scratch = SearchScratch()
        for point in index.planner.points where point.k <= 100 {
            let rough = scan.with(confidence: point.confidence)
            var found = 0
            for query in 0..<60 {
                let truth = Set(try scan.search(Array(queries.row(query)), k: point.k, scratch: scratch).map(\.row))
                let rows = try rough.search(Array(queries.row(query)), k: point.k, scratch: scratch).map(\.row)
                #expect(rows.count == point.k)
                found += rows.count { truth.contains($0) }
            }
            // Three times the misses allowed, and one: the sample that decided was another one, and for k 1 a small one.
            #expect(
                Double(found) >= Double(60 * point.k) * (1 - 3 * (1 - wanted)) - (wanted < 1 ? 1 : 0), "k \(point.k)")
        }
    }

    @Test("few eligible rows are looked up, none too many walked past")
    func filters() {
        let planner = Self.planner()
        #expect(planner.decide(k: 10, eligible: 99_995).plan == .walk)
        #expect(planner.decide(k: 10, eligible: 80_000).plan == .filteredWalk)
        #expect(planner.decide(k: 10, eligible: 1000).plan == .lookUp)
        #expect(planner.decide(k: 10, eligible: 0).plan == .lookUp)
        for eligible in stride(from: 0, to: 100_000, by: 997) {
            let decision = planner.decide(k: 10, eligible: eligible)
            let share = Double(max(1, eligible)) / 100_000
            #expect(decision.expectedNanoseconds <= planner.scanNanoseconds(k: 10, share: share))
            #expect(decision.plan != .filteredWalk || eligible >= 5000)
        }
    }

    @Test("a look-up of many rows costs what its rows and the ones kept do")
    func lookUps() {
        var planner = Self.planner(hasGraph: false)
        planner.nanosecondsPerDenseRow = 8
        planner.nanosecondsPerKeptRow = 30
        // 1562 words, 12 500 rows at 5 ns, 7500 at 8 ns, 100 kept.
        #expect(planner.lookUpNanoseconds(k: 100, eligible: 20_000) == 1562 + 62_500 + 60_000 + 3000)
        // No more rows are kept than are eligible.
        #expect(planner.lookUpNanoseconds(k: 1000, eligible: 100) == 1562 + 500 + 3000)
        // Scans of 200 us and more under such a filter: fewer kept rows make the look-up the cheaper one.
        #expect(planner.decide(k: 400, eligible: 8000).plan == .lookUp)
        #expect(planner.decide(k: 400, eligible: 50_000).plan == .scan)
    }

    @Test("a scan under a filter that leaves little costs as one for as many more rows")
    func rareRows() {
        var planner = Self.planner(hasGraph: false)
        for index in planner.points.indices { planner.points[index].filteredScanNanoseconds *= 2 }
        for k in [1, 10, 50] {
            for times in [2, 5] {
                let (rare, more) = (
                    planner.scanNanoseconds(k: k, share: 0.125 / Double(times)),
                    planner.scanNanoseconds(k: k * times, share: 0.125)
                )
                #expect(abs(rare - more) < 1e-6 * more)
            }
        }
        #expect(planner.scanNanoseconds(k: 0, share: 0.001) > 0)
    }

    @Test("a way that misses too much or takes too long is not measured to its end")
    func earlyEnds() throws {
        var random = SeededGenerator(seed: 44)
        let matrix = random.matrix(rows: 3000, dimension: 16)
        let scan = try ScanIndex(matrix, metric: .cosine)
        let queries = random.matrix(rows: 100, dimension: 16)
        let scratch = SearchScratch()
        var ticks: UInt64 = 0
        func clock() -> UInt64 {
            ticks += 1000
            return ticks
        }
        let sample = try SearchSample(scan, queries, count: 100, k: 10, scratch, clock)
        func measure(
            recall: Double, limit: Double, missing: Int, after: Int = 0
        ) throws -> (asked: Int, recall: Double, reached: Bool) {
            var asked = 0
            let trial = try sample.measure(
                reaching: recall, within: limit, clock
            ) { query, results throws(SearchError) in
                try scan.search(query, k: 10, where: nil, plan: .scan, scratch: scratch, into: &results)
                if asked > after { results.removeLast(missing) }
                asked += 1
            }
            return (asked, trial.recall, trial.reached)
        }
        // One query is asked before those that count.
        #expect(try measure(recall: 1, limit: 1e9, missing: 0) == (101, 1, true))
        #expect(try measure(recall: 0.9, limit: 1e9, missing: 1) == (101, 0.9, true))
        let missing = try measure(recall: 0.99, limit: 1e9, missing: 5)
        #expect(!missing.reached && missing.asked < 10 && missing.recall < 0.6)
        let slow = try measure(recall: 0.99, limit: 10, missing: 0)
        #expect(!slow.reached && slow.asked == 5)
    }

    @Test("a mode forces its way")
    func modes() {
        #expect(Self.planner(.scan).decide(k: 10, eligible: 100_000).plan == .scan)
        #expect(Self.planner(.hnsw).decide(k: 300, eligible: 100_000).plan == .walk)
        #expect(Self.planner(.hnsw).decide(k: 300, eligible: 100_000).efSearch == 300)
        #expect(Self.planner(.hnsw).decide(k: 10, eligible: 90_000).plan == .filteredWalk)
        #expect(Self.planner(.hnsw).decide(k: 10, eligible: 100).plan == .lookUp)
        #expect(Self.planner(.hnsw, hasGraph: false).decide(k: 10, eligible: 100_000).plan == .scan)
    }

    @Test("costs rise with the width and never fall below the first measured one")
    func costs() {
        let planner = Self.planner()
        var last = 0.0
        for k in [0, 1, 5, 10, 20, 50, 100, 200, 399, 400, 1000, 100_000] {
            let cost = planner.scanNanoseconds(k: k, share: 1)
            #expect(cost >= max(last, 50_000))
            #expect(planner.scanNanoseconds(k: k, share: 0.5) >= cost)
            last = cost
        }
    }

    @Test("a planned search returns what its plan returns, whatever the predicate")
    func planned() throws {
        var random = SeededGenerator(seed: 21)
        let matrix = random.matrix(rows: 6000, dimension: 24)
        let graph = try HNSWIndex.build(matrix, metric: .innerProduct, HNSWParameters(), threads: 1)
        let scan = try ScanIndex(matrix, metric: .innerProduct)
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        let queries = random.matrix(rows: 8, dimension: 24)
        for mode in SearchPlanner.Mode.allCases {
            var calibration = SearchPlanner.Calibration()
            calibration.mode = mode
            // A clock by which every search takes as long as it has been asked for the time.
            var ticks: UInt64 = 0
            let index = try PlannedIndex(scan: scan, graph: graph, queries: queries, calibration: calibration) {
                ticks += 1000
                return ticks
            }
            let search = RunningSearch(index)
            let scratch = SearchScratch()
            for share in [0.001, 0.3, 0.9, 0.999, 1] {
                let predicate = RowPredicate(rowCount: 6000) { _ in Double.random(in: 0..<1, using: &random) < share }
                let query = random.vector(24)
                var results: [ScoredRow] = []
                try query.withUnsafeBufferPointer {
                    try index.begin(search, $0, k: 20, where: predicate, scratch)
                }
                while !index.advance(search, turns: 1, scratch) {}
                search.drain(into: &results)
                #expect(results.count == min(20, predicate.eligibleCount))
                #expect(results.allSatisfy { predicate.contains($0.row) })
                if !search.plan.isApproximate {
                    #expect(results == (try exact.search(query, k: 20, where: predicate)))
                }
                #expect(mode != .scan || !search.plan.isApproximate)
            }
        }
    }

    @Test("a forced mode looks up few rows all the same", arguments: SearchPlanner.Mode.allCases)
    func fewRows(mode: SearchPlanner.Mode) throws {
        var random = SeededGenerator(seed: 6)
        let matrix = random.matrix(rows: 20_000, dimension: 16)
        let scan = try ScanIndex(matrix, metric: .innerProduct)
        var calibration = SearchPlanner.Calibration()
        calibration.mode = mode
        for users in [0, 8] {
            let index = try PlannedIndex(
                scan: scan, graph: nil, queries: random.matrix(rows: users, dimension: 16), calibration: calibration
            ) { DispatchTime.now().uptimeNanoseconds }
            #expect(index.planner.decide(k: 10, eligible: 3).plan == .lookUp)
            #expect(index.planner.decide(k: 10, eligible: 20_000).plan == .scan)
            #expect(index.planner.points.allSatisfy { $0.scanNanoseconds > 0 })
        }
    }

    @Test("what was measured can be read again")
    func codable() throws {
        let planner = Self.planner()
        let copy = try JSONDecoder().decode(SearchPlanner.self, from: JSONEncoder().encode(planner))
        #expect(copy == planner)
    }
}
