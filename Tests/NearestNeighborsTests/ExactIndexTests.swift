import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

@Suite(.ownThreads) struct ExactIndexTests {
    @Test(
        "gives what sorting all scores gives, for every metric, predicate and k", arguments: SimilarityMetric.allCases)
    func agreesWithSort(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 11)
        let scratch = SearchScratch()
        for (rows, dimension) in [(1, 1), (2, 3), (255, 16), (256, 17), (257, 64), (900, 33)] {
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let index = try ExactIndex(matrix, metric: metric)
            for share in [0.0, 0.004, 0.05, 0.5, 1] {
                let eligible = (0..<rows).map { _ in Double.random(in: 0..<1, using: &random) < share }
                let predicate = RowPredicate(rowCount: rows) { eligible[$0] }
                for k in [0, 1, 10, rows, rows + 5] {
                    let query = random.vector(dimension)
                    let expected = sortedNeighbours(matrix, metric, query, k: k) { eligible[Int($0)] }
                    #expect(try index.search(query, k: k, where: predicate, scratch: scratch) == expected)
                    let all = sortedNeighbours(matrix, metric, query, k: k)
                    #expect(try index.search(query, k: k, scratch: scratch) == all)
                }
            }
        }
    }

    @Test("scores are the metric's, to 1e-5 of a computation in Double")
    func scoresAreTheMetric() throws {
        var random = SeededGenerator(seed: 12)
        let matrix = random.matrix(rows: 50, dimension: 37)
        let query = random.vector(37)
        for metric in SimilarityMetric.allCases {
            for found in try ExactIndex(matrix, metric: metric).search(query, k: 50) {
                let pairs = zip(query, matrix.row(Int(found.row))).map { (Double($0), Double($1)) }
                let dot = pairs.reduce(0) { $0 + $1.0 * $1.1 }
                let expected =
                    switch metric {
                    case .innerProduct: dot
                    case .l2: -pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                    case .cosine:
                        dot
                            / (pairs.reduce(0) { $0 + $1.0 * $1.0 } * pairs.reduce(0) { $0 + $1.1 * $1.1 })
                            .squareRoot()
                    }
                #expect(abs(Double(found.score) - expected) < 1e-5)
            }
        }
    }

    @Test("steps over all rows, in any order, leave what a search returns")
    func stepsAgree() throws {
        var random = SeededGenerator(seed: 13)
        let matrix = random.matrix(rows: 1000, dimension: 20)
        let scratch = SearchScratch()
        let predicate = RowPredicate(rowCount: 1000) { $0 % 3 != 1 }
        let sparse = RowPredicate(rowCount: 1000) { $0 % 40 == 1 }
        for metric in SimilarityMetric.allCases {
            let index = try ExactIndex(matrix, metric: metric)
            for chosen in [nil, predicate, sparse] {
                let query = random.vector(20)
                var top = TopK(k: 25)
                for start in stride(from: 0, to: 1000, by: 93).shuffled(using: &random) {
                    try query.withUnsafeBufferPointer {
                        try index.searchStep(
                            $0, rows: start..<start + 93, where: chosen, scratch: scratch, into: &top)
                    }
                }
                #expect(try top.sorted() == index.search(query, k: 25, where: chosen, scratch: scratch))
            }
        }
    }

    @Test("a batch of queries gives what each gives alone")
    func batchAgrees() throws {
        var random = SeededGenerator(seed: 14)
        let matrix = random.matrix(rows: 700, dimension: 24)
        let queries = random.matrix(rows: 131, dimension: 24)
        let scratch = SearchScratch()
        let predicate = RowPredicate(rowCount: 700) { $0 % 2 == 0 }
        for metric in SimilarityMetric.allCases {
            let index = try ExactIndex(matrix, metric: metric)
            for chosen in [nil, predicate] {
                var results: [[ScoredRow]] = []
                try index.searchBatch(queries, k: 9, where: chosen, scratch: scratch, into: &results)
                #expect(results.count == 131)
                for (row, found) in results.enumerated() {
                    #expect(try found == index.search(Array(queries.row(row)), k: 9, where: chosen, scratch: scratch))
                }
            }
        }
    }

    @Test("refuses what it cannot answer")
    func refuses() throws {
        let matrix = FactorMatrix(rowCount: 3, columnCount: 2) { _, row in row[0] = 1 }
        let index = try ExactIndex(matrix, metric: .cosine)
        #expect(throws: SearchError.dimensionMismatch(expected: 2, actual: 3)) { try index.search([1, 2, 3], k: 1) }
        #expect(throws: SearchError.queryNotFinite) { try index.search([1, .nan], k: 1) }
        #expect(throws: SearchError.queryNotFinite) { try index.search([.infinity, 0], k: 1) }
        #expect(throws: SearchError.invalidCount(name: "k", value: -1)) { try index.search([1, 0], k: -1) }
        let other = RowPredicate(rowCount: 4) { _ in true }
        #expect(throws: SearchError.predicateMismatch(expected: 3, actual: 4)) {
            try index.search([1, 0], k: 1, where: other)
        }
        let bad = FactorMatrix(rowCount: 3, columnCount: 2) { number, row in row[1] = number == 2 ? .nan : 0 }
        #expect(throws: IndexBuildError.vectorNotFinite(row: 2)) { try ExactIndex(bad, metric: .l2) }
    }

    @Test("scores that overflow still give k rows")
    func overflow() throws {
        let matrix = FactorMatrix(rowCount: 20, columnCount: 4) { row, target in
            for i in target.indices { target[i] = (row + i) % 2 == 0 ? 3e38 : -3e38 }
        }
        for metric in SimilarityMetric.allCases {
            let exact = try ExactIndex(matrix, metric: metric)
            let graph = try HNSWIndex.build(matrix, metric: metric)
            for query in [[Float](repeating: 3e38, count: 4), [3e38, -3e38, 3e38, -3e38]] {
                #expect(try exact.search(query, k: 7).count == 7)
                #expect(try graph.search(query, k: 7).count == 7)
            }
        }
    }

    @Test("a mask counts its rows whatever is set and cleared")
    func masks() {
        var random = SeededGenerator(seed: 15)
        for rows in [1, 63, 64, 65, 200] {
            let mask = RowMask(rowCount: rows, allEligible: true)
            #expect(mask.predicate.eligibleCount == rows)
            var expected = Set(0..<UInt32(rows))
            for _ in 0..<500 {
                let row = UInt32.random(in: 0..<UInt32(rows), using: &random)
                if Bool.random(using: &random) {
                    mask.insert(row)
                    expected.insert(row)
                } else {
                    mask.remove(row)
                    expected.remove(row)
                }
            }
            let predicate = mask.predicate
            #expect(predicate.eligibleCount == expected.count)
            #expect((0..<UInt32(rows)).allSatisfy { predicate.contains($0) == expected.contains($0) })
            mask.reset(allEligible: false)
            #expect(mask.count == 0)
        }
    }
}
