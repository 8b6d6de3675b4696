import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import FactorModels

/// Users solved for by themselves, against dense Float64 algebra and against the fit that made the items.
@Suite(.ownThreads) struct FoldInTests {
    private func items(_ count: Int, rank: Int, seed: UInt64) -> FactorMatrix {
        FactorMatrix(rowCount: count, columnCount: rank) { row, values in
            var random = NormalDeviates(seed: seed, stream: UInt64(row))
            // A few directions are strong and most are weak, as in fitted factors.
            for n in values.indices { values[n] = 0.3 * random.next() / (1 + Float(n)).squareRoot() }
        }
    }

    private let parameters = FoldInParameters(
        unobservedWeight: 0.02, regularization: 0.003, regularizationExponent: 1)

    /// The system as it is written down, in Float64.
    private struct Oracle {
        let floats: [[Double]]
        let gram: Dense
        let parameters: FoldInParameters

        init(_ rows: RowMatrix, _ parameters: FoldInParameters) {
            let rank = rows.columnCount
            let floats = (0..<rows.rowCount).map { row in
                var values = [Float](repeating: 0, count: rank)
                values.withUnsafeMutableBufferPointer { rows.copy(UInt32(row), into: $0) }
                return values.map { Double($0) }
            }
            var gram = Dense(rank, rank)
            for row in floats { Self.add(row, parameters.unobservedWeight, to: &gram) }
            (self.floats, self.gram, self.parameters) = (floats, gram, parameters)
        }

        private static func add(_ row: [Double], _ weight: Double, to matrix: inout Dense) {
            let rank = row.count
            matrix.values.withUnsafeMutableBufferPointer { values in
                for i in 0..<rank {
                    let left = weight * row[i]
                    for j in 0..<rank { values[i * rank + j] += left * row[j] }
                }
            }
        }

        func factor(_ history: [UInt32], _ weights: [Float]) -> [Double] {
            var matrix = gram
            var right = [Double](repeating: 0, count: gram.rows)
            var observed = 0.0
            for (item, weight) in zip(history, weights) {
                let weight = Double(weight)
                observed += weight
                Self.add(floats[Int(item)], weight, to: &matrix)
                for i in right.indices { right[i] += weight * floats[Int(item)][i] }
            }
            let lambda = parameters.lambda(observed: observed, items: floats.count)
            for i in right.indices { matrix[i, i] += lambda }
            return matrix.solving(right)
        }
    }

    private func solve(
        _ foldIn: FoldIn, _ rows: [UInt32], _ weights: [Float]?, _ form: RidgeSystem.Form?,
        _ scratch: RidgeScratch? = nil
    ) throws -> [Float] {
        var result = [Float](repeating: .nan, count: foldIn.rank)
        try result.withUnsafeMutableBufferPointer { result in
            try rows.withUnsafeBufferPointer { rows in
                let scratch = scratch ?? foldIn.makeScratch()
                if let weights {
                    _ = try weights.withUnsafeBufferPointer {
                        try foldIn.solve(rows: rows, weights: $0, into: result, scratch: scratch, form: form)
                    }
                } else {
                    _ = try foldIn.solve(rows: rows, into: result, scratch: scratch, form: form)
                }
            }
        }
        return result
    }

    private func cosine(_ a: [Float], _ b: [Double]) -> Double {
        let dot = zip(a, b).reduce(0.0) { $0 + Double($1.0) * $1.1 }
        let (x, y) = (a.reduce(0.0) { $0 + Double($1) * Double($1) }, b.reduce(0.0) { $0 + $1 * $1 })
        return dot / (x * y).squareRoot()
    }

    private func relativeError(_ a: [Float], _ b: [Double]) -> Double {
        let error = zip(a, b).reduce(0.0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
        return (error / b.reduce(0.0) { $0 + $1 * $1 }).squareRoot()
    }

    @Test(
        arguments: [8, 16, 33, 64, 100, 256],
        [RowPrecision.f32, .f16])
    func `both forms meet a dense Float64 solve at every length`(rank: Int, precision: RowPrecision) throws {
        let rows = RowMatrix(items(400, rank: rank, seed: 5), in: precision, threads: 1)
        #expect(rows.precision == precision)
        let foldIn = FoldIn(items: rows, parameters: parameters, threads: 2)
        let oracle = Oracle(rows, parameters)
        let scratch = foldIn.makeScratch()
        var random = SeededGenerator(seed: UInt64(rank))
        // Dense solves of large ranks take their time.
        for count in rank > 64 ? [20, 129] : [1, 2, 7, 50, 127, 128, 129, 1000] {
            let history = (0..<count).map { _ in UInt32.random(in: 0..<400, using: &random) }
            for weighted in rank > 64 ? [true] : [false, true] {
                let weights = history.map { _ in weighted ? Float.random(in: 0...4, using: &random) : 1 }
                let expected = oracle.factor(history, weights)
                for form in [RidgeSystem.Form.primal, .dual] {
                    let factor = try solve(foldIn, history, weighted ? weights : nil, form, scratch)
                    #expect(
                        cosine(factor, expected) > 0.99999 && relativeError(factor, expected) < 2e-3,
                        "rank \(rank), \(count) items, weighted \(weighted), \(form)")
                }
            }
        }
    }

