import CKernels

/// The one door to the SIMD kernels: batches of rows, scored by the best instruction set of the machine.
///
/// Nothing is checked here: callers hold a `FactorMatrix` and have checked rows and dimensions at their own door. Equal
/// rows get equal scores, bit for bit. `l2` scores are negated squared distances, so that higher is better everywhere.
package enum Kernels {
    /// The instruction set in use: "scalar", "avx2", "avx512" or "neon".
    package static var isa: String { String(cString: ck_isa_name(ck_isa())) }

    /// Inner products of `query` with `count` contiguous rows.
    @inlinable @inline(__always)
    package static func dot(
        _ query: UnsafePointer<Float>, rows: UnsafePointer<Float>, stride: Int, count: Int, dimension: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.dot_rows(query, rows, stride, count, dimension, out)
    }

    /// Negated squared distances of `query` to `count` contiguous rows.
    @inlinable @inline(__always)
    package static func l2(
        _ query: UnsafePointer<Float>, rows: UnsafePointer<Float>, stride: Int, count: Int, dimension: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.l2_rows(query, rows, stride, count, dimension, out)
    }

    /// Inner products of `query` with the rows `ids` of the matrix at `base`; rows ahead are prefetched.
    @inlinable @inline(__always)
    package static func dotMany(
        _ query: UnsafePointer<Float>, base: UnsafePointer<Float>, stride: Int, ids: UnsafePointer<UInt32>, count: Int,
        dimension: Int, into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.dot_gather(query, base, stride, ids, count, dimension, out)
    }

    /// Negated squared distances of `query` to the rows `ids` of the matrix at `base`; rows ahead are prefetched.
    @inlinable @inline(__always)
    package static func l2Many(
        _ query: UnsafePointer<Float>, base: UnsafePointer<Float>, stride: Int, ids: UnsafePointer<UInt32>, count: Int,
        dimension: Int, into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.l2_gather(query, base, stride, ids, count, dimension, out)
    }

    /// Inner products of `query` with `count` contiguous IEEE half rows.
    @inlinable @inline(__always)
    package static func dot(
        _ query: UnsafePointer<Float>, halfRows: UnsafePointer<UInt16>, stride: Int, count: Int, dimension: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.dot_rows_f16(query, halfRows, stride, count, dimension, out)
    }

    /// Inner products of `query` with the IEEE half rows `ids` of the matrix at `base`.
    @inlinable @inline(__always)
    package static func dotMany(
        _ query: UnsafePointer<Float>, halfBase: UnsafePointer<UInt16>, stride: Int, ids: UnsafePointer<UInt32>,
        count: Int, dimension: Int, into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.dot_gather_f16(query, halfBase, stride, ids, count, dimension, out)
    }

    /// Negated squared distances of `query` to the IEEE half rows `ids` of the matrix at `base`.
    @inlinable @inline(__always)
    package static func l2Many(
        _ query: UnsafePointer<Float>, halfBase: UnsafePointer<UInt16>, stride: Int, ids: UnsafePointer<UInt32>,
        count: Int, dimension: Int, into out: UnsafeMutablePointer<Float>
    ) {
        ck_active().pointee.l2_gather_f16(query, halfBase, stride, ids, count, dimension, out)
    }

    /// Inner product of two vectors. For a single pair only: a batch call costs little more.
    @inlinable @inline(__always)
    package static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, dimension: Int) -> Float {
        var score: Float = 0
        ck_active().pointee.dot_rows(a, b, dimension, 1, dimension, &score)
        return score
    }

    /// Reports those of `count` contiguous rows whose inner product (times `rowScale`, if given) is not below `threshold`.
    ///
    /// Row numbers count from `first` and ascend; `hitRows` and `hitScores` need room for `count + 16`. Returns how many.
    @inlinable @inline(__always)
    package static func scanDot(
        _ query: UnsafePointer<Float>, rows: UnsafePointer<Float>, stride: Int, count: Int, dimension: Int,
        rowScale: UnsafePointer<Float>?, threshold: Float, first: UInt32, hitRows: UnsafeMutablePointer<UInt32>,
        hitScores: UnsafeMutablePointer<Float>
    ) -> Int {
        ck_active().pointee.dot_scan(
            query, rows, stride, count, dimension, rowScale, threshold, first, hitRows, hitScores)
    }

    /// The same with negated squared distances.
    @inlinable @inline(__always)
    package static func scanL2(
        _ query: UnsafePointer<Float>, rows: UnsafePointer<Float>, stride: Int, count: Int, dimension: Int,
        threshold: Float, first: UInt32, hitRows: UnsafeMutablePointer<UInt32>,
        hitScores: UnsafeMutablePointer<Float>
    ) -> Int {
        ck_active().pointee.l2_scan(query, rows, stride, count, dimension, threshold, first, hitRows, hitScores)
    }

    /// Widens `count` IEEE halves.
    @inlinable @inline(__always)
    package static func widen(_ halves: UnsafePointer<UInt16>, count: Int, into out: UnsafeMutablePointer<Float>) {
        ck_active().pointee.f16_to_f32(halves, count, out)
    }

    /// Narrows `count` floats to IEEE half: nearest even, overflow to infinity.
    @inlinable @inline(__always)
    package static func narrow(_ values: UnsafePointer<Float>, count: Int, into out: UnsafeMutablePointer<UInt16>) {
        ck_active().pointee.f32_to_f16(values, count, out)
    }

    /// `y += a * x`.
    @inlinable @inline(__always)
    package static func axpy(_ a: Float, _ x: UnsafePointer<Float>, count: Int, onto y: UnsafeMutablePointer<Float>) {
        ck_active().pointee.axpy(a, x, count, y)
    }

    /// Whether no value is NaN or infinite.
    @inlinable @inline(__always)
    package static func allFinite(_ values: UnsafeBufferPointer<Float>) -> Bool {
        guard let base = values.baseAddress else { return true }
        return ck_active().pointee.all_finite(base, values.count) != 0
    }
}
