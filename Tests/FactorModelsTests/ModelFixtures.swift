import TestSupport
import VectorMath

@testable import FactorModels

/// Dense Float64 matrices, written for being obviously right.
struct Dense: Equatable {
    let rows: Int
    let columns: Int
    var values: [Double]

    init(_ rows: Int, _ columns: Int, _ element: (Int, Int) -> Double = { _, _ in 0 }) {
        self.rows = rows
        self.columns = columns
        values = []
        for i in 0..<rows { for j in 0..<columns { values.append(element(i, j)) } }
    }

    init(_ matrix: DenseMatrix) {
        self.init(matrix.rowCount, matrix.columnCount) { Double(matrix.row($0)[$1]) }
    }

    init(_ sparse: SparseMatrix) {
        self.init(sparse.rowCount, sparse.columnCount)
        for row in 0..<rows {
            for place in sparse.range(of: row) { self[row, Int(sparse.columns[place])] = Double(sparse.values[place]) }
        }
    }

    subscript(_ i: Int, _ j: Int) -> Double {
        get { values[i * columns + j] }
        set { values[i * columns + j] = newValue }
    }

    var transposed: Dense { Dense(columns, rows) { self[$1, $0] } }

    static func * (a: Dense, b: Dense) -> Dense {
        Dense(a.rows, b.columns) { i, j in (0..<a.columns).reduce(0) { $0 + a[i, $1] * b[$1, j] } }
    }

    /// The solution of `self x = right`, by elimination with pivots.
    func solving(_ right: [Double]) -> [Double] {
        var a = self
        var b = right
        for column in 0..<rows {
            let pivot = (column..<rows).max { abs(a[$0, column]) < abs(a[$1, column]) } ?? column
            for j in 0..<columns { (a[column, j], a[pivot, j]) = (a[pivot, j], a[column, j]) }
            (b[column], b[pivot]) = (b[pivot], b[column])
            for row in (column + 1)..<max(rows, column + 1) {
                let factor = a[row, column] / a[column, column]
                for j in column..<columns { a[row, j] -= factor * a[column, j] }
                b[row] -= factor * b[column]
            }
        }
        var x = b
        for row in (0..<rows).reversed() {
            for j in (row + 1)..<max(rows, row + 1) { x[row] -= a[row, j] * x[j] }
            x[row] /= a[row, row]
        }
        return x
    }

    func largestDifference(_ other: Dense) -> Double {
        precondition(rows == other.rows && columns == other.columns)
        return zip(values, other.values).map { abs($0 - $1) }.max() ?? 0
    }
}

extension SparseMatrix {
    /// Every user has some items; popular items stand first.
    static func random(users: Int, items: Int, perUser: Int, weighted: Bool = false, seed: UInt64) -> SparseMatrix {
        var random = SeededGenerator(seed: seed)
        var offsets = [0]
        var columns: [UInt32] = []
        for _ in 0..<users {
            var own: Set<UInt32> = []
            for _ in 0..<Int.random(in: 1...(2 * perUser), using: &random) {
                let place = Double.random(in: 0..<1, using: &random)
                own.insert(UInt32(place * place * Double(items)))
            }
            columns += own.sorted()
            offsets.append(columns.count)
        }
        let values = columns.map { _ in weighted ? Float(Int.random(in: 1...5, using: &random)) : 1 }
        return SparseMatrix(rowCount: users, columnCount: items, offsets: offsets, columns: columns, values: values)
    }
}
