/// The first few of the orthonormal directions along which the rows of a matrix are largest, in falling order.
///
/// A vector is cut into its coordinates along them and a rest at right angles to all: what the rest can add to an inner
/// product is at most the product of the two rests' lengths.
///
/// Found by orthogonal iteration over a sample of the rows; any orthonormal directions give true bounds, better ones give
/// tighter ones.
/// - Note: Golub & Van Loan, Matrix Computations, section 8.2; for inner products, Li et al. 2017, FEXIPRO.
package struct PrincipalAxes: Sendable {
    /// One direction per row.
    package let axes: FactorMatrix

    package var count: Int { axes.rowCount }

    private static let sampleRows = 8192
    private static let rounds = 6

    /// - Parameters:
    ///   - rows: Reads row `i`, of `dimension` finite floats, into a buffer.
    ///   - count: Directions wanted, at most `dimension`.
    ///   - isComplete: Adds more directions, of no particular order, until there are `dimension`.
    /// - Complexity: O(8192 * dimension * count), and O(dimension^3) to complete them.
    package init(
        rowCount: Int, dimension: Int, count: Int, isComplete: Bool = false,
        read: (_ row: Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        let count = min(count, dimension)
        let step = max(1, rowCount / Self.sampleRows)
        let sample = FactorMatrix(rowCount: rowCount / step, columnCount: dimension) { row, target in
            read(row * step, target)
        }
        // Fixed numbers, no two directions alike: the same rows always give the same axes.
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        var current = (0..<count * dimension).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
        }
        Self.orthonormalize(&current, count, dimension)
        var next = [Float](repeating: 0, count: count * dimension)
        var products = [Float](repeating: 0, count: count)
        for _ in 0..<Self.rounds where sample.rowCount > 0 {
            next.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
            current.withUnsafeBufferPointer { current in
                next.withUnsafeMutableBufferPointer { next in
                    guard let axes = current.baseAddress, let sums = next.baseAddress else { return }
                    for row in 0..<sample.rowCount {
                        let vector = sample.base + row * sample.stride
                        Kernels.dot(
                            vector, rows: axes, stride: dimension, count: count, dimension: dimension, into: &products)
                        for axis in 0..<count where products[axis] != 0 {
                            Kernels.axpy(products[axis], vector, count: dimension, onto: sums + axis * dimension)
                        }
                    }
                }
            }
            swap(&current, &next)
            Self.orthonormalize(&current, count, dimension)
        }
        let all = isComplete ? dimension : count
        if all > count {
            current += [Float](repeating: 0, count: (all - count) * dimension)
            Self.orthonormalize(&current, all, dimension)
        }
        axes = FactorMatrix(rowCount: all, columnCount: dimension) { row, target in
            for i in 0..<dimension { target[i] = current[row * dimension + i] }
        }
    }

    /// Directions found before, one per row, at right angles to each other and one long.
    package init(axes: FactorMatrix) { self.axes = axes }

    /// The coordinates of `vector` along the axes.
    @inlinable
    package func project(_ vector: UnsafePointer<Float>, into coordinates: UnsafeMutablePointer<Float>) {
        project(vector, 0..<count, into: coordinates)
    }

    /// The coordinates along the axes `range`; room for 16 more than those.
    @inlinable
    package func project(
        _ vector: UnsafePointer<Float>, _ range: Range<Int>, into coordinates: UnsafeMutablePointer<Float>
    ) {
        precondition(range.upperBound <= count, "axes \(range) of \(count)")
        Kernels.dot(
            vector, rows: axes.base + range.lowerBound * axes.stride, stride: axes.stride, count: range.count,
            dimension: axes.columnCount, into: coordinates)
    }

    /// Gram-Schmidt, twice over, in double precision; a direction that vanishes becomes a unit vector that is still free.
    private static func orthonormalize(_ rows: inout [Float], _ count: Int, _ dimension: Int) {
        var wide = rows.map(Double.init)
        var spare = 0
        for row in 0..<count {
            let start = row * dimension
            var length = clean(&wide, row, dimension)
            while length < 1e-12, spare < dimension {
                for i in 0..<dimension { wide[start + i] = i == spare ? 1 : 0 }
                spare += 1
                length = clean(&wide, row, dimension)
                if length < 1e-3 { length = 0 }
            }
            for i in 0..<dimension { rows[start + i] = Float(wide[start + i]) }
        }
    }

    /// Takes the earlier rows off `row` and makes it one long; returns how long it was beside what it had been.
    private static func clean(_ rows: inout [Double], _ row: Int, _ dimension: Int) -> Double {
        let start = row * dimension
        func length() -> Double {
            var square = 0.0
            for i in start..<start + dimension { square += rows[i] * rows[i] }
            return square.squareRoot()
        }
        let before = length()
        guard before > 0, before.isFinite else { return 0 }
        for i in start..<start + dimension { rows[i] /= before }
        for _ in 0..<2 {
            for other in 0..<row {
                var product = 0.0
                for i in 0..<dimension { product += rows[other * dimension + i] * rows[start + i] }
                for i in 0..<dimension { rows[start + i] -= product * rows[other * dimension + i] }
            }
        }
        let after = length()
        if after > 0 { for i in start..<start + dimension { rows[i] /= after } }
        return after
    }
}
