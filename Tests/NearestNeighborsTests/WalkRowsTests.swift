import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

/// Walks by 8-bit codes and by halves must answer as walks by the rows: true scores, nearly the same rows.
@Suite(.ownThreads) struct WalkRowsTests {
    /// Recall@10 over 30 queries. Seen: .99 and above, and never .02 below the walk by the rows.
    @Test(
        "a walk by codes finds what one by the rows finds", arguments: SimilarityMetric.allCases,
        [7, 33, 64, 127, 200, 784])
    func recallByCodes(metric: SimilarityMetric, dimension: Int) throws {
        var random = SeededGenerator(seed: UInt64(dimension) * 3)
        let matrix = random.matrix(rows: 900, dimension: dimension)
        let built = try HNSWIndex.build(matrix, metric: metric, HNSWParameters(efConstruction: 80))
        let (rows, codes) = (built.walking(by: .rows), built.walking(by: .int8))
        #expect(rows.graphRows == .rows && codes.graphRows == .int8)
        #expect(codes.graphByteCount == rows.graphByteCount + 900 * WalkCodes.stride(dimension: dimension))
        let exact = try ExactIndex(matrix, metric: metric)
        let predicate = RowPredicate(rowCount: 900) { $0 % 3 != 0 }
        var (byRows, byCodes) = (0.0, 0.0)
        for _ in 0..<30 {
            let query = random.vector(dimension)
            let truth = try exact.search(query, k: 10)
            let found = try codes.search(query, k: 10, efSearch: 100)
            byCodes += recall(found, truth) / 30
            byRows += recall(try rows.search(query, k: 10, efSearch: 100), truth) / 30
            try expectTrueScores(found, exact, query, k: 10)
            let some = try codes.search(query, k: 10, efSearch: 100, where: predicate)
            #expect(some.allSatisfy { $0.row % 3 != 0 })
            try expectTrueScores(some, exact, query, k: 10)
        }
        #expect(byCodes >= 0.95 && byCodes >= byRows - 0.02, "codes \(byCodes), rows \(byRows)")
    }

