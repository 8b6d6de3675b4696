import VectorMath

/// The cosines of some rows of a matrix with one more row at a time.
///
/// The rows are copied at length 1 into memory of their own, 64 floats a row at rank 64: they stay in a near cache while
/// the places of a slate are filled. A row of zeros is like nothing.
struct UnsafeCosines {
    private let matrix: RowMatrix
    private let dimension: Int
    private let stride: Int
    private let count: Int
    private var units: [Float]
    private var query: [Float]
    private var products: [Float]

    /// - Parameter rows: Those past the matrix are rows of zeros.
    /// - Complexity: O(rows * rank).
    init(_ matrix: RowMatrix, rows: some Collection<UInt32>) {
        self.matrix = matrix
        dimension = matrix.columnCount
        stride = (dimension + FactorMatrix.rowAlignment - 1) / FactorMatrix.rowAlignment * FactorMatrix.rowAlignment
        count = rows.count
        units = Array(repeating: 0, count: count * stride)
        query = Array(repeating: 0, count: stride)
        products = Array(repeating: 0, count: count)
        units.withUnsafeMutableBufferPointer { units in
            guard let base = units.baseAddress else { return }
            for (place, row) in rows.enumerated() {
                Self.copyUnit(matrix, row, dimension, into: base + place * stride)
            }
        }
    }

    private static func copyUnit(
        _ matrix: RowMatrix, _ row: UInt32, _ dimension: Int, into out: UnsafeMutablePointer<Float>
    ) {
        guard Int(row) < matrix.rowCount else {
            for column in 0..<dimension { out[column] = 0 }
            return
        }
        switch matrix {
        case .floats(let rows): out.update(from: rows.base + Int(row) * rows.stride, count: dimension)
        case .halves(let rows): Kernels.widen(rows.base + Int(row) * rows.stride, count: dimension, into: out)
        }
        let square = Kernels.dot(out, out, dimension: dimension)
        let scale = square > 0 && square.isFinite ? 1 / square.squareRoot() : 0
        for column in 0..<dimension { out[column] *= scale }
    }

    /// Raises each of `greatest` to the cosine of its row with `row`.
    ///
    /// - Complexity: O(rows * rank).
    mutating func raise(_ greatest: inout [Float], by row: UInt32) {
        precondition(greatest.count == count, "\(greatest.count) cosines of \(count) rows")
        let (count, stride, dimension, matrix) = (count, stride, dimension, matrix)
        query.withUnsafeMutableBufferPointer { query in
            units.withUnsafeBufferPointer { units in
                products.withUnsafeMutableBufferPointer { products in
                    guard let query = query.baseAddress, let units = units.baseAddress,
                        let products = products.baseAddress
                    else { return }
                    Self.copyUnit(matrix, row, dimension, into: query)
                    Kernels.dot(query, rows: units, stride: stride, count: count, dimension: dimension, into: products)
                    for index in 0..<count where products[index] > greatest[index] {
                        greatest[index] = products[index]
                    }
                }
            }
        }
    }
}
