import CKernels

extension DenseAlgebra {
    /// Improves each row `x` of `solutions` as the answer to its own least squares problem
    /// `(gram + lambda I + sum w y y^T) x = sum w y`, `y` over rows of `factors`.
    ///
    /// Rows are independent, so any split of rows over calls and threads gives the same bits.
    package struct LeastSquares {
        private let factors: DenseMatrix
        private let solutions: DenseMatrix
        private let gramRows: DenseMatrix
        private let gram: PackedMatrix

        /// - Parameters:
        ///   - gram: What all rows share, of order `factors.columnCount`.
        package init(factors: DenseMatrix, solutions: DenseMatrix, gram: SymmetricMatrix, scale: Double) {
            precondition(
                factors.columnCount == solutions.columnCount && gram.order == factors.columnCount,
                "factors of \(factors.columnCount) and \(solutions.columnCount) columns, gram of \(gram.order)")
            self.factors = factors
            self.solutions = solutions
            self.gram = PackedMatrix(gram, scale: scale)
            gramRows = DenseMatrix(rowCount: factors.stride, columnCount: factors.stride)
            for i in 0..<gram.order {
                for j in 0..<gram.order { gramRows.base[i * factors.stride + j] = Float(gram[i, j] * scale) }
            }
        }

        /// Which rows of the factors each problem is about.
        package struct Rows {
            /// `solutions.rowCount + 1` ascending numbers.
            let offsets: UnsafeBufferPointer<Int>
            let ids: UnsafeBufferPointer<UInt32>
            /// Nil: all 1.
            let weights: UnsafeBufferPointer<Float>?

            /// - Precondition: Every ID is a row of the factors; the caller has checked.
            package init(
                offsets: UnsafeBufferPointer<Int>, ids: UnsafeBufferPointer<UInt32>,
                weights: UnsafeBufferPointer<Float>?
            ) {
                self.offsets = offsets
                self.ids = ids
                self.weights = weights
            }
        }

        private func problem(_ rows: Rows) -> ck_least_squares {
            ck_least_squares(
                gram: gram.base, factors: factors.base, stride: factors.stride, k: factors.stride,
                ids: rows.ids.baseAddress, weights: rows.weights?.baseAddress)
        }

        /// Takes `steps` steps of conjugate gradients from where the solutions stand.
        ///
        /// - Returns: The weighted squared error `sum w (1 - y.x)^2` before the first step.
        package func conjugateGradients(
            _ range: Range<Int>, of rows: Rows, steps: Int, lambda: (Int) -> Float
        ) -> Double {
            precondition(range.upperBound <= solutions.rowCount && rows.offsets.count == solutions.rowCount + 1)
            var problem = problem(rows)
            let batch = Int(CK_CG_BATCH)
            let scratch = DenseMatrix(rowCount: 3 * batch, columnCount: factors.stride)
            var error = 0.0
            withUnsafeTemporaryAllocation(of: Int.self, capacity: batch + 1) { starts in
                withUnsafeTemporaryAllocation(of: Float.self, capacity: batch) { lambdas in
                    for first in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
                        let count = min(batch, range.upperBound - first)
                        for n in 0...count { starts[n] = rows.offsets[first + n] }
                        for n in 0..<count { lambdas[n] = lambda(first + n) }
                        error += table.pointee.conjugate_gradients(
                            &problem, starts.baseAddress, lambdas.baseAddress, count, Int32(steps),
                            solutions.base + first * solutions.stride, solutions.stride, scratch.base)
                    }
                }
            }
            return error
        }

        /// Solves exactly, by Cholesky.
        ///
        /// - Returns: A row whose matrix was not positive definite (it stays as it was), or nil.
        package func cholesky(_ range: Range<Int>, of rows: Rows, lambda: (Int) -> Float) -> Int? {
            precondition(range.upperBound <= solutions.rowCount && rows.offsets.count == solutions.rowCount + 1)
            var problem = problem(rows)
            let k = factors.stride
            let scratch = DenseMatrix(rowCount: k + 2 * Int(CK_GRAM_BLOCK) + 1, columnCount: k)
            var faulty: Int?
            for row in range {
                let fault = table.pointee.cholesky(
                    &problem, gramRows.base, rows.offsets[row], rows.offsets[row + 1], lambda(row),
                    factors.columnCount, solutions.base + row * k, scratch.base)
                if fault != 0 { faulty = row }
            }
            return faulty
        }
    }
}
