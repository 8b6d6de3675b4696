import Glibc
import TestSupport
import Testing
import VectorMath

@testable import Serving

/// The figures of docs/reranking.md.
@Suite(.ownThreads) struct WorkedExampleTests {
    private let candidates = zip(UInt32(0)..., [4, 3.8, 3, 2.5, 2]).map { ScoredRow(row: $0, score: $1) }

    /// Rows of length 1 with the example's cosines: the Cholesky factor of their table.
    private var factors: FactorMatrix {
        func cosine(_ a: Int, _ b: Int) -> Double { a == b ? 1 : a + b == 1 ? 0.9 : 0.1 }
        var rows = [[Double]](repeating: [Double](repeating: 0, count: 5), count: 5)
        for row in 0..<5 {
            for column in 0...row {
                let known = (0..<column).reduce(0.0) { $0 + rows[row][$1] * rows[column][$1] }
                rows[row][column] =
                    row == column ? sqrt(1 - known) : (cosine(row, column) - known) / rows[column][column]
            }
        }
        return FactorMatrix(rowCount: 5, columnCount: 5) { row, target in
            for column in 0..<5 { target[column] = Float(rows[row][column]) }
        }
    }

    private func draft(strength: Float, epsilon: Float? = nil) -> SlateDraft {
        SlateDraft(
            candidates, poolCount: 5, diversity: (.factors(.floats(factors)), strength), caps: [],
            exploration: epsilon.map { .init(.epsilon($0), protected: 1) }, chosen: [])
    }

    @Test func `Diversity of 0.3 keeps B at the second place and 0.4 does not`() {
        var random = SlateRandom(seed: 1)
        for (strength, rows) in [(Float(0.3), [UInt32(0), 1, 2]), (0.4, [0, 2, 1])] {
            var draft = draft(strength: strength)
            let page = (1...3).compactMap { draft.fill($0, using: &random) }
            #expect(page.map(\.row) == rows)
            let likeness = page[1].row == 1 ? Float(0.9) : 0.1
            #expect(page[0].similarity == 0 && abs(page[1].similarity - likeness) < 1e-5)
        }
    }

    @Test func `Slate A, D, B has the propensities 1, 0.05 and 0.867`() {
        var wasSeen = false
        for seed in 0..<500 {
            var random = SlateRandom(seed: UInt64(seed))
            var draft = draft(strength: 0.3, epsilon: 0.2)
            let page = (1...3).compactMap { draft.fill($0, using: &random) }
            guard page.map(\.row) == [0, 3, 1] else { continue }
            wasSeen = true
            #expect(zip(page, [1, 0.05, 0.8 + 0.2 / 3]).allSatisfy { abs(Double($0.propensity) - $1) < 1e-6 })
            #expect(page.map(\.isExplored) == [false, true, false])
        }
        #expect(wasSeen)
    }
}
