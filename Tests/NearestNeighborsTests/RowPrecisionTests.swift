import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

/// Indexes over rows in half precision must answer as an exact search of the floats that the halves stand for.
@Suite(.ownThreads) struct RowPrecisionTests {
    static let metrics: [SimilarityMetric] = [.innerProduct, .cosine, .l2]

    /// `matrix` in half precision, and the same as floats.
    private func rounded(_ matrix: FactorMatrix) throws -> (halves: RowMatrix, floats: FactorMatrix) {
        let rows = RowMatrix(matrix, in: .f16, threads: 2)
        guard case .halves(let halves) = rows else { throw NotHeld() }
        let floats = FactorMatrix(rowCount: matrix.rowCount, columnCount: matrix.columnCount) { row, target in
            if let base = target.baseAddress {
                Kernels.widen(halves.base + row * halves.stride, count: target.count, into: base)
            }
        }
        return (rows, floats)
    }
    private struct NotHeld: Error {}

    @Test("a scan of half rows is exact for the rounded rows, made of them or of the floats", arguments: metrics)
    func scan(metric: SimilarityMetric) throws {
        for (rows, dimension) in [(1, 1), (17, 8), (333, 24), (500, 33), (1200, 64), (300, 300)] {
            var random = SeededGenerator(seed: UInt64(rows * 1000 + dimension))
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let (halves, floats) = try rounded(matrix)
            let exact = try ExactIndex(floats, metric: metric)
            let made = try ScanIndex(halves, metric: metric)
            let scored = try ScanIndex(matrix, metric: metric).scored(by: halves, threads: 2)
            // A single row is its own centre under l2: whatever rounding moves it by is too far.
            #expect(scored != nil || (metric == .l2 && rows == 1))
            let saved = scored ?? made
            let halfExact = try ExactIndex(halves, metric: metric)
            let predicate = RowPredicate(rowCount: rows) { $0 % 3 != 1 }
            for k in [1, 7, 100, rows] {
                let query = random.vector(dimension)
                let truth = try exact.search(query, k: k)
                #expect(try made.search(query, k: k) == truth, "\(rows) x \(dimension), k \(k)")
                #expect(try saved.search(query, k: k) == truth, "\(rows) x \(dimension), k \(k)")
                #expect(try halfExact.search(query, k: k) == truth, "\(rows) x \(dimension), k \(k)")
                let some = try exact.search(query, k: k, where: predicate)
                #expect(try saved.search(query, k: k, where: predicate) == some)
                #expect(try halfExact.search(query, k: k, where: predicate) == some)
            }
        }
    }

    @Test("bounds allow for what rounding moved, where it decides who is best", arguments: metrics)
    func drift(metric: SimilarityMetric) throws {
        // Rows that differ by less than rounding moves them: their order among the rounded is another one.
        var random = SeededGenerator(seed: 77)
        let centre = random.vector(48)
        // Under l2 rows are held against their mean, and may not lie nearer to it than rounding moves them.
        let spread: Float = metric == .l2 ? 0.4 : 2e-4
        let matrix = FactorMatrix(rowCount: 1500, columnCount: 48) { _, row in
            for i in row.indices { row[i] = centre[i] + spread * random.float() }
        }
        let (halves, floats) = try rounded(matrix)
        let saved = try #require(try ScanIndex(matrix, metric: metric).scored(by: halves, threads: 1))
        #expect(saved.rowDrift > 0x1p-14 && saved.rowDrift < 0x1p-9)
        let exact = try ExactIndex(floats, metric: metric)
        let (old, scratch) = (try ExactIndex(matrix, metric: metric), SearchScratch())
        var moved = 0
        for turn in 0..<20 {
            let query = turn % 2 == 0 ? random.vector(48) : centre
            let truth = try exact.search(query, k: 10)
            #expect(try saved.search(query, k: 10, scratch: scratch) == truth)
            if try old.search(query, k: 10).map(\.row) != truth.map(\.row) { moved += 1 }
        }
        #expect(moved > 0, "the rows do not show what they are to show")
    }

