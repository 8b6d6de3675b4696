import CKernels

/// The least squares problem that all users of a factor model share, ready to be solved for one of them at a time:
///
/// ```
/// (gram + lambda I + sum w y y^T) x = sum w y          y over the rows named, which may stand there several times
/// ```
/// Two exact ways lead to `x`, and a formula that depends on the number of rows and the rank alone chooses, so that every
/// machine of a kind gets the same bits:
///
/// - **primal**: the matrix above, rank x rank, by Cholesky: `n k^2 / 2 + k^3 / 6` multiplications.
/// - **dual**, for few rows: with `gram = V s V^T` and `Z = Y V`, the n x n system
///   `(diag(1/w) + Z diag(1 / (s + lambda)) Z^T) a = 1`, then `x = V diag(1 / (s + lambda)) Z^T a` (Woodbury):
///   `n k^2 + n^2 k / 2` multiplications and two passes over `V`.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class RidgeSystem: @unchecked Sendable {
    /// Which way a problem is solved.
    package enum Form: Sendable, Equatable { case primal, dual }

    /// Rows that are multiplied together: they and their packed copy stay in the second cache.
    static let blockRows = 128
    /// Larger matrices are not diagonalised: that takes a second at 512, at every load.
    package static let dualRankMax = 256

    package let rows: RowMatrix
    package let rank: Int
    /// `rank` padded to whole panels.
    private let k: Int
    private let gram: DenseMatrix
    private let spectrum: Spectrum?

    private struct Spectrum {
        /// Of `gram`, none negative; padded with zeros.
        let values: [Float]
        let vectors: PackedMatrix
        let transposed: PackedMatrix
    }

    /// - Parameters:
    ///   - gram: What all users share, of the order of the rows' columns.
    ///   - hasDual: Whether to prepare the way for few rows.
    /// - Complexity: O(rank^3) with `hasDual`: 3 ms at rank 64, 0.1 s at 256.
    package init(rows: RowMatrix, gram: SymmetricMatrix, hasDual: Bool = true) {
        precondition(gram.order == rows.columnCount, "gram of \(gram.order), rows of \(rows.columnCount)")
        self.rows = rows
        rank = gram.order
        let k = DenseAlgebra.padded(rank)
        self.k = k
        self.gram = DenseMatrix(rowCount: k, columnCount: k)
        for i in 0..<rank { for j in 0..<rank { self.gram.base[i * k + j] = Float(gram[i, j]) } }
        guard hasDual, rank <= Self.dualRankMax, rank >= 16 else {
            spectrum = nil
            return
        }
        let (values, vectors) = gram.eigen()
        let basis = DenseMatrix(rowCount: k, columnCount: k)
        let transposed = DenseMatrix(rowCount: k, columnCount: k)
        for i in 0..<rank {
            for j in 0..<rank {
                basis.base[i * k + j] = Float(vectors[i * rank + j])
                transposed.base[j * k + i] = Float(vectors[i * rank + j])
            }
        }
        spectrum = Spectrum(
            values: values.map { Float(max($0, 0)) } + Array(repeating: 0, count: k - rank),
            vectors: PackedMatrix(basis), transposed: PackedMatrix(transposed))
    }

    /// Bytes beside the rows.
    package var byteCount: Int { k * k * 4 * (spectrum == nil ? 1 : 3) }

    /// The way that was measured to be the quicker one for `count` rows.
    package func form(for count: Int) -> Form {
        spectrum != nil && count * Self.dualShare <= rank ? .dual : .primal
    }

    /// See `form(for:)`: the dual form is the quicker one up to this part of the rank.
    static let dualShare = 4

    /// Solves for one user.
    ///
    /// - Parameters:
    ///   - weights: One for each of `ids`, finite and at least 0; nil: all 1.
    ///   - lambda: Above 0.
    ///   - form: Nil: the quicker one. The dual one falls back where it is not made or cannot hold the numbers.
    /// - Returns: False where Float32 cannot hold the numbers on the way; `out` is then undefined.
    /// - Precondition: Every ID is a row, `out` has `rank` floats.
    /// - Complexity: See above; allocates nothing.
    package func solve(
        ids: UnsafeBufferPointer<UInt32>, weights: UnsafePointer<Float>?, lambda: Float, form: Form? = nil,
        into out: UnsafeMutableBufferPointer<Float>, _ scratch: RidgeScratch
    ) -> Bool {
        precondition(out.count == rank && scratch.k == k, "room for \(out.count) of \(rank), scratch of \(scratch.k)")
        guard let target = out.baseAddress else { return true }
        var isSolved = false
        if (form ?? self.form(for: ids.count)) == .dual, let spectrum, ids.count <= min(k, Self.blockRows) {
            isSolved = solveDual(spectrum, ids, weights, lambda, scratch)
        }
        if !isSolved { isSolved = solvePrimal(ids, weights, lambda, scratch) }
        target.update(from: scratch.solution, count: rank)
        return isSolved && Kernels.allFinite(UnsafeBufferPointer(out))
    }

    private func solvePrimal(
        _ ids: UnsafeBufferPointer<UInt32>, _ weights: UnsafePointer<Float>?, _ lambda: Float, _ scratch: RidgeScratch
    ) -> Bool {
        let algebra = DenseAlgebra.table.pointee
        let (matrix, right) = (scratch.matrix, scratch.solution)
        matrix.update(from: gram.base, count: k * k)
        right.update(repeating: 0, count: k)
        var start = 0
        while start < ids.count {
            let count = min(Self.blockRows, ids.count - start)
            let part = UnsafeBufferPointer(rebasing: ids[start..<start + count])
            gather(part, weights.map { $0 + start }, scratch)
            algebra.gather_sum(scratch.rows, k, k, scratch.places, scratch.roots, count, right)
            algebra.gram(scratch.rows, k, count, k, matrix, k, scratch.packed)
            start += count
        }
        for i in 0..<rank { matrix[i * k + i] += lambda }
        return algebra.solve_positive(matrix, rank, k, right, scratch.packed) == 0
    }

    private func solveDual(
        _ spectrum: Spectrum, _ ids: UnsafeBufferPointer<UInt32>, _ weights: UnsafePointer<Float>?, _ lambda: Float,
        _ scratch: RidgeScratch
    ) -> Bool {
        let algebra = DenseAlgebra.table.pointee
        let count = ids.count
        let n = DenseAlgebra.padded(count)
        // Rows come multiplied by the roots of their weights, so that the system is I + R R^T with right side sqrt(w).
        gather(ids, weights, scratch)
        let (turned, matrix, scales) = (scratch.packed, scratch.matrix, scratch.scales)
        algebra.multiply(scratch.rows, k, count, k, spectrum.vectors.base, k / Int(CK_PANEL), turned, k, 0)
        for j in 0..<k { scales[j] = 1 / (spectrum.values[j] + lambda).squareRoot() }
        for i in 0..<count { for j in 0..<k { turned[i * k + j] *= scales[j] } }
        ck_pack_transposed(turned, k, count, k, scratch.rows)
        algebra.multiply(turned, k, count, k, scratch.rows, n / Int(CK_PANEL), matrix, n, 0)
        (matrix + count * n).update(repeating: 0, count: (n - count) * n)
        for i in 0..<count { matrix[i * n + i] += 1 }
        let answer = scratch.answer
        answer.update(from: scratch.roots, count: count)
        guard algebra.solve_positive(matrix, count, n, answer, scratch.rows) == 0 else { return false }
        let sum = scratch.sum
        sum.update(repeating: 0, count: k)
        algebra.gather_sum(turned, k, k, scratch.places, answer, count, sum)
        for j in 0..<k { sum[j] *= scales[j] }
        algebra.multiply(sum, k, 1, k, spectrum.transposed.base, k / Int(CK_PANEL), scratch.solution, k, 0)
        return true
    }

    /// Copies rows, as floats and times the roots of their weights, to `scratch.rows`.
    private func gather(
        _ ids: UnsafeBufferPointer<UInt32>, _ weights: UnsafePointer<Float>?, _ scratch: RidgeScratch
    ) {
        scratch.rows.update(repeating: 0, count: ids.count * k)
        for n in ids.indices { scratch.roots[n] = weights.map { $0[n].squareRoot() } ?? 1 }
        switch rows {
        case .floats(let matrix):
            for n in ids.indices {
                if n + 8 < ids.count { Self.prefetch(matrix.base + Int(ids[n + 8]) * matrix.stride, bytes: rank * 4) }
                Kernels.axpy(
                    scratch.roots[n], matrix.base + Int(ids[n]) * matrix.stride, count: rank,
                    onto: scratch.rows + n * k)
            }
        case .halves(let matrix):
            for n in ids.indices {
                if n + 8 < ids.count { Self.prefetch(matrix.base + Int(ids[n + 8]) * matrix.stride, bytes: rank * 2) }
                Kernels.widen(matrix.base + Int(ids[n]) * matrix.stride, count: rank, into: scratch.row)
                Kernels.axpy(scratch.roots[n], scratch.row, count: rank, onto: scratch.rows + n * k)
            }
        }
    }

    @inline(__always)
    private static func prefetch(_ start: UnsafeRawPointer, bytes: Int) {
        for offset in stride(from: 0, to: bytes, by: 64) { ck_prefetch(start + offset) }
    }
}

