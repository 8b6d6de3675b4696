#if canImport(Glibc)
    import Glibc
#endif

/// A small dense symmetric matrix in Float64: the place where a factorisation is exact.
package struct SymmetricMatrix: Sendable, Equatable {
    package let order: Int
    /// Row-major, both triangles.
    package private(set) var values: [Double]

    /// Zeros.
    package init(order: Int) {
        self.order = order
        values = Array(repeating: 0, count: order * order)
    }

    package subscript(_ i: Int, _ j: Int) -> Double {
        get { values[i * order + j] }
        set { values[i * order + j] = newValue }
    }

    /// The sum of products of the elements of two matrices: `trace(a b)`.
    package func dot(_ other: SymmetricMatrix) -> Double {
        precondition(order == other.order, "orders \(order) and \(other.order)")
        var sum = 0.0
        for n in values.indices { sum += values[n] * other.values[n] }
        return sum
    }

    /// The inverse of the upper Cholesky factor `u` (`u^T u` = this), row-major; `b * inverse` has orthonormal columns
    /// where this is `b^T b`. Columns that depend on those before them come out as zeros.
    ///
    /// - Complexity: O(order^3 / 2).
    package func inverseCholesky() -> [Double] {
        let n = order
        var u = values
        var isDependent = [Bool](repeating: false, count: n)
        u.withUnsafeMutableBufferPointer { u in
            for i in 0..<n {
                // What is left of the diagonal is noise of the sums when it is this small.
                if u[i * n + i] <= values[i * n + i] * 1e-6 || !(u[i * n + i] > 0) {
                    isDependent[i] = true
                    continue
                }
                let scale = 1 / u[i * n + i].squareRoot()
                for j in i..<n { u[i * n + j] *= scale }
                for r in (i + 1)..<max(n, i + 1) {
                    let factor = u[i * n + r]
                    if factor == 0 { continue }
                    for j in r..<n { u[r * n + j] -= factor * u[i * n + j] }
                }
            }
        }
        // Row by row from below: inverse[i] = (e_i - sum over j > i of u[i][j] * inverse[j]) / u[i][i].
        var inverse = [Double](repeating: 0, count: n * n)
        inverse.withUnsafeMutableBufferPointer { inverse in
            for i in (0..<n).reversed() where !isDependent[i] {
                for j in (i + 1)..<max(n, i + 1) where !isDependent[j] {
                    let factor = u[i * n + j]
                    if factor == 0 { continue }
                    for c in j..<n { inverse[i * n + c] -= factor * inverse[j * n + c] }
                }
                inverse[i * n + i] = 1
                let scale = 1 / u[i * n + i]
                for c in i..<n { inverse[i * n + c] *= scale }
            }
        }
        return inverse
    }

    /// Eigenvalues, largest first, and their orthonormal eigenvectors (vector `j` is column `j` of the row-major result).
    ///
    /// Householder reduction to tridiagonal form, then the implicit QL algorithm with Wilkinson's shift.
    ///
    /// - Complexity: O(order^3), about a second for order 512.
    /// - Note: Golub & Van Loan, Matrix Computations, chapter 8.
    package func eigen() -> (values: [Double], vectors: [Double]) {
        let n = order
        guard n > 0 else { return ([], []) }
        // `rows` holds the matrix being reduced, later the transposed eigenvectors: both are walked by rows.
        var rows = values
        var diagonal = [Double](repeating: 0, count: n)
        var off = [Double](repeating: 0, count: n)
        rows.withUnsafeMutableBufferPointer { rows in
            diagonal.withUnsafeMutableBufferPointer { diagonal in
                off.withUnsafeMutableBufferPointer { off in
                    Self.tridiagonalize(rows, n, diagonal, off)
                    Self.diagonalize(rows, n, diagonal, off)
                }
            }
        }
        let ranked = (0..<n).sorted { (diagonal[$0], $1) > (diagonal[$1], $0) }
        var vectors = [Double](repeating: 0, count: n * n)
        for (j, source) in ranked.enumerated() {
            for i in 0..<n { vectors[i * n + j] = rows[source * n + i] }
        }
        return (ranked.map { diagonal[$0] }, vectors)
    }

    /// Reduces `a` to `q t q^T`; on return row `j` of `a` is column `j` of `q`, `off[i]` couples `i - 1` and `i`.
    private static func tridiagonalize(
        _ a: UnsafeMutableBufferPointer<Double>, _ n: Int, _ diagonal: UnsafeMutableBufferPointer<Double>,
        _ off: UnsafeMutableBufferPointer<Double>
    ) {
        var reflectors: [(vector: [Double], beta: Double)] = []
        var p = [Double](repeating: 0, count: n)
        for step in 0..<max(0, n - 2) {
            // The reflector that clears column `step` below its first sub-diagonal element.
            var vector = [Double](repeating: 0, count: n)
            var norm = 0.0
            for i in (step + 1)..<n {
                vector[i] = a[step * n + i]
                norm += vector[i] * vector[i]
            }
            norm = norm.squareRoot()
            let head = vector[step + 1]
            let alpha = head > 0 ? -norm : norm
            vector[step + 1] = head - alpha
            let square = norm * norm - head * alpha
            let beta = square > 0 ? 1 / square : 0
            off[step + 1] = beta == 0 ? head : alpha
            reflectors.append((vector, beta))
            if beta == 0 { continue }
            // a -= v w^T + w v^T with w = p - (beta v.p / 2) v, p = beta a v, on the trailing block.
            var inner = 0.0
            for i in (step + 1)..<n {
                var sum = 0.0
                for j in (step + 1)..<n { sum += a[i * n + j] * vector[j] }
                p[i] = beta * sum
                inner += vector[i] * p[i]
            }
            for i in (step + 1)..<n { p[i] -= 0.5 * beta * inner * vector[i] }
            for i in (step + 1)..<n {
                let (vi, wi) = (vector[i], p[i])
                for j in (step + 1)..<n { a[i * n + j] -= vi * p[j] + wi * vector[j] }
            }
        }
        for i in 0..<n { diagonal[i] = a[i * n + i] }
        if n > 1 { off[n - 1] = a[(n - 2) * n + n - 1] }
        // q^T = the reflectors' product, built from the last so that only trailing blocks change.
        for i in 0..<n { for j in 0..<n { a[i * n + j] = i == j ? 1 : 0 } }
        for (step, reflector) in reflectors.enumerated().reversed() where reflector.beta != 0 {
            for row in (step + 1)..<n {
                var sum = 0.0
                for j in (step + 1)..<n { sum += a[row * n + j] * reflector.vector[j] }
                let scale = reflector.beta * sum
                if scale == 0 { continue }
                for j in (step + 1)..<n { a[row * n + j] -= scale * reflector.vector[j] }
            }
        }
    }

    /// Diagonalises the tridiagonal matrix, turning the rows of `q` along.
    private static func diagonalize(
        _ q: UnsafeMutableBufferPointer<Double>, _ n: Int, _ d: UnsafeMutableBufferPointer<Double>,
        _ off: UnsafeMutableBufferPointer<Double>
    ) {
        // e[i] couples i and i + 1.
        var e = Array(off.dropFirst()) + [0]
        for low in 0..<n {
            var turns = 0
            while turns < 60 {
                var end = low
                while end + 1 < n, abs(e[end]) > 1e-15 * (abs(d[end]) + abs(d[end + 1])) { end += 1 }
                if end == low { break }
                turns += 1
                let half = (d[low + 1] - d[low]) / (2 * e[low])
                let root = hypot(half, 1)
                var g = d[end] - d[low] + e[low] / (half + (half < 0 ? -root : root))
                var (sine, cosine, shift) = (1.0, 1.0, 0.0)
                var broken = false
                for i in (low..<end).reversed() {
                    let f = sine * e[i]
                    let b = cosine * e[i]
                    let r = hypot(f, g)
                    e[i + 1] = r
                    if r == 0 {
                        d[i + 1] -= shift
                        e[end] = 0
                        broken = true
                        break
                    }
                    sine = f / r
                    cosine = g / r
                    let next = d[i + 1] - shift
                    let turned = (d[i] - next) * sine + 2 * cosine * b
                    shift = sine * turned
                    d[i + 1] = next + shift
                    g = cosine * turned - b
                    for k in 0..<n {
                        let upper = q[(i + 1) * n + k]
                        let lower = q[i * n + k]
                        q[(i + 1) * n + k] = sine * lower + cosine * upper
                        q[i * n + k] = cosine * lower - sine * upper
                    }
                }
                if broken { continue }
                d[low] -= shift
                e[low] = g
                e[end] = 0
            }
        }
    }
}
