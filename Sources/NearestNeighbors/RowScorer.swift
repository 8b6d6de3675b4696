import VectorMath

/// Scores rows of a matrix under a metric: the one place where a metric becomes a kernel call.
///
/// For cosine the query comes normalised and each row's score is multiplied by the inverse of its norm (0 for a zero
/// row), so that the factors need no normalised copy.
final class RowScorer: Sendable {
    let vectors: FactorMatrix
    let metric: SimilarityMetric
    /// Inverse norms, for cosine only.
    nonisolated(unsafe) let rowScale: UnsafePointer<Float>?
    private let ownsScale: Bool

    /// - Throws: `vectorNotFinite` for the first such row.
    init(_ vectors: FactorMatrix, _ metric: SimilarityMetric, threads: Int = 1) throws(IndexBuildError) {
        guard vectors.rowCount < PoolKey.nodesMax else { throw .tooManyRows(vectors.rowCount) }
        if !vectors.isFinite(threads: threads) {
            throw .vectorNotFinite(row: (0..<vectors.rowCount).first { !Kernels.allFinite(vectors.row($0)) } ?? 0)
        }
        self.vectors = vectors
        self.metric = metric
        guard metric == .cosine else {
            rowScale = nil
            ownsScale = false
            return
        }
        let scale = UnsafeMutablePointer<Float>.allocate(capacity: max(vectors.rowCount, 1))
        Parallel.forEach(count: vectors.rowCount, grain: 16_384, threads: threads) { rows in
            for row in rows {
                scale[row] = Self.inverseNorm(vectors.base + row * vectors.stride, vectors.columnCount)
            }
        }
        rowScale = UnsafePointer(scale)
        ownsScale = true
    }

    /// Scores rows that are written later, each checked by its writer, who writes its `rowScale` with it.
    ///
    /// - Parameter rowScale: For cosine only; memory that lives as long as `vectors`.
    init(growing vectors: FactorMatrix, _ metric: SimilarityMetric, rowScale: UnsafePointer<Float>?) {
        precondition((metric == .cosine) == (rowScale != nil), "only cosine has scales")
        self.vectors = vectors
        self.metric = metric
        self.rowScale = rowScale
        ownsScale = false
    }

    deinit { if ownsScale { rowScale?.deallocate() } }

    /// 1 / |x|, or 0 for a zero vector.
    static func inverseNorm(_ x: UnsafePointer<Float>, _ dimension: Int) -> Float {
        let square = Kernels.dot(x, x, dimension: dimension)
        if square.isFinite && square >= 1e-30 { return 1 / square.squareRoot() }
        // Too small or too large to square as Float.
        var wide = 0.0
        for i in 0..<dimension { wide += Double(x[i]) * Double(x[i]) }
        return wide == 0 ? 0 : Float(min(1 / wide.squareRoot(), Double(Float.greatestFiniteMagnitude)))
    }

    /// The query as the kernels take it: itself, or normalised in `scratch`.
    func prepared(_ query: UnsafePointer<Float>, _ scratch: SearchScratch) -> UnsafePointer<Float> {
        guard metric == .cosine else { return query }
        let dimension = vectors.columnCount
        scratch.reserveQuery(dimension)
        let scale = Self.inverseNorm(query, dimension)
        for i in 0..<dimension { scratch.query[i] = query[i] * scale }
        return UnsafePointer(scratch.query)
    }

    /// Scores of the rows `ids` for a prepared query.
    @inline(__always)
    func score(
        _ query: UnsafePointer<Float>, ids: UnsafePointer<UInt32>, count: Int, into scores: UnsafeMutablePointer<Float>
    ) {
        switch metric {
        case .innerProduct:
            Kernels.dotMany(
                query, base: vectors.base, stride: vectors.stride, ids: ids, count: count,
                dimension: vectors.columnCount, into: scores)
        case .l2:
            Kernels.l2Many(
                query, base: vectors.base, stride: vectors.stride, ids: ids, count: count,
                dimension: vectors.columnCount, into: scores)
        case .cosine:
            Kernels.dotMany(
                query, base: vectors.base, stride: vectors.stride, ids: ids, count: count,
                dimension: vectors.columnCount, into: scores)
            if let rowScale {
                for i in 0..<count { scores[i] *= rowScale[Int(ids[i])] }
            }
        }
    }

    /// The same from rows in half precision: good enough to find the way by.
    @inline(__always)
    func scoreRoughly(
        _ query: UnsafePointer<Float>, _ halves: HalfMatrix, ids: UnsafePointer<UInt32>, count: Int,
        into scores: UnsafeMutablePointer<Float>
    ) {
        Kernels.dotMany(
            query, halfBase: halves.base, stride: halves.stride, ids: ids, count: count,
            dimension: halves.columnCount, into: scores)
        if let rowScale {
            for i in 0..<count { scores[i] *= rowScale[Int(ids[i])] }
        }
    }

    /// Those of the rows `range` (at most a block) whose score is not below `threshold`; returns how many.
    @inline(__always)
    func scan(
        _ query: UnsafePointer<Float>, _ range: Range<Int>, threshold: Float, rows: UnsafeMutablePointer<UInt32>,
        scores: UnsafeMutablePointer<Float>
    ) -> Int {
        let start = vectors.base + range.lowerBound * vectors.stride
        if metric == .l2 {
            return Kernels.scanL2(
                query, rows: start, stride: vectors.stride, count: range.count, dimension: vectors.columnCount,
                threshold: threshold, first: UInt32(range.lowerBound), hitRows: rows, hitScores: scores)
        }
        return Kernels.scanDot(
            query, rows: start, stride: vectors.stride, count: range.count, dimension: vectors.columnCount,
            rowScale: rowScale.map { $0 + range.lowerBound }, threshold: threshold, first: UInt32(range.lowerBound),
            hitRows: rows, hitScores: scores)
    }
}