    /// `count` rows, best first, ties by ascending row, with the scores that an exact search gives them.
    private func expectTrueScores(_ found: [ScoredRow], _ exact: ExactIndex, _ query: [Float], k: Int) throws {
        let all = try exact.search(query, k: exact.rowCount)
        let scores = Dictionary(uniqueKeysWithValues: all.map { ($0.row, $0.score) })
        #expect(found.count == k)
        #expect(found.allSatisfy { scores[$0.row] == $0.score })
        #expect(
            zip(found, found.dropFirst()).allSatisfy {
                $0.score > $1.score || ($0.score == $1.score && $0.row < $1.row)
            })
    }

    @Test("a walk as broad as the set is exact, whatever it reads", arguments: SimilarityMetric.allCases)
    func broad(metric: SimilarityMetric) throws {
        for dimension in [1, 2, 3, 5, 19, 130, 1001, 4096] {
            var random = SeededGenerator(seed: UInt64(dimension))
            let rows = dimension > 1000 ? 80 : 300
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let built = try HNSWIndex.build(matrix, metric: metric, HNSWParameters(efConstruction: 60))
            let query = random.vector(dimension)
            let truth = try ExactIndex(matrix, metric: metric).search(query, k: rows)
            for graphRows in GraphRows.allCases {
                let index = built.walking(by: graphRows)
                let found = try index.search(query, k: rows, efSearch: rows)
                #expect(found == truth, "\(dimension) dimensions, \(graphRows)")
            }
        }
    }

    @Test("sets that are tiny, all equal or all zero, and rows of zeros", arguments: SimilarityMetric.allCases)
    func smallSets(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 4)
        let one = random.vector(65)
        for rows in [0, 1, 2, 3, 40] {
            let matrices = [
                random.matrix(rows: rows, dimension: 65),
                FactorMatrix(rowCount: rows, columnCount: 65) { _, _ in },
                FactorMatrix(rowCount: rows, columnCount: 65) { _, row in _ = row.update(fromContentsOf: one) },
                FactorMatrix(rowCount: rows, columnCount: 65) { number, row in
                    if number % 2 == 0 { for i in row.indices { row[i] = random.float() * Float(number) } }
                },
            ]
            for matrix in matrices {
                let index = try HNSWIndex.build(matrix, metric: metric).walking(by: .int8)
                for k in [0, 1, rows, rows + 3] {
                    let query = random.vector(65)
                    let found = try index.search(query, k: k, efSearch: 64)
                    let expected = sortedNeighbours(matrix, metric, query, k: k)
                    #expect(found.map(\.score) == expected.map(\.score))
                    _ = try index.search([Float](repeating: 0, count: 65), k: k)
                    _ = try index.search([Float](repeating: .greatestFiniteMagnitude, count: 65), k: k)
                }
            }
        }
    }

    @Test("rows far from the origin keep their neighbours: codes leave out what they have in common")
    func offset() throws {
        var random = SeededGenerator(seed: 12)
        let matrix = FactorMatrix(rowCount: 1000, columnCount: 40) { _, row in
            for i in row.indices { row[i] = 1000 + random.float() }
        }
        let exact = try ExactIndex(matrix, metric: .l2)
        let built = try HNSWIndex.build(matrix, metric: .l2)
        var found: [GraphRows: Double] = [:]
        for _ in 0..<30 {
            let query = (0..<40).map { _ in 1000 + random.float() }
            let truth = try exact.search(query, k: 10)
            for graphRows in [GraphRows.rows, .int8] {
                let answer = try built.walking(by: graphRows).search(query, k: 10, efSearch: 200)
                found[graphRows, default: 0] += recall(answer, truth) / 30
            }
        }
        let (rows, codes) = (found[.rows] ?? 0, found[.int8] ?? 0)
        #expect(codes > 0.95 && codes >= rows - 0.01, "codes \(codes), rows \(rows)")
    }

    @Test("auto takes codes of long rows, and what cannot be had gives way to what can")
    func choice() throws {
        func taken(_ dimension: Int, _ metric: SimilarityMetric, _ wanted: GraphRows, scale: Float = 1) throws
            -> GraphRows
        {
            var random = SeededGenerator(seed: 8)
            let rows = random.matrix(rows: 50, dimension: dimension)
            let matrix = FactorMatrix(rowCount: 50, columnCount: dimension) { row, target in
                for (i, value) in rows.row(row).enumerated() { target[i] = value * scale }
            }
            return try HNSWIndex.build(matrix, metric: metric).walking(by: wanted).graphRows
        }
        #expect(try taken(64, .innerProduct, .auto) == .f16)
        #expect(try taken(96, .innerProduct, .auto) == .int8)
        #expect(try taken(96, .cosine, .auto) == .int8)
        #expect(try taken(63, .l2, .auto) == .rows)
        #expect(try taken(64, .l2, .auto) == .int8)
        #expect(try taken(200, .cosine, .rows) == .rows)
        #expect(try taken(200, .l2, .f16) == .f16)
        #expect(try taken(8, .innerProduct, .f16, scale: 1e6) == .rows)
        #expect(try taken(200, .innerProduct, .auto, scale: 1e6) == .int8)
        #expect(try taken(200, .l2, .int8, scale: 1e18) == .rows)
        #expect(try taken(200, .innerProduct, .int8, scale: 1e18) == .rows)
    }

    @Test(
        "auto leaves codes alone where near rows are nearer than a step of them", arguments: SimilarityMetric.allCases)
    func tightClusters(metric: SimilarityMetric) throws {
        for (spread, expected): (Float, GraphRows) in [(0.5, .int8), (1e-3, metric == .l2 ? .rows : .f16)] {
            var random = SeededGenerator(seed: 40)
            let centres = (0..<6).map { _ in random.vector(100) }
            let matrix = FactorMatrix(rowCount: 900, columnCount: 100) { row, target in
                for i in target.indices { target[i] = centres[row % 6][i] + spread * random.float() }
            }
            let built = try HNSWIndex.build(matrix, metric: metric, HNSWParameters(efConstruction: 60))
            #expect(built.graphRows == expected, "spread \(spread)")
            // Equal rows are as good as each other.
            let same = FactorMatrix(rowCount: 900, columnCount: 100) { row, target in
                _ = target.update(fromContentsOf: centres[row % 6])
            }
            #expect(try HNSWIndex.build(same, metric: metric).graphRows == .int8)
        }
    }

    @Test(
        "a saved graph walks by codes of the rows it is opened over, floats or halves",
        arguments: SimilarityMetric.allCases)
    func saved(metric: SimilarityMetric) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 31)
        let matrix = random.matrix(rows: 600, dimension: 100)
        let built = try HNSWIndex.build(matrix, metric: metric, HNSWParameters(efConstruction: 80))
        try built.write(path: folder.file("graph"))
        for precision in RowPrecision.allCases {
            let rows = RowMatrix(matrix, in: precision, threads: 2)
            #expect(rows.precision == precision)
            let file = try TensorFile(path: folder.file("graph"))
            let loaded = try HNSWIndex(file: file, rows: rows, graphRows: .int8)
            let scored = try built.scored(by: rows, graphRows: .int8)
            #expect(loaded.graphRows == .int8 && scored.graphRows == .int8)
            let exact = try ExactIndex(rows, metric: metric)
            var total = 0.0
            for _ in 0..<20 {
                let query = random.vector(100)
                let found = try loaded.search(query, k: 10, efSearch: 60)
                #expect(try scored.search(query, k: 10, efSearch: 60) == found)
                try expectTrueScores(found, exact, query, k: 10)
                total += recall(found, try exact.search(query, k: 10)) / 20
            }
            #expect(total > 0.95, "\(precision): \(total)")
        }
    }
}
