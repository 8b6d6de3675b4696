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
}
