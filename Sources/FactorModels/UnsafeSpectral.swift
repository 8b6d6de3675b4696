import VectorMath

/// Factors from a truncated SVD: see `SpectralConfiguration`.
package enum Spectral {
    /// - Throws: `CancellationError`, `ConfigurationError`.
    /// - Complexity: O(iterations * (entries * rank + (users + items) * rank^2)); memory two blocks of items (or users)
    ///   by rank in Float32.
    package static func fit(
        _ interactions: SparseMatrix, _ configuration: SpectralConfiguration, threads: Int,
        progress: (Double) -> Void = { _ in }, isCancelled: @Sendable () -> Bool = { false }
    ) throws -> FactorModel {
        try configuration.validate()
        let matrix = NormalizedMatrix(
            interactions, userExponent: configuration.userExponent, itemExponent: configuration.itemExponent)
        let svd = try TruncatedSVD(
            matrix, rank: configuration.rank, iterations: configuration.iterations, seed: configuration.seed,
            threads: threads, progress: progress, isCancelled: isCancelled)
        let rank = svd.right.columnCount
        let history = svd.right.scaled { power(max(matrix.itemWeights[$0], 1), -Double(configuration.scaling)) }
        let kept = interactions.keeping(valuesFrom: 0)
        let users = kept.multiplied(by: history, threads)
        // A user's scale does not change the user's ranking; unit length keeps halves in their range.
        for row in 0..<users.rowCount {
            let values = users.row(row)
            let norm = values.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
            if norm > 0 { for n in 0..<rank { values[n] /= norm } }
        }
        let items = svd.right.scaled { power(max(matrix.itemWeights[$0], 1), Double(configuration.scaling)) }
        return FactorModel(kind: .spectral, users: users, items: items)
    }
}

extension DenseMatrix {
    /// A copy with each row multiplied by its scale.
    func scaled(_ scale: (Int) -> Double) -> DenseMatrix {
        let result = DenseMatrix(rowCount: rowCount, columnCount: columnCount)
        for row in 0..<rowCount {
            let factor = Float(scale(row))
            let (source, target) = (self.row(row), result.row(row))
            for n in source.indices { target[n] = source[n] * factor }
        }
        return result
    }

    /// A copy with each column multiplied by its scale.
    func scaled(columns scales: [Double]) -> DenseMatrix {
        let factors = scales.map { Float($0) }
        let result = DenseMatrix(rowCount: rowCount, columnCount: columnCount)
        for row in 0..<rowCount {
            let (source, target) = (self.row(row), result.row(row))
            for n in source.indices { target[n] = source[n] * factors[n] }
        }
        return result
    }
}