/// What `RidgeSystem.solve` works in: `rank^2 + 256 * rank` floats. One thread's at a time.
package final class RidgeScratch {
    let k: Int
    private let memory: UnsafeMutableRawPointer
    let matrix: UnsafeMutablePointer<Float>
    let rows: UnsafeMutablePointer<Float>
    let packed: UnsafeMutablePointer<Float>
    let solution: UnsafeMutablePointer<Float>
    let answer: UnsafeMutablePointer<Float>
    let sum: UnsafeMutablePointer<Float>
    let scales: UnsafeMutablePointer<Float>
    let row: UnsafeMutablePointer<Float>
    let roots: UnsafeMutablePointer<Float>
    /// 0, 1, 2 ...: the names of gathered rows.
    let places: UnsafeMutablePointer<UInt32>

    package init(rank: Int) {
        let k = DenseAlgebra.padded(rank)
        let block = RidgeSystem.blockRows
        self.k = k
        let count = k * k + 2 * block * k + 4 * k + max(k, block) + block
        memory = AlignedMemory.allocate(byteCount: (count + block) * 4)
        let floats = memory.bindMemory(to: Float.self, capacity: count)
        floats.update(repeating: 0, count: count)
        matrix = floats
        rows = matrix + k * k
        packed = rows + block * k
        solution = packed + block * k
        sum = solution + k
        scales = sum + k
        row = scales + k
        answer = row + k
        roots = answer + max(k, block)
        places = (memory + count * 4).bindMemory(to: UInt32.self, capacity: block)
        for n in 0..<block { places[n] = UInt32(n) }
    }

    deinit { memory.deallocate() }
}