    @Test func `ten thousand items are folded in`() throws {
        let rows = RowMatrix.floats(items(3000, rank: 24, seed: 6))
        let foldIn = FoldIn(items: rows, parameters: parameters, threads: 2)
        let oracle = Oracle(rows, parameters)
        var random = SeededGenerator(seed: 7)
        let history = (0..<10_000).map { _ in UInt32.random(in: 0..<3000, using: &random) }
        let weights = [Float](repeating: 1, count: history.count)
        let expected = oracle.factor(history, weights)
        #expect(cosine(try solve(foldIn, history, nil, nil), expected) > 0.99999)
    }

    @Test(arguments: [false, true])
    func `a converged user's factor comes back from the user's items`(weighted: Bool) throws {
        let data = SparseMatrix.random(users: 300, items: 150, perUser: 12, weighted: weighted, seed: 8)
        var configuration = ALSConfiguration()
        configuration.rank = 20
        configuration.iterations = 60
        configuration.solver = .cholesky
        configuration.regularizationExponent = 0.8
        let fit = try ALS.fitFactors(data, configuration, threads: 2)
        let foldIn = FoldIn(
            items: .floats(fit.items.sealed()), parameters: FoldInParameters(configuration, interactions: data),
            threads: 1)
        for user in 0..<data.rowCount {
            let range = data.range(of: user)
            let factor = try foldIn.factor(rows: Array(data.columns[range]), weights: Array(data.values[range]))
            #expect(cosine(factor, fit.users.row(user).map { Double($0) }) > 0.999, "user \(user)")
        }
    }

    @Test func `an item that stands twice counts as one of twice the weight`() throws {
        let foldIn = FoldIn(items: .floats(items(200, rank: 32, seed: 9)), parameters: parameters, threads: 1)
        for form in [RidgeSystem.Form.primal, .dual] {
            let twice = try solve(foldIn, [4, 90, 4], nil, form)
            let once = try solve(foldIn, [90, 4], [1, 2], form)
            #expect(zip(twice, once).allSatisfy { abs($0 - $1) < 1e-5 * max(abs($0), 0.1) })
        }
    }

    @Test func `items without weight are as if they were not there`() throws {
        let foldIn = FoldIn(items: .floats(items(200, rank: 32, seed: 9)), parameters: parameters, threads: 1)
        for form in [RidgeSystem.Form.primal, .dual] {
            let all = try solve(foldIn, [4, 90, 7], [1, 0, 3], form)
            let some = try solve(foldIn, [4, 7], [1, 3], form)
            #expect(zip(all, some).allSatisfy { abs($0 - $1) < 1e-5 * max(abs($0), 0.1) })
        }
    }

    @Test func `a history without weight has no factor`() throws {
        let foldIn = FoldIn(items: .floats(items(20, rank: 8, seed: 1)), parameters: parameters, threads: 1)
        #expect(try foldIn.factor(rows: []) == [Float](repeating: 0, count: 8))
        #expect(try foldIn.factor(rows: [3, 4], weights: [0, 0]) == [Float](repeating: 0, count: 8))
    }

