import VectorMath

/// Interactions with rows and columns scaled by powers of how many entries they have.
struct NormalizedMatrix: Sendable {
    /// Users by items, scaled so that the largest singular value is 1 once `rescale` was called.
    private(set) var byUser: SparseMatrix
    private(set) var byItem: SparseMatrix
    /// Weight sums of users and items.
    let userWeights: [Double]
    let itemWeights: [Double]

    init(_ interactions: SparseMatrix, userExponent: Float, itemExponent: Float) {
        let kept = interactions.keeping(valuesFrom: 0)
        var users = [Double](repeating: 0, count: kept.rowCount)
        var items = [Double](repeating: 0, count: kept.columnCount)
        for user in 0..<kept.rowCount {
            for place in kept.range(of: user) {
                users[user] += Double(kept.values[place])
                items[Int(kept.columns[place])] += Double(kept.values[place])
            }
        }
        let userScales = users.map { $0 > 0 ? power($0, -Double(userExponent)) : 0 }
        let itemScales = items.map { $0 > 0 ? power($0, -Double(itemExponent)) : 0 }
        var values = kept.values
        for user in 0..<kept.rowCount {
            for place in kept.range(of: user) {
                values[place] = Float(
                    Double(values[place]) * userScales[user] * itemScales[Int(kept.columns[place])])
            }
        }
        userWeights = users
        itemWeights = items
        byUser = kept.replacing(values: values)
        byItem = byUser.transposed()
    }

    mutating func rescale(_ factor: Double) {
        byUser = byUser.replacing(values: byUser.values.map { Float(Double($0) * factor) })
        byItem = byItem.replacing(values: byItem.values.map { Float(Double($0) * factor) })
    }
}

/// The largest singular values of a sparse matrix and their right singular vectors.
///
/// Subspace iteration from a random start with a few vectors to spare; each round multiplies by the matrix and its
/// transpose and orthonormalises by Cholesky. The same bits for any number of threads.
///
/// - Note: Halko, Martinsson, Tropp 2011, arXiv:0909.4061.
struct TruncatedSVD {
    /// Falling.
    let singularValues: [Double]
    /// Column `j` belongs to `singularValues[j]`.
    let right: DenseMatrix

    /// - Parameter rank: Lowered to what the matrix has.
    /// - Throws: `CancellationError`.
    init(
        _ matrix: NormalizedMatrix, rank: Int, iterations: Int, seed: UInt64, threads: Int,
        progress: (Double) -> Void, isCancelled: @Sendable () -> Bool
    ) throws {
        let smaller = max(1, min(matrix.byUser.rowCount, matrix.byUser.columnCount))
        let rank = min(rank, smaller)
        let width = min(smaller, rank + min(32, max(8, rank / 4)))
        let items = matrix.byItem.rowCount
        var block = DenseMatrix(rowCount: items, columnCount: width)
        for row in 0..<items {
            var random = NormalDeviates(seed: seed, stream: UInt64(row))
            let values = block.row(row)
            for n in values.indices { values[n] = random.next() }
        }
        func check() throws { if isCancelled() { throw CancellationError() } }
        for round in 0..<iterations {
            block = matrix.byItem.multiplied(by: matrix.byUser.multiplied(by: block, threads), threads)
            try check()
            block = block.orthonormalized(threads)
            if round == iterations - 1 { block = block.orthonormalized(threads) }
            try check()
            progress(Double(round + 1) / Double(iterations + 1))
        }
        // In the subspace the problem is small: (A block)^T (A block) = z s^2 z^T, and the vectors are block z.
        let image = matrix.byUser.multiplied(by: block, threads)
        let (values, vectors) = DenseAlgebra.gram(image, threads: threads).eigen()
        try check()
        let turn = DenseMatrix(rowCount: width, columnCount: rank)
        for i in 0..<width {
            for j in 0..<rank { turn.row(i)[j] = Float(vectors[i * width + j]) }
        }
        right = block.multiplied(by: PackedMatrix(turn), columnCount: rank, threads)
        singularValues = values.prefix(rank).map { max(0, $0).squareRoot() }
        progress(1)
    }
}

extension SparseMatrix {
    /// The same entries with other values.
    func replacing(values: [Float]) -> SparseMatrix {
        SparseMatrix(trusted: self, values: values)
    }

    /// This matrix times `dense`.
    func multiplied(by dense: DenseMatrix, _ threads: Int) -> DenseMatrix {
        precondition(dense.rowCount == columnCount, "\(columnCount) columns times \(dense.rowCount) rows")
        let result = DenseMatrix(rowCount: rowCount, columnCount: dense.columnCount)
        columns.withUnsafeBufferPointer { columns in
            values.withUnsafeBufferPointer { values in
                guard let first = values.baseAddress else { return }
                Parallel.forEach(count: rowCount, grain: 128, threads: threads) { rows in
                    for row in rows {
                        let range = range(of: row)
                        DenseAlgebra.gatherSum(
                            dense, ids: UnsafeBufferPointer(rebasing: columns[range]),
                            values: first + range.lowerBound, into: result.base + row * result.stride)
                    }
                }
            }
        }
        return result
    }
}

extension DenseMatrix {
    /// This matrix times `right`.
    func multiplied(by right: PackedMatrix, columnCount: Int, _ threads: Int) -> DenseMatrix {
        let result = DenseMatrix(rowCount: rowCount, columnCount: columnCount)
        Parallel.forEach(count: rowCount, grain: 64, threads: threads) { rows in
            DenseAlgebra.multiply(self, rows: rows, right, into: result)
        }
        return result
    }

    /// Columns that span the same space and are orthonormal, up to the square of their condition times 1e-7.
    func orthonormalized(_ threads: Int) -> DenseMatrix {
        let inverse = DenseAlgebra.gram(self, threads: threads).inverseCholesky()
        let turn = DenseMatrix(rowCount: columnCount, columnCount: columnCount)
        for i in 0..<columnCount {
            for j in i..<columnCount { turn.row(i)[j] = Float(inverse[i * columnCount + j]) }
        }
        return multiplied(by: PackedMatrix(turn), columnCount: columnCount, threads)
    }
}
