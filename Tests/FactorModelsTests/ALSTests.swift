import TestSupport
import Testing
import VectorMath

@testable import FactorModels

@Suite(.ownThreads) struct ALSTests {
    private func configuration(_ change: (inout ALSConfiguration) -> Void = { _ in }) -> ALSConfiguration {
        var configuration = ALSConfiguration()
        configuration.rank = 10
        configuration.iterations = 4
        configuration.regularization = 0.02
        configuration.unobservedWeight = 0.2
        change(&configuration)
        return configuration
    }

    @Test(arguments: [ALSConfiguration.Solver.conjugateGradients, .cholesky])
    func `the objective falls with every iteration`(solver: ALSConfiguration.Solver) throws {
        let data = SparseMatrix.random(users: 150, items: 90, perUser: 8, weighted: true, seed: 3)
        var last = Double.infinity
        for iterations in 1...8 {
            let configuration = configuration { ($0.iterations, $0.solver) = (iterations, solver) }
            let fit = try ALS.fitFactors(data, configuration, threads: 2)
            let objective = ALS.objective(data, configuration, users: fit.users, items: fit.items)
            #expect(objective < last, "after iteration \(iterations)")
            last = objective
        }
    }

    @Test func `progress counts iterations and tells a falling objective`() throws {
        let data = SparseMatrix.random(users: 150, items: 90, perUser: 8, seed: 4)
        var news: [ALSProgress] = []
        _ = try ALS.fit(data, configuration { $0.iterations = 6 }, threads: 1, progress: { news.append($0) })
        #expect(news.map(\.iteration) == [1, 2, 3, 4, 5, 6])
        #expect(news.last?.fraction == 1)
        let objectives = news.compactMap(\.objective)
        #expect(objectives.count == 6)
        #expect(zip(objectives, objectives.dropFirst()).allSatisfy { $0 >= $1 })
    }

    /// Solves every row's normal equations in Float64.
    private func reference(
        _ data: SparseMatrix, _ fixed: Dense, _ configuration: ALSConfiguration
    ) -> Dense {
        var result = Dense(data.rowCount, fixed.columns)
        let gram = fixed.transposed * fixed
        for row in 0..<data.rowCount {
            var system = Dense(fixed.columns, fixed.columns) {
                (Double(configuration.unobservedWeight ?? 0)) * gram[$0, $1]
            }
            var right = [Double](repeating: 0, count: fixed.columns)
            var observed = 0.0
            for place in data.range(of: row) {
                let (other, weight) = (Int(data.columns[place]), Double(data.values[place]))
                observed += weight
                for i in 0..<fixed.columns {
                    right[i] += weight * fixed[other, i]
                    for j in 0..<fixed.columns { system[i, j] += weight * fixed[other, i] * fixed[other, j] }
                }
            }
            let size = observed + (Double(configuration.unobservedWeight ?? 0)) * Double(data.columnCount)
            let lambda =
                Double(configuration.regularization) * power(size, Double(configuration.regularizationExponent))
            for i in 0..<fixed.columns { system[i, i] += lambda }
            for (i, value) in system.solving(right).enumerated() { result[row, i] = value }
        }
        return result
    }

    @Test(arguments: [1, 10, 16, 33], [false, true])
    func `the solvers meet a dense solve of the last half step`(rank: Int, weighted: Bool) throws {
        let data = SparseMatrix.random(users: 60, items: 70, perUser: 9, weighted: weighted, seed: UInt64(rank))
        for solver in ALSConfiguration.Solver.allCases {
            let configuration = configuration {
                $0.rank = rank
                $0.solver = solver
                $0.steps = 40
                $0.regularizationExponent = 0.7
            }
            let fit = try ALS.fitFactors(data, configuration, threads: 1)
            let expected = reference(data.transposed(), Dense(fit.users), configuration)
            #expect(Dense(fit.items).largestDifference(expected) < 2e-4, "\(solver)")
        }
    }

    @Test func `three steps of conjugate gradients end within two percent of the exact objective`() throws {
        let data = SparseMatrix.random(users: 200, items: 120, perUser: 10, seed: 9)
        var objectives: [Double] = []
        for solver in ALSConfiguration.Solver.allCases {
            let configuration = configuration { ($0.iterations, $0.solver) = (12, solver) }
            let fit = try ALS.fitFactors(data, configuration, threads: 2)
            objectives.append(ALS.objective(data, configuration, users: fit.users, items: fit.items))
        }
        #expect(abs(objectives[0] - objectives[1]) < 0.02 * objectives[1])
    }

    @Test(arguments: ALSConfiguration.Solver.allCases)
    func `any number of threads gives the same bits`(solver: ALSConfiguration.Solver) throws {
        let data = SparseMatrix.random(users: 1500, items: 1100, perUser: 6, weighted: true, seed: 5)
        let configuration = configuration { ($0.rank, $0.solver) = (24, solver) }
        let one = try ALS.fitFactors(data, configuration, threads: 1)
        for threads in [2, 3] {
            let many = try ALS.fitFactors(data, configuration, threads: threads)
            #expect(Dense(many.users) == Dense(one.users))
            #expect(Dense(many.items) == Dense(one.items))
        }
        let other = try ALS.fitFactors(data, self.configuration { ($0.rank, $0.seed) = (24, 2) }, threads: 1)
        #expect(Dense(other.items) != Dense(one.items))
    }

    @Test func `users and items without interactions get factors of zeros and harm nobody`() throws {
        let data = SparseMatrix(
            rowCount: 4, columnCount: 5, offsets: [0, 2, 2, 4, 5], columns: [0, 1, 0, 3, 3], values: [1, 1, 1, 0, 1])
        let fit = try ALS.fitFactors(data, configuration { $0.rank = 3 }, threads: 2)
        #expect(fit.users.row(1).allSatisfy { $0 == 0 })
        #expect(fit.items.row(4).allSatisfy { $0 == 0 })
        #expect(fit.users.row(0).contains { $0 != 0 })
        #expect(Dense(fit.users).values.allSatisfy { $0.isFinite })
    }

    @Test func `a cancelled fit stops`() throws {
        let data = SparseMatrix.random(users: 50, items: 40, perUser: 5, seed: 6)
        #expect(throws: CancellationError.self) {
            try ALS.fit(data, configuration(), threads: 2, isCancelled: { true })
        }
        #expect(throws: CancellationError.self) {
            try Spectral.fit(data, SpectralConfiguration(), threads: 2, isCancelled: { true })
        }
        #expect(throws: CancellationError.self) {
            try ItemNeighbors.fit(data, ItemNeighborsConfiguration(), threads: 2, isCancelled: { true })
        }
    }

    @Test func `settings that make no sense are refused in words`() throws {
        var rank = ALSConfiguration()
        rank.rank = 513
        var weight = ALSConfiguration()
        weight.unobservedWeight = 0
        var regularization = ALSConfiguration()
        regularization.regularization = .nan
        for wrong in [rank, weight, regularization] {
            #expect(throws: ConfigurationError.self) { try wrong.validate() }
        }
        var count = ItemNeighborsConfiguration()
        count.count = 0
        #expect(throws: ConfigurationError.self) { try count.validate() }
        var exponent = SpectralConfiguration()
        exponent.userExponent = 2
        #expect(throws: ConfigurationError.self) { try exponent.validate() }
    }
}
