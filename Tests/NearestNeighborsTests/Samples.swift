import TestSupport
import VectorMath

@testable import NearestNeighbors

extension SeededGenerator {
    /// Uniform in -1..<1.
    mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) * 0x1p-23 }

    /// Rows around a few centres, of uneven norms.
    mutating func matrix(rows: Int, dimension: Int, clusters: Int = 12) -> FactorMatrix {
        let centres = (0..<clusters).map { _ in (0..<dimension).map { _ in float() } }
        return FactorMatrix(rowCount: rows, columnCount: dimension) { _, row in
            let centre = centres[Int.random(in: 0..<clusters, using: &self)]
            let norm = 0.5 + abs(float())
            for i in row.indices { row[i] = norm * (centre[i] + 0.6 * float()) }
        }
    }

    mutating func vector(_ dimension: Int) -> [Float] { (0..<dimension).map { _ in float() } }
}

/// What every index must agree with: scores of all rows, by the kernels one row at a time, sorted.
func sortedNeighbours(
    _ matrix: FactorMatrix, _ metric: SimilarityMetric, _ query: [Float], k: Int,
    where isEligible: (UInt32) -> Bool = { _ in true }
) -> [ScoredRow] {
    func score(_ row: Int) -> Float {
        let vector = Array(matrix.row(row))
        switch metric {
        case .innerProduct: return Kernels.dot(query, vector, dimension: query.count)
        case .l2:
            var score: Float = 0
            Kernels.l2(query, rows: vector, stride: query.count, count: 1, dimension: query.count, into: &score)
            return score
        case .cosine:
            let scale = RowScorer.inverseNorm(query, query.count)
            let unit = query.map { $0 * scale }
            return Kernels.dot(unit, vector, dimension: query.count) * RowScorer.inverseNorm(vector, query.count)
        }
    }
    var scored: [ScoredRow] = []
    for row in 0..<matrix.rowCount where isEligible(UInt32(row)) {
        scored.append(ScoredRow(row: UInt32(row), score: score(row)))
    }
    scored.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
    return Array(scored.prefix(k))
}

extension HNSWIndex {
    /// All links, layer by layer.
    var links: [[UInt32]] {
        graph.layers.map { Array(UnsafeBufferPointer(start: $0.links, count: $0.nodeCount * $0.linkStride)) }
    }
}

/// The share of `truth` that is in `answer`.
func recall(_ answer: [ScoredRow], _ truth: [ScoredRow]) -> Double {
    let expected = Set(truth.map(\.row))
    return expected.isEmpty ? 1 : Double(answer.count { expected.contains($0.row) }) / Double(expected.count)
}