extension DenseAlgebra {
    /// The Gram matrix of rows as they are held: see `gram` of a `DenseMatrix`.
    ///
    /// - Complexity: O(rows * columns^2) over all threads.
    package static func gram(_ rows: RowMatrix, threads: Int) -> SymmetricMatrix {
        let order = rows.columnCount
        let k = padded(order)
        let block = Int(CK_GRAM_BLOCK)
        let runs = min(32, max(1, rows.rowCount / 512))
        let parts = DenseMatrix(rowCount: runs * k, columnCount: k)
        Parallel.forEach(count: runs, grain: 1, threads: threads) { range in
            let copies = DenseMatrix(rowCount: block, columnCount: order)
            let packed = DenseMatrix(rowCount: block, columnCount: k)
            for run in range {
                var first = rows.rowCount * run / runs
                let end = rows.rowCount * (run + 1) / runs
                while first < end {
                    let count = min(block, end - first)
                    for n in 0..<count { rows.copy(first + n, into: copies.base + n * k) }
                    table.pointee.gram(copies.base, k, count, k, parts.base + run * k * k, k, packed.base)
                    first += count
                }
            }
        }
        var result = SymmetricMatrix(order: order)
        for i in 0..<order {
            for j in i..<order {
                var sum = 0.0
                for run in 0..<runs { sum += Double(parts.base[(run * k + i) * k + j]) }
                result[i, j] = sum
                result[j, i] = sum
            }
        }
        return result
    }
}

extension RowMatrix {
    /// Copies the floats of row `row` to `out`, which has room for `columnCount`.
    func copy(_ row: Int, into out: UnsafeMutablePointer<Float>) {
        switch self {
        case .floats(let matrix): out.update(from: matrix.base + row * matrix.stride, count: matrix.columnCount)
        case .halves(let matrix):
            Kernels.widen(matrix.base + row * matrix.stride, count: matrix.columnCount, into: out)
        }
    }

    /// Copies the floats of a row.
    ///
    /// - Precondition: The row is one of the matrix, `out` has `columnCount` floats.
    package func copy(_ row: UInt32, into out: UnsafeMutableBufferPointer<Float>) {
        precondition(Int(row) < rowCount && out.count == columnCount, "row \(row) of \(rowCount) into \(out.count)")
        if let base = out.baseAddress { copy(Int(row), into: base) }
    }
}
