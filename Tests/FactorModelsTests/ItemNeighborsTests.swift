import TestSupport
import Testing
import VectorMath

@testable import FactorModels

@Suite(.ownThreads) struct ItemNeighborsTests {
    /// The weights of `ItemNeighborsConfiguration`, from the formula.
    private func weights(_ data: SparseMatrix, _ configuration: ItemNeighborsConfiguration) throws -> Dense {
        let matrix = NormalizedMatrix(
            data, userExponent: configuration.userExponent, itemExponent: configuration.itemExponent)
        let n = Dense(matrix.byUser)
        let product = n.transposed * n
        guard configuration.lowPassRank > 0 else { return product }
        let items = data.columnCount
        var gram = SymmetricMatrix(order: items)
        for i in 0..<items { for j in 0..<items { gram[i, j] = product[i, j] } }
        let (values, vectors) = gram.eigen()
        let rank = min(configuration.lowPassRank, min(data.rowCount, items))
        let degrees = data.columnCounts().map { power(Double(max($0, 1)), Double(configuration.lowPassScaling)) }
        return Dense(items, items) { i, j in
            var sum = product[i, j] / values[0]
            for r in 0..<rank {
                let square = values[r] / values[0]
                let outer = vectors[i * items + r] * vectors[j * items + r]
                sum -= Double(configuration.sharpening) * square * square * outer
                sum += Double(configuration.lowPass) * outer * degrees[j] / degrees[i]
            }
            return sum
        }
    }

    @Test(arguments: [0, 12, 500])
    func `lists hold the largest weights of the formula`(lowPassRank: Int) throws {
        let data = SparseMatrix.random(users: 200, items: 80, perUser: 7, seed: 21)
        var configuration = ItemNeighborsConfiguration()
        configuration.count = 15
        configuration.lowPassRank = lowPassRank
        configuration.iterations = 30
        let expected = try weights(data, configuration)
        let neighbors = try ItemNeighbors.fit(data, configuration, threads: 2)
        for item in 0..<80 {
            let (rows, values) = neighbors.neighbors(of: UInt32(item))
            let wanted = (0..<80).filter { $0 != item && expected[item, $0] > 1e-4 }
                .sorted { (expected[item, $0], $1) > (expected[item, $1], $0) }.prefix(15)
            #expect(rows.count <= 15 && rows.count >= wanted.count)
            for (place, other) in wanted.enumerated() {
                #expect(abs(Double(values[place]) - expected[item, other]) < 2e-3, "item \(item), place \(place)")
                #expect(abs(Double(values[place]) - expected[item, Int(rows[place])]) < 2e-3)
            }
            #expect(!rows.contains(UInt32(item)) && Set(rows).count == rows.count)
        }
    }

    @Test func `any number of threads gives the same bits`() throws {
        let data = SparseMatrix.random(users: 900, items: 600, perUser: 6, weighted: true, seed: 22)
        var configuration = ItemNeighborsConfiguration()
        configuration.lowPassRank = 24
        let one = try ItemNeighbors.fit(data, configuration, threads: 1)
        for threads in [2, 3] {
            let many = try ItemNeighbors.fit(data, configuration, threads: threads)
            for item in 0..<UInt32(600) {
                #expect(Array(one.neighbors(of: item).rows) == Array(many.neighbors(of: item).rows))
                #expect(Array(one.neighbors(of: item).weights) == Array(many.neighbors(of: item).weights))
            }
        }
    }

    @Test func `sparse matrices transpose there and back`() {
        let data = SparseMatrix.random(users: 40, items: 30, perUser: 5, weighted: true, seed: 23)
        #expect(data.transposed().transposed() == data)
        #expect(Dense(data.transposed()) == Dense(data).transposed)
        #expect(data.keeping(valuesFrom: 3).values.allSatisfy { $0 >= 3 })
        #expect(data.keeping(valuesFrom: 3).count == data.values.count { $0 >= 3 })
    }
}