    @Test("rows too short for half precision make the codes of the floats unfit, not wrong")
    func shortRows() throws {
        var random = SeededGenerator(seed: 6)
        let matrix = FactorMatrix(rowCount: 300, columnCount: 16) { row, target in
            for i in target.indices { target[i] = random.float() * (row % 2 == 0 ? 1 : 1e-7) }
        }
        let (halves, floats) = try rounded(matrix)
        #expect(try ScanIndex(matrix, metric: .cosine).scored(by: halves, threads: 1) == nil)
        let index = try ScanIndex(halves, metric: .cosine)
        let exact = try ExactIndex(floats, metric: .cosine)
        for _ in 0..<10 {
            let query = random.vector(16)
            #expect(try index.search(query, k: 200) == exact.search(query, k: 200))
        }
    }

    @Test("a graph over half rows walks and scores by them", arguments: metrics)
    func graph(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 21)
        let matrix = random.matrix(rows: 2000, dimension: 24)
        let (halves, floats) = try rounded(matrix)
        let built = try HNSWIndex.build(matrix, metric: metric, HNSWParameters(m: 12, efConstruction: 100))
        let index = try built.scored(by: halves)
        #expect(index.graphByteCount < built.graphByteCount || metric == .l2)
        let exact = try ExactIndex(floats, metric: metric)
        var found = 0.0
        let few = RowPredicate(rowCount: 2000) { $0 < 3 }
        for _ in 0..<30 {
            let query = random.vector(24)
            let truth = try exact.search(query, k: 10)
            let answer = try index.search(query, k: 10, efSearch: 100)
            found += recall(answer, truth)
            let scores = Dictionary(uniqueKeysWithValues: try exact.search(query, k: 2000).map { ($0.row, $0.score) })
            #expect(answer.allSatisfy { scores[$0.row] == $0.score })
            // Every row is asked for: the walk cannot be enough.
            #expect(try index.search(query, k: 3, efSearch: 8, where: few) == exact.search(query, k: 3, where: few))
        }
        #expect(found / 30 > 0.9, "\(metric): \(found / 30)")

        let folder = try TemporaryFolder()
        try index.write(path: folder.file("graph"))
        let read = try HNSWIndex(file: TensorFile(path: folder.file("graph")), rows: halves)
        let query = random.vector(24)
        #expect(try read.search(query, k: 20, efSearch: 60) == index.search(query, k: 20, efSearch: 60))
        let mutable = try MutableIndex(index, capacity: 2000)
        var rows: [ScoredRow] = []
        try query.withUnsafeBufferPointer {
            try mutable.search($0, k: 5, efSearch: 200, scratch: SearchScratch(), into: &rows)
        }
        #expect(recall(rows, try exact.search(query, k: 5)) >= 0.6)
    }

    @Test("values that half precision cannot hold stay floats, and what is no number is refused")
    func values() throws {
        func matrix(_ value: Float) -> FactorMatrix {
            FactorMatrix(rowCount: 4, columnCount: 3) { row, target in target[0] = row == 2 ? value : 0.5 }
        }
        #expect(RowMatrix(matrix(1e6), in: .f16, threads: 1).precision == .f32)
        #expect(RowMatrix(matrix(1), in: .f16, threads: 1).precision == .f16)
        #expect(RowMatrix(matrix(1), in: .f32, threads: 1).precision == .f32)
        #expect(throws: IndexBuildError.vectorNotFinite(row: 2)) {
            try ScanIndex(RowMatrix(matrix(.nan), in: .f16, threads: 1), metric: .innerProduct)
        }
    }

    @Test("the rows like a row are those of a search for its vector")
    func likeARow() throws {
        var random = SeededGenerator(seed: 9)
        let matrix = random.matrix(rows: 500, dimension: 20)
        let (halves, floats) = try rounded(matrix)
        for (index, vectors) in [
            (try ScanIndex(matrix, metric: .cosine), matrix), (try ScanIndex(halves, metric: .cosine), floats),
        ] {
            var found: [ScoredRow] = []
            try index.search(like: 123, k: 9, scratch: SearchScratch(), into: &found)
            #expect(found == (try index.search(Array(vectors.row(123)), k: 9)) && found[0].row == 123)
        }
    }
}
