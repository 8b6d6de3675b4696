import Synchronization
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

@Suite(.ownThreads) struct HNSWIndexTests {
    /// Recall@10 over 60 queries, clustered rows. Seen: .99 and above.
    @Test(
        "finds at least .95 of the true ten at efSearch 100", arguments: SimilarityMetric.allCases,
        [2, 3, 7, 16, 33, 64])
    func recallAgainstExact(metric: SimilarityMetric, dimension: Int) throws {
        var random = SeededGenerator(seed: UInt64(dimension))
        let matrix = random.matrix(rows: 1200, dimension: dimension)
        let index = try HNSWIndex.build(matrix, metric: metric)
        let exact = try ExactIndex(matrix, metric: metric)
        let scratch = SearchScratch()
        var total = 0.0
        for _ in 0..<60 {
            let query = random.vector(dimension)
            let found = try index.search(query, k: 10, efSearch: 100, scratch: scratch)
            total += recall(found, try exact.search(query, k: 10, scratch: scratch))
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.score > $1.score || $0.row < $1.row })
        }
        #expect(total / 60 >= 0.95, "recall \(total / 60)")
    }

    @Test("scores are those of the exact search, bit for bit", arguments: SimilarityMetric.allCases)
    func scoresAgree(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 3)
        let matrix = random.matrix(rows: 400, dimension: 19)
        let index = try HNSWIndex.build(matrix, metric: metric)
        let query = random.vector(19)
        // A walk as broad as the set reaches every row of this connected graph.
        #expect(
            try index.search(query, k: 400, efSearch: 400) == ExactIndex(matrix, metric: metric).search(query, k: 400))
    }

    @Test("walks by half precision where it holds the values, by the rows themselves elsewhere")
    func magnitudes() throws {
        for (scale, holds): (Float, Bool) in [(1e-6, false), (1, true), (1e3, true), (1e6, false)] {
            var random = SeededGenerator(seed: 17)
            let rows = random.matrix(rows: 1500, dimension: 32)
            let matrix = FactorMatrix(rowCount: 1500, columnCount: 32) { row, target in
                for (i, value) in rows.row(row).enumerated() { target[i] = value * scale }
            }
            let index = try HNSWIndex.build(matrix, metric: .innerProduct)
            #expect(index.graphRows == (holds ? .f16 : .rows))
            let exact = try ExactIndex(matrix, metric: .innerProduct)
            var total = 0.0
            for _ in 0..<30 {
                let query = random.vector(32)
                let found = try index.search(query, k: 10, efSearch: 100)
                let best = try exact.search(query, k: 10)
                total += recall(found, best)
                let scores = Set(best.map(\.score))
                // Whatever was walked by, the scores are the rows' own.
                #expect(found.filter { best.map(\.row).contains($0.row) }.allSatisfy { scores.contains($0.score) })
            }
            #expect(total / 30 >= 0.95, "scale \(scale)")
        }
    }

    @Test("tiny sets, duplicates and zero vectors", arguments: SimilarityMetric.allCases, [0, 1, 2, 3, 5, 40])
    func smallSets(metric: SimilarityMetric, rows: Int) throws {
        var random = SeededGenerator(seed: 4)
        let one = random.vector(5)
        let matrices = [
            random.matrix(rows: rows, dimension: 5),
            FactorMatrix(rowCount: rows, columnCount: 5) { _, _ in },
            FactorMatrix(rowCount: rows, columnCount: 5) { _, row in _ = row.update(fromContentsOf: one) },
            FactorMatrix(rowCount: rows, columnCount: 1) { number, row in row[0] = Float(number / 3) - 4 },
        ]
        for matrix in matrices {
            let index = try HNSWIndex.build(matrix, metric: metric)
            for k in [0, 1, 2, rows, rows + 3] {
                let query = random.vector(matrix.columnCount)
                let found = try index.search(query, k: k, efSearch: 64)
                #expect(found.count == min(k, rows))
                #expect(Set(found.map(\.row)).count == found.count)
                let expected = sortedNeighbours(matrix, metric, query, k: k)
                #expect(found.map(\.score) == expected.map(\.score))
            }
        }
    }

    @Test("many equal rows leave the others in reach")
    func manyDuplicates() throws {
        var random = SeededGenerator(seed: 5)
        let same = random.vector(8)
        let others = random.matrix(rows: 900, dimension: 8)
        let matrix = FactorMatrix(rowCount: 900, columnCount: 8) { number, row in
            if number % 3 == 0 {
                _ = row.update(fromContentsOf: same)
            } else {
                _ = row.update(fromContentsOf: others.row(number))
            }
        }
        let index = try HNSWIndex.build(matrix, metric: .l2)
        let exact = try ExactIndex(matrix, metric: .l2)
        var total = 0.0
        for number in stride(from: 1, to: 900, by: 27) {
            let query = Array(matrix.row(number))
            total += recall(try index.search(query, k: 5, efSearch: 400), try exact.search(query, k: 5)) / 34
        }
        // The equal rows answer as one; the rest is found as ever.
        #expect(total >= 0.9, "recall \(total)")
    }

    @Test("exactly the eligible rows, min(k, eligible) of them, whatever the mask", arguments: 0..<24)
    func predicates(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 100)
        let metric = SimilarityMetric.allCases[seed % 3]
        let rows = [300, 1000, 64, 65][seed % 4]
        let matrix = random.matrix(rows: rows, dimension: 12)
        let index = try HNSWIndex.build(matrix, metric: metric)
        let exact = try ExactIndex(matrix, metric: metric)
        let scratch = SearchScratch()
        let query = random.vector(12)
        let best = sortedNeighbours(matrix, metric, query, k: rows)
        var masks: [Set<UInt32>] = [[], Set(0..<UInt32(rows)), [UInt32.random(in: 0..<UInt32(rows), using: &random)]]
        for share in [0.01, 0.1, 0.5, 0.95] {
            masks.append(Set((0..<UInt32(rows)).filter { _ in Double.random(in: 0..<1, using: &random) < share }))
        }
        masks.append(Set(best.suffix(15).map(\.row)))  // only the worst
        masks.append(Set(best.dropFirst(50).map(\.row)))  // all but the best: what a user has seen
        for mask in masks {
            let predicate = RowPredicate(rowCount: rows) { mask.contains(UInt32($0)) }
            for (k, ef) in [(1, 1), (10, 10), (10, 64), (50, 200), (rows, rows)] {
                let found = try index.search(query, k: k, efSearch: ef, where: predicate, scratch: scratch)
                #expect(found.count == min(k, mask.count))
                #expect(found.allSatisfy { mask.contains($0.row) })
                #expect(Set(found.map(\.row)).count == found.count)
                if ef >= 64 {
                    let truth = try exact.search(query, k: k, where: predicate, scratch: scratch)
                    #expect(recall(found, truth) >= 0.8)
                }
            }
        }
    }

    @Test("one thread builds the same graph for a seed, another seed another")
    func deterministic() throws {
        var random = SeededGenerator(seed: 6)
        let matrix = random.matrix(rows: 700, dimension: 10)
        let first = try HNSWIndex.build(matrix, metric: .innerProduct, HNSWParameters(seed: 9))
        let second = try HNSWIndex.build(matrix, metric: .innerProduct, HNSWParameters(seed: 9))
        let third = try HNSWIndex.build(matrix, metric: .innerProduct, HNSWParameters(seed: 10))
        #expect(first.links == second.links)
        #expect(first.links != third.links)
    }

    @Test("links are valid, distinct, not to oneself, and within the limits", arguments: [1, 4])
    func linksAreSane(threads: Int) throws {
        var random = SeededGenerator(seed: 7)
        let matrix = random.matrix(rows: 1500, dimension: 10)
        let parameters = HNSWParameters(m: 5, efConstruction: 40, seed: 2)
        let index = try HNSWIndex.build(matrix, metric: .l2, parameters, threads: threads)
        for (level, layer) in index.graph.layers.enumerated() {
            for node in 0..<UInt32(layer.nodeCount) {
                let block = UnsafeBufferPointer(start: layer.linksOf(node), count: layer.linkStride)
                let used = block.prefix { $0 != HNSWLayer.none }
                #expect(used.count <= (level == 0 ? 10 : 5))
                #expect(block.dropFirst(used.count).allSatisfy { $0 == HNSWLayer.none })
                #expect(used.allSatisfy { $0 < layer.nodeCount && $0 != node } && Set(used).count == used.count)
                if let down = layer.down {
                    #expect(index.graph.layers[level - 1].row(down[Int(node)]) == layer.row(node))
                }
            }
        }
    }

    /// Recall@10 over 50 queries at efSearch 100; the same bar as with one thread.
    @Test("many threads build a graph as good, and count their progress")
    func parallelBuild() throws {
        var random = SeededGenerator(seed: 8)
        let matrix = random.matrix(rows: 2000, dimension: 16)
        let last = Mutex(0)
        let index = try HNSWIndex.build(
            matrix, metric: .cosine, HNSWParameters(efConstruction: 100), threads: 4,
            progress: { done in last.withLock { $0 = max($0, done) } }
        )
        #expect(last.withLock { $0 } == 2000)
        let exact = try ExactIndex(matrix, metric: .cosine)
        var total = 0.0
        for _ in 0..<50 {
            let query = random.vector(16)
            total += recall(try index.search(query, k: 10, efSearch: 100), try exact.search(query, k: 10)) / 50
        }
        #expect(total >= 0.95, "recall \(total)")
    }

    @Test("a build stops when asked and refuses what it cannot build")
    func buildRefusals() throws {
        var random = SeededGenerator(seed: 9)
        let matrix = random.matrix(rows: 3000, dimension: 8)
        let asked = Atomic<Int>(0)
        #expect(throws: IndexBuildError.cancelled) {
            try HNSWIndex.build(
                matrix, metric: .l2, threads: 2,
                isCancelled: { asked.add(1, ordering: .relaxed).newValue > 5 })
        }
        #expect(throws: IndexBuildError.self) { try HNSWIndex.build(matrix, metric: .l2, HNSWParameters(m: 1)) }
        #expect(throws: IndexBuildError.self) {
            try HNSWIndex.build(matrix, metric: .l2, HNSWParameters(efConstruction: 0))
        }
        let bad = FactorMatrix(rowCount: 9, columnCount: 3) { number, row in row[2] = number == 7 ? .infinity : 1 }
        #expect(throws: IndexBuildError.vectorNotFinite(row: 7)) { try HNSWIndex.build(bad, metric: .innerProduct) }
    }

    /// 50 tastes of which most have only short rows, and users who have one taste each. Recall@20 over 60 queries.
    @Test("links by cosine reach rows of low norm, and the pilot finds that out")
    func linksByCosine() throws {
        var random = SeededGenerator(seed: 31)
        let tastes = random.matrix(rows: 50, dimension: 24, clusters: 50)
        let matrix = FactorMatrix(rowCount: 2000, columnCount: 24) { number, row in
            let norm: Float = number % 50 < 5 ? 1 : 0.3
            for i in row.indices { row[i] = norm * (tastes.row(number % 50)[i] + 0.3 * random.float()) }
        }
        let queries = FactorMatrix(rowCount: 60, columnCount: 24) { number, row in
            for i in row.indices { row[i] = tastes.row(number % 50)[i] + 0.3 * random.float() }
        }
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        let base = HNSWParameters(m: 4, efConstruction: 20)
        func recallWith(_ link: SimilarityMetric) throws -> Double {
            var parameters = base
            parameters.linkMetric = link
            let index = try HNSWIndex.build(matrix, metric: .innerProduct, parameters)
            return try (0..<60).reduce(0.0) {
                let query = Array(queries.row($1))
                return try $0 + recall(index.search(query, k: 20, efSearch: 40), exact.search(query, k: 20)) / 60
            }
        }
        let byCosine = try recallWith(.cosine)
        let byProduct = try recallWith(.innerProduct)
        #expect(byCosine > byProduct + 0.05, "\(byCosine) by cosine, \(byProduct) by inner product")
        func choice(_ metric: SimilarityMetric) throws -> SimilarityMetric {
            try HNSWIndex.chooseLinkMetric(matrix, metric: metric, base, queries: queries, k: 20, threads: 1)
        }
        #expect(try choice(.innerProduct) == .cosine)
        #expect(try choice(.l2) == .l2)
    }

    @Test("refuses the queries that the exact search refuses")
    func refusesQueries() throws {
        let index = try HNSWIndex.build(FactorMatrix(rowCount: 3, columnCount: 2) { _, _ in }, metric: .l2)
        #expect(throws: SearchError.dimensionMismatch(expected: 2, actual: 1)) { try index.search([1], k: 1) }
        #expect(throws: SearchError.queryNotFinite) { try index.search([.nan, 1], k: 1) }
        #expect(throws: SearchError.invalidCount(name: "efSearch", value: -2)) {
            try index.search([1, 1], k: 1, efSearch: -2)
        }
    }

    @Test("a scratch serves indexes of any size in turn, and stays small")
    func scratchIsReused() throws {
        var random = SeededGenerator(seed: 10)
        let scratch = SearchScratch()
        for rows in [10, 500, 40, 600, 1] {
            let matrix = random.matrix(rows: rows, dimension: rows % 7 + 1)
            let index = try HNSWIndex.build(matrix, metric: .cosine, HNSWParameters(efConstruction: 50))
            let query = random.vector(matrix.columnCount)
            let fresh = try index.search(query, k: 5, efSearch: 50)
            #expect(try index.search(query, k: 5, efSearch: 50, scratch: scratch) == fresh)
        }
        #expect(scratch.byteCount < 16_000)
    }
}
