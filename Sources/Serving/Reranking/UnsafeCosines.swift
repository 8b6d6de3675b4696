import Retrieval
import VectorMath

/// The cosines of some rows of a matrix with one more row at a time.
///
/// The rows are copied at length 1 into memory of their own, 64 floats a row at rank 64: they stay in a near cache while
/// the places of a slate are filled. A row of zeros is like nothing.
struct UnsafeCosines {
    private let matrix: RowMatrix
    private let added: AddedItems?
    private let dimension: Int
    private let stride: Int
    private let count: Int
    private var units: [Float]
    private var query: [Float]
    private var products: [Float]

    /// - Parameters:
    ///   - added: Has the rows past the matrix; without it they are zeros.
    ///   - rows: Of the matrix, or past it.
    /// - Complexity: O(rows * rank).
    init(_ matrix: RowMatrix, added: AddedItems? = nil, rows: some Collection<UInt32>) {
        self.matrix = matrix
        self.added = added
        dimension = matrix.columnCount
        stride = (dimension + FactorMatrix.rowAlignment - 1) / FactorMatrix.rowAlignment * FactorMatrix.rowAlignment
        count = rows.count
        units = Array(repeating: 0, count: count * stride)
        query = Array(repeating: 0, count: stride)
        products = Array(repeating: 0, count: count)
        units.withUnsafeMutableBufferPointer { units in
            guard let base = units.baseAddress else { return }
            for (place, row) in rows.enumerated() {
                Self.copyUnit(matrix, added, row, dimension, into: base + place * stride)
            }
        }
    }

    private static func copyUnit(
        _ matrix: RowMatrix, _ added: AddedItems?, _ row: UInt32, _ dimension: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        if Int(row) < matrix.rowCount {
            switch matrix {
            case .floats(let rows): out.update(from: rows.base + Int(row) * rows.stride, count: dimension)
            case .halves(let rows): Kernels.widen(rows.base + Int(row) * rows.stride, count: dimension, into: out)
            }
        } else if let added, added.dimension == dimension, Int(row) - matrix.rowCount < added.count {
            added.copyVector(Int(row) - matrix.rowCount, into: out)
        } else {
            for column in 0..<dimension { out[column] = 0 }
            return
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
        let (count, stride, dimension, matrix, added) = (count, stride, dimension, matrix, added)
        query.withUnsafeMutableBufferPointer { query in
            units.withUnsafeBufferPointer { units in
                products.withUnsafeMutableBufferPointer { products in
                    guard let query = query.baseAddress, let units = units.baseAddress,
                        let products = products.baseAddress
                    else { return }
                    Self.copyUnit(matrix, added, row, dimension, into: query)
                    Kernels.dot(query, rows: units, stride: stride, count: count, dimension: dimension, into: products)
                    for index in 0..<count where products[index] > greatest[index] {
                        greatest[index] = products[index]
                    }
                }
            }
        }
    }
}