    @Test func `what cannot be folded in is refused with its place, and the factor is zeros`() throws {
        let foldIn = FoldIn(items: .floats(items(20, rank: 8, seed: 1)), parameters: parameters, threads: 1)
        #expect(throws: FoldInError.badWeight(place: 1)) { try foldIn.factor(rows: [0, 1], weights: [1, .nan]) }
        #expect(throws: FoldInError.badWeight(place: 0)) { try foldIn.factor(rows: [0, 1], weights: [-1, 1]) }
        #expect(throws: FoldInError.badWeight(place: 0)) { try foldIn.factor(rows: [0], weights: [.infinity]) }
        #expect(throws: FoldInError.noSuchItem(place: 2, row: 20, items: 20)) { try foldIn.factor(rows: [0, 1, 20]) }
        #expect(throws: FoldInError.tooLong(FoldIn.historyMax + 1)) {
            try foldIn.factor(rows: [UInt32](repeating: 0, count: FoldIn.historyMax + 1))
        }
        #expect(throws: FoldInError.unsolvable) {
            try foldIn.factor(
                rows: [UInt32](repeating: 0, count: 9000), weights: [Float](repeating: 3e38, count: 9000))
        }
    }

    @Test func `weights of any size give a factor or a refusal, never what is no number`() throws {
        let foldIn = FoldIn(items: .floats(items(60, rank: 32, seed: 2)), parameters: parameters, threads: 1)
        var random = SeededGenerator(seed: 11)
        for round in 0..<300 {
            let count = Int.random(in: 1...40, using: &random)
            let history = (0..<count).map { _ in UInt32.random(in: 0..<60, using: &random) }
            let weights = history.map { _ in
                Float(sign: .plus, exponent: Int.random(in: -140...126, using: &random), significand: 1)
            }
            for form in [RidgeSystem.Form.primal, .dual] {
                do {
                    let factor = try solve(foldIn, history, weights, form)
                    #expect(factor.allSatisfy { $0.isFinite }, "round \(round)")
                } catch FoldInError.unsolvable {
                }
            }
        }
    }

    @Test func `items of zeros are no trouble`() throws {
        let zeros = FactorMatrix(rowCount: 9, columnCount: 17) { _, _ in }
        let foldIn = FoldIn(items: .floats(zeros), parameters: parameters, threads: 1)
        #expect(try foldIn.factor(rows: [1, 2, 2]).allSatisfy { $0 == 0 })
    }

    @Test func `any number of threads gives the same bits`() throws {
        let rows = RowMatrix.floats(items(5000, rank: 40, seed: 3))
        let one = FoldIn(items: rows, parameters: parameters, threads: 1)
        let many = FoldIn(items: rows, parameters: parameters, threads: 3)
        for history: [UInt32] in [[7], Array(0..<30), Array(100..<2000)] {
            #expect(try one.factor(rows: history) == many.factor(rows: history))
        }
    }

    // MARK: Parameters in a bundle

    private func bundle(_ model: FactorModel, training: JSONValue = .null) throws -> Bundle {
        let folder = try TemporaryFolder(inMemory: true)
        let writer = try BundleWriter(destination: folder.file("bundle"))
        try model.write(to: writer)
        var content = ManifestContent(
            name: "m", version: "1",
            counts: .init(users: model.userCount, items: model.itemCount, interactions: 400))
        content.training = training
        _ = try writer.publish(content)
        return try Bundle(opening: folder.file("bundle"), verify: .sizes)
    }

    private func fitted() throws -> (model: FactorModel, configuration: ALSConfiguration, data: SparseMatrix) {
        let data = SparseMatrix.random(users: 60, items: 50, perUser: 6, seed: 31)
        var configuration = ALSConfiguration()
        configuration.rank = 8
        configuration.iterations = 2
        configuration.regularization = 0.0123
        configuration.regularizationExponent = 0.7
        return (try ALS.fit(data, configuration, threads: 1), configuration, data)
    }

    @Test func `the factors' file says how users are folded in`() throws {
        let (model, configuration, data) = try fitted()
        let expected = FoldInParameters(configuration, interactions: data)
        let bundle = try bundle(model)
        let (parameters, origin) = try FactorModel(bundle: bundle, kind: .als).foldIn(manifest: bundle.manifest)
        #expect(parameters == expected && origin == .factors)
    }

    @Test func `a bundle that does not say it takes the training's settings, or the defaults, and tells which`() throws
    {
        let (model, configuration, _) = try fitted()
        let old = FactorModel(
            kind: .als, users: DenseMatrix(rowCount: model.userCount, columnCount: 8),
            items: DenseMatrix(rowCount: model.itemCount, columnCount: 8))
        let trained = try bundle(old, training: ["als": JSONValue(encoding: configuration)])
        let told = try FactorModel(bundle: trained, kind: .als).foldIn(manifest: trained.manifest)
        #expect(told.origin == .training)
        #expect(abs(told.parameters.regularization - 0.0123) < 1e-6)
        #expect(abs(told.parameters.regularizationExponent - 0.7) < 1e-6)
        #expect(abs(told.parameters.unobservedWeight - min(1, 30 * 400.0 / 3000)) < 1e-9)

        let bare = try bundle(old)
        let defaults = try FactorModel(bundle: bare, kind: .als).foldIn(manifest: bare.manifest)
        #expect(defaults.origin == .defaults)
        #expect(defaults.parameters.regularization == Double(ALSConfiguration().regularization))
    }

    @Test(arguments: ["nan", "-1", "", "0.1x", "inf"])
    func `a file that says it wrongly is refused with what it says`(text: String) throws {
        #expect(throws: ArtifactError.self) {
            try FoldInParameters(
                metadata: ["unobserved_weight": "0.1", "regularization": text, "regularization_exponent": "1"],
                path: "als.safetensors")
        }
        #expect(throws: ArtifactError.self) {
            try FoldInParameters(metadata: ["regularization": "1"], path: "als.safetensors")
        }
    }
}
