/// How the rows that searches score by are held.
package enum RowPrecision: String, Sendable, CaseIterable {
    case f32, f16
}

/// The rows that searches score by: floats, or the same rounded to half the memory.
package enum RowMatrix: Sendable {
    case floats(FactorMatrix)
    case halves(HalfMatrix)

    /// `matrix` itself, or its rows in half precision where that is wanted and can hold their values.
    ///
    /// - Parameter threads: That narrow the rows.
    package init(_ matrix: FactorMatrix, in precision: RowPrecision, threads: Int) {
        if precision == .f16, let halves = HalfMatrix(matrix, threads: threads) {
            self = .halves(halves)
        } else {
            self = .floats(matrix)
        }
    }

    package var precision: RowPrecision {
        switch self {
        case .floats: .f32
        case .halves: .f16
        }
    }

    package var rowCount: Int {
        switch self {
        case .floats(let matrix): matrix.rowCount
        case .halves(let matrix): matrix.rowCount
        }
    }

    package var columnCount: Int {
        switch self {
        case .floats(let matrix): matrix.columnCount
        case .halves(let matrix): matrix.columnCount
        }
    }

    package var byteCount: Int {
        switch self {
        case .floats(let matrix): matrix.rowCount * matrix.stride * 4
        case .halves(let matrix): matrix.byteCount
        }
    }

    /// Bytes of rows that are held so.
    package static func byteCount(rowCount: Int, columnCount: Int, as precision: RowPrecision) -> Int {
        switch precision {
        case .f32: FactorMatrix.byteCount(rowCount: rowCount, columnCount: columnCount)
        case .f16: HalfMatrix.byteCount(rowCount: rowCount, columnCount: columnCount)
        }
    }

    /// Inner products of `query` with the rows `ids`.
    ///
    /// - Precondition: `query` has `columnCount` floats, every row is one of the matrix, `out` holds `ids.count`.
    package func dotMany(_ query: [Float], ids: [UInt32], into out: inout [Float]) {
        precondition(query.count == columnCount && out.count >= ids.count, "shapes do not fit")
        precondition(ids.allSatisfy { Int($0) < rowCount }, "a row is not in 0..<\(rowCount)")
        out.withUnsafeMutableBufferPointer { out in
            guard let base = out.baseAddress else { return }
            switch self {
            case .floats(let matrix):
                Kernels.dotMany(
                    query, base: matrix.base, stride: matrix.stride, ids: ids, count: ids.count,
                    dimension: columnCount, into: base)
            case .halves(let matrix):
                Kernels.dotMany(
                    query, halfBase: matrix.base, stride: matrix.stride, ids: ids, count: ids.count,
                    dimension: columnCount, into: base)
            }
        }
    }
}
