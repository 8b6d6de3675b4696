import CKernels

/// The kernels that networks are trained with. Nothing is checked here: the trainer has laid its buffers out.
extension DenseAlgebra {
    /// `out = start + a * packed`, see `product` in dense_algebra.h.
    ///
    /// - Parameters:
    ///   - a: Element (row, term) is at `row * rowStep + term * termStep`.
    ///   - start: Rows `startStep` floats apart; nil: zeros.
    ///   - out: Rows `stride` floats apart, 16 * `panels` long.
    package static func product(
        _ a: UnsafePointer<Float>, rowStep: Int, termStep: Int, rows: Int, terms: Int, packed: UnsafePointer<Float>,
        panels: Int, start: UnsafePointer<Float>?, startStep: Int, into out: UnsafeMutablePointer<Float>, stride: Int,
        relu: Bool
    ) {
        table.pointee.product(
            a, rowStep, termStep, rows, terms, packed, panels, start, startStep, out, stride, relu ? 1 : 0)
    }

    /// Packs the transpose of rows: see `ck_pack_transposed`.
    package static func packTransposed(
        _ rows: UnsafePointer<Float>, stride: Int, count: Int, length: Int, into packed: UnsafeMutablePointer<Float>
    ) {
        ck_pack_transposed(rows, stride, count, length, packed)
    }
}
