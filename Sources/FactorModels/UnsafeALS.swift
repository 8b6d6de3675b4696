import VectorMath

/// News from a fit.
package struct ALSProgress: Sendable, Equatable {
    /// Iterations done.
    package let iteration: Int
    package let iterations: Int
    /// The loss of `ALSConfiguration`, as it was between the last iteration's two half steps.
    package let objective: Double?

    package var fraction: Double { Double(iteration) / Double(iterations) }
}

/// Implicit alternating least squares.
///
/// Every iteration solves for all users with the items fixed, then for all items with the users fixed. Each row has its
/// own small system. Three steps of conjugate gradients from the previous iteration's solution reach the quality of
/// exact solves and cost a fraction of them: no matrix is formed for a row, and eight rows share each pass over the
/// Gram matrix.
///
/// The result depends on the data, the configuration and the instruction set, not on the number of threads: rows are
/// independent, and sums over rows are taken in a fixed order.
///
/// - Note: Hu, Koren, Volinsky 2008; Takács, Pilászy, Tikk 2011 (conjugate gradients); Rendle et al. 2021,
///   arXiv:2110.14037.
package enum ALS {
    /// Rows that a thread takes at a time.
    private static let grain = 64

    /// Fits factors to `interactions` (users by items; values are weights).
    ///
    /// - Parameter progress: Called on the calling thread after each iteration.
    /// - Throws: `CancellationError` when `isCancelled` says so, `ConfigurationError`.
    /// - Complexity: O(iterations * (entries * rank * steps + (users + items) * rank^2 * steps)).
    package static func fit(
        _ interactions: SparseMatrix, _ configuration: ALSConfiguration, threads: Int,
        progress: (ALSProgress) -> Void = { _ in }, isCancelled: @Sendable () -> Bool = { false }
    ) throws -> FactorModel {
        let fit = try fitFactors(
            interactions, configuration, threads: threads, progress: progress, isCancelled: isCancelled)
        let kept = interactions.keeping(valuesFrom: 0)
        return FactorModel(
            kind: .als, users: fit.users, items: fit.items,
            foldIn: FoldInParameters(configuration, interactions: kept))
    }

    /// The factors as they were fitted, in Float32.
    static func fitFactors(
        _ interactions: SparseMatrix, _ configuration: ALSConfiguration, threads: Int,
        progress: (ALSProgress) -> Void = { _ in }, isCancelled: @Sendable () -> Bool = { false }
    ) throws -> (users: DenseMatrix, items: DenseMatrix) {
        try configuration.validate()
        let kept = interactions.keeping(valuesFrom: 0)
        let unobserved = configuration.unobservedWeight(for: kept)
        let byUser = Side(kept, configuration, unobserved)
        let byItem = Side(kept.transposed(), configuration, unobserved)
        let users = DenseMatrix(rowCount: byUser.matrix.rowCount, columnCount: configuration.rank)
        let items = DenseMatrix(rowCount: byItem.matrix.rowCount, columnCount: configuration.rank)
        randomize(items, scale: 0.1 / Float(configuration.rank).squareRoot(), seed: configuration.seed)
        for iteration in 1...configuration.iterations {
            let itemGram = DenseAlgebra.gram(items, threads: threads)
            try byUser.solve(users, from: items, itemGram, configuration, threads, isCancelled)
            let userGram = DenseAlgebra.gram(users, threads: threads)
            let rest =
                unobserved * userGram.dot(itemGram) + byUser.penalty(users) + byItem.penalty(items)
            let error = try byItem.solve(items, from: users, userGram, configuration, threads, isCancelled)
            progress(
                ALSProgress(
                    iteration: iteration, iterations: configuration.iterations, objective: error.map { $0 + rest }))
        }
        return (users, items)
    }

    /// The loss of `ALSConfiguration` for given factors.
    static func objective(
        _ interactions: SparseMatrix, _ configuration: ALSConfiguration, users: DenseMatrix, items: DenseMatrix
    ) -> Double {
        let kept = interactions.keeping(valuesFrom: 0)
        let unobserved = configuration.unobservedWeight(for: kept)
        let byUser = Side(kept, configuration, unobserved)
        let byItem = Side(kept.transposed(), configuration, unobserved)
        var observed = 0.0
        for user in 0..<byUser.matrix.rowCount {
            for place in byUser.matrix.range(of: user) {
                let item = items.row(Int(byUser.matrix.columns[place]))
                var dot = 0.0
                for (x, y) in zip(users.row(user), item) { dot += Double(x) * Double(y) }
                observed += Double(byUser.matrix.values[place]) * (1 - dot) * (1 - dot)
            }
        }
        return observed + byUser.penalty(users) + byItem.penalty(items)
            + unobserved * DenseAlgebra.gram(users, threads: 1).dot(DenseAlgebra.gram(items, threads: 1))
    }

    /// Fills with normal deviates; each row's depend on the seed and its number only.
    private static func randomize(_ matrix: DenseMatrix, scale: Float, seed: UInt64) {
        for row in 0..<matrix.rowCount {
            var random = NormalDeviates(seed: seed, stream: UInt64(row))
            let values = matrix.row(row)
            for n in values.indices { values[n] = scale * random.next() }
        }
    }

    /// One half of the alternation: the rows to be solved for.
    private struct Side {
        let matrix: SparseMatrix
        /// Of each row.
        let lambdas: [Float]
        let isBinary: Bool
        let unobserved: Double

        init(_ matrix: SparseMatrix, _ configuration: ALSConfiguration, _ unobserved: Double) {
            self.unobserved = unobserved
            self.matrix = matrix
            isBinary = matrix.isBinary
            lambdas = (0..<matrix.rowCount).map { row in
                let observed = matrix.values[matrix.range(of: row)].reduce(0.0) { $0 + Double($1) }
                let size = observed + unobserved * Double(matrix.columnCount)
                return configuration.regularization * Float(power(size, Double(configuration.regularizationExponent)))
            }
        }

        /// What regularisation adds to the loss.
        func penalty(_ rows: DenseMatrix) -> Double {
            var sum = 0.0
            for row in 0..<rows.rowCount {
                let factor = UnsafePointer(rows.base + row * rows.stride)
                sum += Double(lambdas[row]) * Double(Kernels.dot(factor, factor, dimension: rows.columnCount))
            }
            return sum
        }

        /// Solves for `rows` with `fixed`, whose Gram matrix is `gram`, held. Returns the squared error over observed
        /// pairs as it was before, if the solver meets it on its way.
        @discardableResult
        func solve(
            _ rows: DenseMatrix, from fixed: DenseMatrix, _ gram: SymmetricMatrix, _ configuration: ALSConfiguration,
            _ threads: Int, _ isCancelled: @Sendable () -> Bool
        ) throws -> Double? {
            let system = DenseAlgebra.LeastSquares(
                factors: fixed, solutions: rows, gram: gram, scale: unobserved)
            let chunks = (rows.rowCount + ALS.grain - 1) / ALS.grain
            let errors = ChunkSums(count: chunks)
            let lambdas = lambdas
            matrix.offsets.withUnsafeBufferPointer { offsets in
                matrix.columns.withUnsafeBufferPointer { ids in
                    matrix.values.withUnsafeBufferPointer { values in
                        let problems = DenseAlgebra.LeastSquares.Rows(
                            offsets: offsets, ids: ids, weights: isBinary ? nil : values)
                        Parallel.forEach(
                            count: rows.rowCount, grain: ALS.grain, threads: threads, isCancelled: isCancelled
                        ) { range in
                            switch configuration.solver {
                            case .conjugateGradients:
                                errors.set(
                                    range.lowerBound / ALS.grain,
                                    system.conjugateGradients(
                                        range, of: problems, steps: configuration.steps, lambda: { lambdas[$0] }))
                            case .cholesky:
                                _ = system.cholesky(range, of: problems, lambda: { lambdas[$0] })
                            }
                        }
                    }
                }
            }
            if isCancelled() { throw CancellationError() }
            guard configuration.solver == .conjugateGradients else { return nil }
            return errors.total
        }
    }
}

/// One sum for each chunk of rows, added up in order. `@unchecked Sendable`: each chunk is written by one thread.
private final class ChunkSums: @unchecked Sendable {
    private let sums: UnsafeMutableBufferPointer<Double>

    init(count: Int) {
        sums = .allocate(capacity: count)
        sums.initialize(repeating: 0)
    }

    deinit { sums.deallocate() }

    func set(_ chunk: Int, _ value: Double) { sums[chunk] = value }
    var total: Double { sums.reduce(0, +) }
}
