import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

/// A scan that leaves out what cannot be among the best must give what a scan of everything gives, bit for bit.
@Suite(.ownThreads) struct ScanIndexTests {
    static let metrics: [SimilarityMetric] = [.innerProduct, .cosine, .l2]

    @Test("the answer is the exact one for every metric, size and dimension", arguments: metrics)
    func exact(metric: SimilarityMetric) throws {
        for (rows, dimension) in [
            (1, 1), (2, 3), (15, 4), (16, 5), (17, 8), (100, 16), (333, 24), (500, 25), (1000, 33), (2000, 48),
            (3000, 64), (1500, 65), (700, 100), (400, 300),
        ] {
            var random = SeededGenerator(seed: UInt64(rows * 1000 + dimension))
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let index = try ScanIndex(matrix, metric: metric)
            let exact = try ExactIndex(matrix, metric: metric)
            for k in [1, 7, 100, rows, rows + 5] {
                let query = random.vector(dimension)
                #expect(
                    try index.search(query, k: k) == exact.search(query, k: k), "\(rows) x \(dimension), k \(k)")
            }
        }
    }

    @Test("a predicate of any selectivity leaves k eligible rows, the best ones", arguments: metrics)
    func filtered(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 5)
        let matrix = random.matrix(rows: 4000, dimension: 40)
        let index = try ScanIndex(matrix, metric: metric)
        let exact = try ExactIndex(matrix, metric: metric)
        for share in [0, 0.0005, 0.01, 0.08, 0.1, 0.5, 0.99, 1] {
            let predicate = RowPredicate(rowCount: 4000) { _ in Double.random(in: 0..<1, using: &random) < share }
            for k in [1, 10, 300] {
                let query = random.vector(40)
                let found = try index.search(query, k: k, where: predicate)
                #expect(found == (try exact.search(query, k: k, where: predicate)), "share \(share), k \(k)")
                #expect(found.count == min(k, predicate.eligibleCount))
            }
        }
    }

    @Test("lengths of any magnitude, zero rows and equal rows change nothing")
    func extremes() throws {
        for scale: Float in [1e-30, 1e-12, 1e-4, 1, 1e4, 1e12] {
            for metric in Self.metrics where metric != .l2 || scale > 1e-15 {
                var random = SeededGenerator(seed: 11)
                let matrix = FactorMatrix(rowCount: 900, columnCount: 20) { row, target in
                    // Some rows are zero, some are all alike, some a million times longer than the others.
                    if row % 50 == 0 { return }
                    let length: Float = row % 97 == 0 ? 1e6 : 1
                    for i in target.indices { target[i] = row % 10 == 1 ? scale : scale * length * random.float() }
                }
                let index = try ScanIndex(matrix, metric: metric)
                let exact = try ExactIndex(matrix, metric: metric)
                for k in [1, 40, 900] {
                    let query = random.vector(20)
                    #expect(
                        try index.search(query, k: k) == exact.search(query, k: k), "\(metric), \(scale), k \(k)")
                }
                let zero = [Float](repeating: 0, count: 20)
                #expect(try index.search(zero, k: 5) == exact.search(zero, k: 5), "\(metric), \(scale), zero query")
            }
        }
    }

    @Test("steps of any size, and searches that take turns, change nothing")
    func steps() throws {
        var random = SeededGenerator(seed: 3)
        let matrix = random.matrix(rows: 5000, dimension: 48)
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let queries = (0..<6).map { _ in random.vector(48) }
        let scans = queries.map { _ in RunningScan(index) }
        let scratch = SearchScratch()
        for (scan, query) in zip(scans, queries) {
            try query.withUnsafeBufferPointer { try index.begin(scan, $0, k: 20) }
        }
        var open = Set(scans.indices)
        while let next = open.randomElement(using: &random) {
            if index.advance(scans[next], turns: Int.random(in: 1...3, using: &random), scratch) { open.remove(next) }
        }
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        for (scan, query) in zip(scans, queries) {
            #expect(scan.top.sorted() == (try exact.search(query, k: 20)))
        }
    }

    @Test("a scratch outlives the indexes it was used with")
    func scratchOutlives() throws {
        var random = SeededGenerator(seed: 14)
        let scratch = SearchScratch()
        for size in [100, 200, 300] {
            // Each index is gone before the next is searched.
            let index = try ScanIndex(random.matrix(rows: size, dimension: 12), metric: .innerProduct)
            #expect(try index.search(random.vector(12), k: 3, scratch: scratch).count == 3)
        }
    }

    @Test("less confidence looks at fewer rows and misses few of the best")
    func confidence() throws {
        var random = SeededGenerator(seed: 31)
        let matrix = random.matrix(rows: 8000, dimension: 64)
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let bold = index.with(confidence: 0.7)
        var found = 0
        for _ in 0..<20 {
            let query = random.vector(64)
            let rows = Set(try index.search(query, k: 50).map(\.row))
            found += try bold.search(query, k: 50).count { rows.contains($0.row) }
        }
        #expect(found > 900, "\(found) of 1000")
    }

    @Test("few rows are looked at where lengths differ")
    func pruning() throws {
        var random = SeededGenerator(seed: 8)
        let matrix = FactorMatrix(rowCount: 20_000, columnCount: 32) { row, target in
            for i in target.indices { target[i] = random.float() / Float(row + 1) }
        }
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let scan = RunningScan(index)
        try random.vector(32).withUnsafeBufferPointer { try index.begin(scan, $0, k: 10) }
        #expect(index.advance(scan, turns: 3, SearchScratch()))
        #expect(scan.nextBlock * 16 < 2000)
    }

    @Test("what cannot be searched is refused")
    func refused() throws {
        var random = SeededGenerator(seed: 2)
        let matrix = random.matrix(rows: 50, dimension: 8)
        let index = try ScanIndex(matrix, metric: .innerProduct)
        #expect(throws: SearchError.dimensionMismatch(expected: 8, actual: 7)) {
            try index.search(random.vector(7), k: 3)
        }
        #expect(throws: SearchError.queryNotFinite) { try index.search([0, .nan, 0, 0, 0, 0, 0, 0], k: 3) }
        #expect(throws: SearchError.invalidCount(name: "k", value: -1)) { try index.search(random.vector(8), k: -1) }
        #expect(try index.search(random.vector(8), k: 0).isEmpty)
        let spoiled = FactorMatrix(rowCount: 3, columnCount: 2) { row, target in target[0] = row == 1 ? .infinity : 1 }
        #expect(throws: IndexBuildError.vectorNotFinite(row: 1)) { try ScanIndex(spoiled, metric: .cosine) }
        let empty = FactorMatrix(rowCount: 0, columnCount: 2) { _, _ in }
        #expect(try ScanIndex(empty, metric: .l2).search([1, 2], k: 3).isEmpty)
    }
}
