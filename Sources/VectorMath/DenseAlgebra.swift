import CKernels

/// The door to the dense kernels of training: products of tall matrices with small ones, and least squares.
///
/// Shapes are checked here, once per call; the kernels then run without checks. A result never depends on how the rows
/// are dealt to threads.
package enum DenseAlgebra {
    // Points to a constant table of the C code.
    nonisolated(unsafe) static let table: UnsafePointer<ck_algebra> = {
        guard let table = ck_algebra_of(ck_isa()) ?? ck_algebra_of(0) else {
            preconditionFailure("no dense kernels in this build")
        }
        return table
    }()

    /// `length` padded to whole panels: the float count of a row that the kernels take.
    package static func padded(_ length: Int) -> Int {
        (length + Int(CK_PANEL) - 1) / Int(CK_PANEL) * Int(CK_PANEL)
    }

    /// `c[rows] = a[rows] * b`, or `+=` with `accumulating`.
    package static func multiply(
        _ a: DenseMatrix, rows: Range<Int>, _ b: PackedMatrix, into c: DenseMatrix, accumulating: Bool = false
    ) {
        precondition(a.stride == b.rowStride && c.stride == b.columnStride, "shapes do not fit")
        precondition(rows.lowerBound >= 0 && rows.upperBound <= min(a.rowCount, c.rowCount), "rows out of range")
        table.pointee.multiply(
            a.base + rows.lowerBound * a.stride, a.stride, rows.count, a.stride, b.base, b.columnStride / 16,
            c.base + rows.lowerBound * c.stride, c.stride, accumulating ? 1 : 0)
    }

    /// `out[0..<rows.count] = a[rows] * b`, rows `b.columnStride` floats apart.
    package static func multiply(
        _ a: DenseMatrix, rows: Range<Int>, _ b: PackedMatrix, into out: UnsafeMutableBufferPointer<Float>,
        accumulating: Bool = false
    ) {
        precondition(a.stride == b.rowStride && out.count >= rows.count * b.columnStride, "shapes do not fit")
        precondition(rows.lowerBound >= 0 && rows.upperBound <= a.rowCount, "rows out of range")
        guard let first = out.baseAddress else { return }
        table.pointee.multiply(
            a.base + rows.lowerBound * a.stride, a.stride, rows.count, a.stride, b.base, b.columnStride / 16, first,
            b.columnStride, accumulating ? 1 : 0)
    }

    /// The symmetric matrix `a^T a`, summed in Float32 over runs of rows and in Float64 over the runs.
    ///
    /// - Complexity: O(rows * columns^2) over all threads. How rows fall into runs depends on their number only.
    package static func gram(_ a: DenseMatrix, threads: Int) -> SymmetricMatrix {
        let k = a.stride
        let runs = min(32, max(1, a.rowCount / 512))
        let parts = DenseMatrix(rowCount: runs * k, columnCount: k)
        Parallel.forEach(count: runs, grain: 1, threads: threads) { range in
            let scratch = DenseMatrix(rowCount: Int(CK_GRAM_BLOCK), columnCount: k)
            for run in range {
                let first = a.rowCount * run / runs
                let count = a.rowCount * (run + 1) / runs - first
                table.pointee.gram(
                    a.base + first * k, k, count, k, parts.base + run * k * k, k, scratch.base)
            }
        }
        var result = SymmetricMatrix(order: a.columnCount)
        for i in 0..<a.columnCount {
            for j in i..<a.columnCount {
                var sum = 0.0
                for run in 0..<runs { sum += Double(parts.base[(run * k + i) * k + j]) }
                result[i, j] = sum
                result[j, i] = sum
            }
        }
        return result
    }

    /// `y += sum of values[n] * matrix[ids[n]]`.
    package static func gatherSum(
        _ matrix: DenseMatrix, ids: UnsafeBufferPointer<UInt32>, values: UnsafePointer<Float>,
        into y: UnsafeMutablePointer<Float>
    ) {
        guard let first = ids.baseAddress else { return }
        table.pointee.gather_sum(matrix.base, matrix.stride, matrix.stride, first, values, ids.count, y)
    }
}

/// A matrix under work: rows padded with zeros to whole panels, on 64-byte lines.
///
/// `@unchecked Sendable`: the threads of a fit write disjoint rows; nobody reads a row before the thread that writes it
/// has been waited for.
package final class DenseMatrix: @unchecked Sendable {
    package let rowCount: Int
    package let columnCount: Int
    /// Floats from one row to the next: `columnCount` padded.
    package let stride: Int
    package let base: UnsafeMutablePointer<Float>

    /// Zeros.
    package init(rowCount: Int, columnCount: Int) {
        precondition(rowCount >= 0 && columnCount >= 1, "a matrix of \(rowCount) x \(columnCount)")
        self.rowCount = rowCount
        self.columnCount = columnCount
        stride = DenseAlgebra.padded(columnCount)
        let count = max(rowCount, 1) * stride
        base = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
        base.update(repeating: 0, count: count)
    }

    deinit { base.deallocate() }

    /// The floats of a row that count.
    package func row(_ r: Int) -> UnsafeMutableBufferPointer<Float> {
        precondition(r >= 0 && r < rowCount, "row \(r) is not in 0..<\(rowCount)")
        return UnsafeMutableBufferPointer(start: base + r * stride, count: columnCount)
    }

    /// The same memory as a sealed matrix; write no more.
    package func sealed() -> FactorMatrix {
        FactorMatrix(
            borrowing: UnsafePointer(base), rowCount: rowCount, columnCount: columnCount, stride: stride, owner: self)
    }
}

/// The right side of a product, in column panels. Sealed.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class PackedMatrix: @unchecked Sendable {
    /// Padded rows and columns.
    package let rowStride: Int
    package let columnStride: Int
    let base: UnsafeMutablePointer<Float>

    /// Packs a square matrix times `scale`.
    package init(_ matrix: SymmetricMatrix, scale: Double = 1) {
        let n = DenseAlgebra.padded(matrix.order)
        rowStride = n
        columnStride = n
        base = Self.allocate(n * n)
        let rows = DenseMatrix(rowCount: n, columnCount: n)
        for i in 0..<matrix.order {
            for j in 0..<matrix.order { rows.base[i * n + j] = Float(matrix[i, j] * scale) }
        }
        ck_pack(rows.base, n, n, n, base)
    }

    /// Packs `rows` as they are: the product is with the matrix of these rows.
    ///
    /// - Precondition: As many rows as the left side has columns, padding counted.
    package init(_ rows: DenseMatrix) {
        rowStride = DenseAlgebra.padded(rows.rowCount)
        columnStride = rows.stride
        base = Self.allocate(rowStride * columnStride)
        let whole = DenseMatrix(rowCount: rowStride, columnCount: rows.columnCount)
        whole.base.update(from: rows.base, count: rows.rowCount * rows.stride)
        ck_pack(whole.base, rows.stride, rowStride, rows.stride, base)
    }

    /// Packs the transpose of `rows`: the product holds inner products with these rows.
    package init(transposing rows: DenseMatrix) {
        rowStride = rows.stride
        columnStride = DenseAlgebra.padded(rows.rowCount)
        base = Self.allocate(rowStride * columnStride)
        ck_pack_transposed(rows.base, rows.stride, rows.rowCount, rows.stride, base)
    }

    deinit { base.deallocate() }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        AlignedMemory.allocate(byteCount: max(count, 1) * 4).bindMemory(to: Float.self, capacity: max(count, 1))
    }
}
