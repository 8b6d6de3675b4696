import CKernels
import Testing

@testable import VectorMath

@Suite struct TopKTests {
    @Test("keeps what sorting everything would keep, whatever the order of pushes", arguments: 0..<60)
    func agreesWithSort(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        let count = Int.random(in: 0...300, using: &random)
        let k = Int.random(in: 0...40, using: &random)
        let rows = (0..<UInt32(count)).shuffled(using: &random)
        // Few distinct scores, so that ties are common.
        let scored = rows.map { ScoredRow(row: $0, score: Float(Int.random(in: -4...4, using: &random)) * 0.5) }
        let expected = scored.sorted { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }.prefix(k)
        var top = TopK(k: 3)
        top.push(row: 1, score: 1)
        top.reset(k: k)
        for one in scored where !(one.score < top.threshold) { top.push(row: one.row, score: one.score) }
        var results: [ScoredRow] = []
        top.drain(into: &results)
        #expect(results == Array(expected))
        #expect(top.count == 0)
    }

    @Test("sorting puts the greatest first, whatever the order and however many are equal")
    func sorting() {
        var random = SplitMix(seed: 5)
        for count in Array(0...40) + [100, 1000, 5000] {
            let shapes: [[UInt64]] = [
                (0..<UInt64(count)).map { $0 }, (0..<UInt64(count)).reversed(),
                (0..<count).map { _ in UInt64.random(in: 0...3, using: &random) },
                (0..<count).map { _ in UInt64.random(in: 0...UInt64.max, using: &random) },
                (0..<UInt64(count)).map { $0 % 2 == 0 ? $0 : 1_000_000 - $0 }, Array(repeating: 7, count: count),
            ]
            for keys in shapes {
                var sorted = keys
                ck_sort_descending(&sorted, count)
                #expect(sorted == keys.sorted(by: >))
            }
        }
    }

    @Test("rows pushed together are those pushed one by one")
    func pushedTogether() {
        var random = SplitMix(seed: 9)
        for (count, k) in [(0, 3), (1, 1), (300, 7), (1000, 400), (1000, 1), (3000, 2999), (500, 0)] {
            let rows = (0..<UInt32(count)).shuffled(using: &random)
            let scores = rows.map { _ in Float(Int.random(in: -9...9, using: &random)) }
            var (one, all) = (TopK(k: k), TopK(k: k))
            for i in 0..<count { one.push(row: rows[i], score: scores[i]) }
            all.push(rows: rows, scores: scores, count: count)
            #expect(one.sorted() == all.sorted())
        }
    }

    @Test("selection keeps the greatest keys and names the least of them, whatever their order")
    func selection() {
        var random = SplitMix(seed: 77)
        for count in Array(1...40) + [100, 333, 1000] {
            for wanted in Set([1, 2, count / 2, count - 1, count]).filter({ 1...count ~= $0 }) {
                let keys = (0..<UInt64(count)).map { $0 * 3 + 1 }
                for order in [keys, keys.reversed(), keys.shuffled(using: &random)] {
                    var keys = order
                    let least = ck_keep_greatest(&keys, count, wanted)
                    #expect(keys.prefix(wanted).sorted() == order.sorted().suffix(wanted))
                    #expect(keys.sorted() == order.sorted() && least == order.sorted()[count - wanted])
                }
            }
        }
    }

    @Test("minus zero ties with zero, and NaN is the worst")
    func oddScores() {
        var top = TopK(k: 4)
        for (row, score) in [(0, Float.nan), (1, 0), (2, -0.0), (3, -.infinity), (4, 0)] {
            top.push(row: UInt32(row), score: score)
        }
        #expect(top.sorted().map(\.row) == [1, 2, 4, 3])
        #expect(top.threshold == -.infinity)
    }

    @Test("rank keys order as score, then row")
    func keysOrder() {
        let values: [Float] = [
            -.infinity, -3, -0.5, -.leastNonzeroMagnitude, 0, .leastNormalMagnitude, 0.25, 7, .infinity,
        ]
        for (i, a) in values.enumerated() {
            #expect(RankKey.score(RankKey.make(row: 9, score: a)) == a)
            #expect(RankKey.row(RankKey.make(row: 9, score: a)) == 9)
            #expect(RankKey.make(row: 1, score: a) > RankKey.make(row: 2, score: a))
            for b in values[(i + 1)...] {
                #expect(RankKey.make(row: 0, score: a) < RankKey.make(row: .max, score: b))
            }
        }
    }
}

@Suite struct FactorMatrixTests {
    @Test(
        "rows are padded to cache lines, padding is zero, borrowed rows read in place",
        arguments: [1, 15, 16, 17, 64, 100])
    func layout(columns: Int) {
        let matrix = FactorMatrix(rowCount: 5, columnCount: columns) { row, target in
            for i in target.indices { target[i] = Float(row * 1000 + i + 1) }
        }
        #expect(matrix.stride % 16 == 0 && matrix.stride >= columns && matrix.stride < columns + 16)
        #expect(Int(bitPattern: matrix.base) % 64 == 0)
        for row in 0..<5 {
            #expect(Array(matrix.row(row)) == (0..<columns).map { Float(row * 1000 + $0 + 1) })
            for i in columns..<matrix.stride { #expect(matrix.base[row * matrix.stride + i] == 0) }
        }
        let view = FactorMatrix(
            borrowing: matrix.base + matrix.stride, rowCount: 2, columnCount: columns, stride: 2 * matrix.stride,
            owner: matrix)
        #expect(Array(view.row(1)) == Array(matrix.row(3)))
        #expect(Array(view.copiedToOwnMemory().row(1)) == Array(matrix.row(3)))
        #expect(matrix.isFinite)
    }

    @Test("an empty matrix and a huge-page one can be made")
    func sizes() {
        #expect(FactorMatrix(rowCount: 0, columnCount: 3) { _, _ in }.rowCount == 0)
        let large = FactorMatrix(rowCount: 20_000, columnCount: 64) { row, target in target[0] = Float(row) }
        #expect(large.row(19_999)[0] == 19_999)
        #expect(!FactorMatrix(rowCount: 1, columnCount: 3) { _, target in target[2] = .nan }.isFinite)
    }
}
