import TestSupport
import Testing
import VectorMath

@testable import FactorModels

@Suite(.ownThreads) struct SpectralTests {
    @Test(arguments: [1, 2, 3, 7, 40])
    func `eigenvalues and vectors rebuild the matrix`(order: Int) {
        var random = SeededGenerator(seed: UInt64(order))
        var matrix = SymmetricMatrix(order: order)
        for i in 0..<order {
            for j in i..<order {
                matrix[i, j] = Double.random(in: -1...1, using: &random)
                matrix[j, i] = matrix[i, j]
            }
        }
        let (values, vectors) = matrix.eigen()
        let v = Dense(order, order) { vectors[$0 * order + $1] }
        let scaled = Dense(order, order) { v[$0, $1] * values[$1] }
        #expect((scaled * v.transposed).largestDifference(Dense(order, order) { matrix[$0, $1] }) < 1e-10)
        #expect((v.transposed * v).largestDifference(Dense(order, order) { $0 == $1 ? 1 : 0 }) < 1e-10)
        #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 })
    }

    @Test func `eigenvalues of a diagonal and of a matrix of ones`() {
        var diagonal = SymmetricMatrix(order: 4)
        for (n, value) in [2.0, -1, 5, 0].enumerated() { diagonal[n, n] = value }
        #expect(diagonal.eigen().values == [5, 2, 0, -1])
        var ones = SymmetricMatrix(order: 6)
        for i in 0..<6 { for j in 0..<6 { ones[i, j] = 1 } }
        let values = ones.eigen().values
        #expect(abs(values[0] - 6) < 1e-12)
        #expect(values.dropFirst().allSatisfy { abs($0) < 1e-12 })
    }

    private func svd(_ matrix: NormalizedMatrix, rank: Int, iterations: Int, threads: Int = 2) throws -> TruncatedSVD {
        try TruncatedSVD(
            matrix, rank: rank, iterations: iterations, seed: 1, threads: threads, progress: { _ in },
            isCancelled: { false })
    }

    @Test func `a full decomposition has the singular values of the dense matrix and orthonormal vectors`() throws {
        let data = SparseMatrix.random(users: 30, items: 45, perUser: 6, seed: 2)
        let matrix = NormalizedMatrix(data, userExponent: 0.5, itemExponent: 0.5)
        let dense = Dense(matrix.byUser)
        var gram = SymmetricMatrix(order: 30)
        let product = dense * dense.transposed
        for i in 0..<30 { for j in 0..<30 { gram[i, j] = product[i, j] } }
        let expected = gram.eigen().values.map { max(0, $0).squareRoot() }
        let svd = try svd(matrix, rank: 100, iterations: 3)
        #expect(svd.singularValues.count == 30)
        for (value, wanted) in zip(svd.singularValues, expected) { #expect(abs(value - wanted) < 1e-4) }
        #expect(abs(svd.singularValues[0] - 1) < 1e-4, "the degree-normalised matrix has largest singular value 1")
        let v = Dense(svd.right)
        let inner = v.transposed * v
        for i in 0..<30 where expected[i] > 0.01 {
            for j in 0..<30 where expected[j] > 0.01 {
                #expect(abs(inner[i, j] - (i == j ? 1 : 0)) < 1e-4)
            }
        }
        // A v = s u: the images are orthogonal and as long as the singular values.
        let image = dense * v
        for j in 0..<30 {
            let length = (0..<30).reduce(0.0) { $0 + image[$1, j] * image[$1, j] }.squareRoot()
            #expect(abs(length - svd.singularValues[j]) < 1e-4)
        }
    }

    @Test func `a truncated decomposition finds the leading values`() throws {
        let data = SparseMatrix.random(users: 300, items: 200, perUser: 8, seed: 8)
        let matrix = NormalizedMatrix(data, userExponent: 0.3, itemExponent: 0.4)
        let all = try svd(matrix, rank: 200, iterations: 2)
        let some = try svd(matrix, rank: 12, iterations: 12)
        for n in 0..<12 { #expect(abs(some.singularValues[n] / all.singularValues[n] - 1) < 0.01, "value \(n)") }
    }

    @Test func `spectral factors have the same bits for any number of threads and score as their formula says`() throws
    {
        let data = SparseMatrix.random(users: 1200, items: 700, perUser: 6, seed: 10)
        var configuration = SpectralConfiguration()
        configuration.rank = 20
        let models = try (1...3).map { try Spectral.fit(data, configuration, threads: $0) }
        var factors = [[Float]](repeating: [Float](repeating: 0, count: 20), count: 3)
        for user in stride(from: 0, to: 1200, by: 7) {
            for n in 0..<3 {
                factors[n].withUnsafeMutableBufferPointer { models[n].userFactor(UInt32(user), into: $0) }
            }
            #expect(factors[0] == factors[1] && factors[0] == factors[2])
        }
        for item in 0..<700 {
            #expect(Array(models[0].itemFactors.row(item)) == Array(models[2].itemFactors.row(item)))
        }

        let matrix = NormalizedMatrix(data, userExponent: 0.3, itemExponent: 0.4)
        let v = Dense(try svd(matrix, rank: 20, iterations: 4).right)
        let degrees = data.columnCounts().map { power(Double(max($0, 1)), 0.3) }
        for user in stride(from: 0, to: 1200, by: 97) {
            let wanted = (0..<700).map { item in
                data.range(of: user).reduce(0.0) { sum, place in
                    let from = Int(data.columns[place])
                    return sum + (0..<20).reduce(0.0) { $0 + v[from, $1] * v[item, $1] } * degrees[item] / degrees[from]
                }
            }
            factors[0].withUnsafeMutableBufferPointer { models[0].userFactor(UInt32(user), into: $0) }
            let scores = (0..<700).map { item in
                zip(factors[0], models[0].itemFactors.row(item)).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            }
            let scale =
                scores.map { $0 * $0 }.reduce(0, +).squareRoot() / wanted.map { $0 * $0 }.reduce(0, +).squareRoot()
            let largest = scores.map(abs).max() ?? 0
            for item in 0..<700 { #expect(abs(scores[item] - scale * wanted[item]) < 0.003 * largest) }
        }
    }

    @Test func `a matrix smaller than the rank, with dependent and empty rows, still has factors`() throws {
        let data = SparseMatrix(
            rowCount: 5, columnCount: 6, offsets: [0, 2, 4, 4, 6, 8], columns: [0, 1, 0, 1, 0, 1, 3, 4],
            values: Array(repeating: 1, count: 8))
        let model = try Spectral.fit(data, SpectralConfiguration(), threads: 2)
        #expect(model.rank == 5)
        #expect(model.itemFactors.isFinite)
        let neighbors = try ItemNeighbors.fit(data, ItemNeighborsConfiguration(), threads: 2)
        #expect(Array(neighbors.neighbors(of: 0).rows).first == 1)
        #expect(neighbors.neighbors(of: 2).rows.isEmpty)
    }
}
