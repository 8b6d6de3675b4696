import CKernels
import Synchronization
import VectorMath

/// Scores rows of a matrix under a metric: the one place where a metric becomes a kernel call.
///
/// For cosine the query comes normalised and each row's score is multiplied by the inverse of its norm (0 for a zero
/// row), so that the factors need no normalised copy. Rows in half precision score exactly as the floats they widen to.
final class RowScorer: Sendable {
    let rows: RowMatrix
    let metric: SimilarityMetric
    let rowCount: Int
    let dimension: Int
    /// Inverse norms, for cosine only.
    nonisolated(unsafe) let rowScale: UnsafePointer<Float>?
    private let ownsScale: Bool
    private let stride: Int
    nonisolated(unsafe) private let base: Base

    /// Where `rows` begin.
    private enum Base {
        case floats(UnsafePointer<Float>)
        case halves(UnsafePointer<UInt16>)
    }

    /// - Throws: `vectorNotFinite` for the first such row.
    convenience init(_ vectors: FactorMatrix, _ metric: SimilarityMetric, threads: Int = 1) throws(IndexBuildError) {
        try self.init(rows: .floats(vectors), metric, threads: threads)
    }

    /// - Throws: `vectorNotFinite` for the first such row.
    convenience init(rows: RowMatrix, _ metric: SimilarityMetric, threads: Int = 1) throws(IndexBuildError) {
        guard rows.rowCount < PoolKey.nodesMax else { throw .tooManyRows(rows.rowCount) }
        let scale = metric == .cosine ? UnsafeMutablePointer<Float>.allocate(capacity: max(rows.rowCount, 1)) : nil
        self.init(rows, metric, rowScale: scale.map { UnsafePointer($0) }, ownsScale: true)
        if let row = firstNotFinite(threads: threads) { throw .vectorNotFinite(row: row) }
        guard let scale else { return }
        nonisolated(unsafe) let target = scale
        // Each range of rows is written by one thread.
        Parallel.forEach(count: rowCount, grain: 16_384, threads: threads) { range in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { room in
                guard let room = room.baseAddress else { return }
                for row in range { target[row] = Self.inverseNorm(floats(of: row, room), dimension) }
            }
        }
    }

    /// Scores rows that are written later, each checked by its writer, who writes its `rowScale` with it.
    ///
    /// - Parameter rowScale: For cosine only; memory that lives as long as `vectors`.
    convenience init(growing vectors: FactorMatrix, _ metric: SimilarityMetric, rowScale: UnsafePointer<Float>?) {
        precondition((metric == .cosine) == (rowScale != nil), "only cosine has scales")
        self.init(.floats(vectors), metric, rowScale: rowScale, ownsScale: false)
    }

    private init(_ rows: RowMatrix, _ metric: SimilarityMetric, rowScale: UnsafePointer<Float>?, ownsScale: Bool) {
        self.rows = rows
        self.metric = metric
        rowCount = rows.rowCount
        dimension = rows.columnCount
        self.rowScale = rowScale
        self.ownsScale = ownsScale
        switch rows {
        case .floats(let matrix): (base, stride) = (.floats(matrix.base), matrix.stride)
        case .halves(let matrix): (base, stride) = (.halves(matrix.base), matrix.stride)
        }
    }

    deinit { if ownsScale { rowScale?.deallocate() } }

    /// The rows, which must be floats: graphs are built over no others.
    var vectors: FactorMatrix {
        guard case .floats(let matrix) = rows else { preconditionFailure("a graph is built over halves") }
        return matrix
    }

    /// Where the rows lie, and the bytes from one to the next.
    var memory: (rows: UnsafeRawPointer, stride: Int) {
        switch base {
        case .floats(let base): (UnsafeRawPointer(base), stride * 4)
        case .halves(let base): (UnsafeRawPointer(base), stride * 2)
        }
    }

    /// Asks for the beginning of a row.
    @inline(__always)
    func prefetch(_ row: UInt32) {
        let start = memory.rows + Int(row) &* memory.stride
        for line in 0..<4 { ck_prefetch(start + line &* 64) }
    }

    /// The floats of a row: where they lie, or written to `room`, which holds `dimension` floats.
    @inline(__always)
    func floats(of row: Int, _ room: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        switch base {
        case .floats(let base): return base + row * stride
        case .halves(let base):
            Kernels.widen(base + row * stride, count: dimension, into: room)
            return UnsafePointer(room)
        }
    }

    private func firstNotFinite(threads: Int) -> Int? {
        if case .floats(let matrix) = rows, matrix.isFinite(threads: threads) { return nil }
        let first = Mutex<Int?>(nil)
        Parallel.forEach(count: rowCount, grain: 16_384, threads: threads) { range in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { room in
                guard let base = room.baseAddress else { return }
                let bad = range.first {
                    !Kernels.allFinite(UnsafeBufferPointer(start: floats(of: $0, base), count: dimension))
                }
                if let bad { first.withLock { $0 = min($0 ?? bad, bad) } }
            }
        }
        return first.withLock { $0 }
    }

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
        switch base {
        case .floats(let base):
            if metric == .l2 {
                Kernels.l2Many(
                    query, base: base, stride: stride, ids: ids, count: count, dimension: dimension, into: scores)
            } else {
                Kernels.dotMany(
                    query, base: base, stride: stride, ids: ids, count: count, dimension: dimension, into: scores)
            }
        case .halves(let base):
            if metric == .l2 {
                Kernels.l2Many(
                    query, halfBase: base, stride: stride, ids: ids, count: count, dimension: dimension, into: scores)
            } else {
                Kernels.dotMany(
                    query, halfBase: base, stride: stride, ids: ids, count: count, dimension: dimension, into: scores)
            }
        }
        if let rowScale {
            for i in 0..<count { scores[i] *= rowScale[Int(ids[i])] }
        }
    }

    /// The same from rows in half precision: good enough to find the way by.
    @inline(__always)
    func scoreRoughly(
        _ query: UnsafePointer<Float>, _ halves: HalfMatrix, ids: UnsafePointer<UInt32>, count: Int,
        into scores: UnsafeMutablePointer<Float>
    ) {
        if metric == .l2 {
            Kernels.l2Many(
                query, halfBase: halves.base, stride: halves.stride, ids: ids, count: count,
                dimension: halves.columnCount, into: scores)
        } else {
            Kernels.dotMany(
                query, halfBase: halves.base, stride: halves.stride, ids: ids, count: count,
                dimension: halves.columnCount, into: scores)
        }
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
        guard case .floats(let base) = base else {
            // The fallback of walks and nothing that is often done: no kernel of its own.
            for i in 0..<range.count { rows[i] = UInt32(range.lowerBound + i) }
            score(query, ids: rows, count: range.count, into: scores)
            var kept = 0
            for i in 0..<range.count where !(scores[i] < threshold) {
                rows[kept] = rows[i]
                scores[kept] = scores[i]
                kept += 1
            }
            return kept
        }
        let start = base + range.lowerBound * stride
        if metric == .l2 {
            return Kernels.scanL2(
                query, rows: start, stride: stride, count: range.count, dimension: dimension,
                threshold: threshold, first: UInt32(range.lowerBound), hitRows: rows, hitScores: scores)
        }
        return Kernels.scanDot(
            query, rows: start, stride: stride, count: range.count, dimension: dimension,
            rowScale: rowScale.map { $0 + range.lowerBound }, threshold: threshold, first: UInt32(range.lowerBound),
            hitRows: rows, hitScores: scores)
    }
}
