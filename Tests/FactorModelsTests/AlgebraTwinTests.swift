import CKernels
import TestSupport
import Testing

/// Every instruction set of this machine against the scalar kernels. Sums are taken in another order, so values agree to
/// a few units of 1e-5 of their size, not bit for bit.
@Suite(.ownThreads) struct AlgebraTwinTests {
    static let isas: [Int32] = [1, 2, 3].filter { ck_algebra_of($0) != nil }

    private func random(_ count: Int, _ seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
    }

    private func expectClose(_ a: [Float], _ b: [Float], _ scale: Float = 1) {
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 2e-5 * scale * max(1, abs($0)) })
    }

    @Test(arguments: isas)
    func `products and Gram matrices agree`(isa: Int32) throws {
        let (simd, twin) = (try #require(ck_algebra_of(isa)).pointee, try #require(ck_algebra_of(0)).pointee)
        for (m, k, n) in [(1, 16, 16), (7, 48, 32), (8, 64, 64), (21, 128, 80)] {
            let a = random(m * k, 1)
            var packed = [Float](repeating: 0, count: k * n)
            ck_pack(random(k * n, 2), n, k, n, &packed)
            for accumulate: Int32 in [0, 1] {
                var (c1, c2) = (random(m * n, 3), random(m * n, 3))
                simd.multiply(a, k, m, k, packed, n / 16, &c1, n, accumulate)
                twin.multiply(a, k, m, k, packed, n / 16, &c2, n, accumulate)
                expectClose(c1, c2, 10)
            }
        }
        for (rows, k) in [(1, 16), (300, 32), (517, 64)] {
            let a = random(rows * k, 4)
            var scratch = [Float](repeating: 0, count: Int(CK_GRAM_BLOCK) * k)
            var (c1, c2) = ([Float](repeating: 0, count: k * k), [Float](repeating: 0, count: k * k))
            simd.gram(a, k, rows, k, &c1, k, &scratch)
            twin.gram(a, k, rows, k, &c2, k, &scratch)
            for i in 0..<k {
                for j in i..<k {
                    let exact = (0..<rows).reduce(0.0) { $0 + Double(a[$1 * k + i]) * Double(a[$1 * k + j]) }
                    let tolerance = 2e-6 * Double(rows)
                    #expect(abs(Double(c1[i * k + j]) - exact) < tolerance)
                    #expect(abs(Double(c2[i * k + j]) - exact) < tolerance)
                }
            }
        }
    }

    @Test(arguments: isas)
    func `least squares and gathered sums agree`(isa: Int32) throws {
        let (simd, twin) = (try #require(ck_algebra_of(isa)).pointee, try #require(ck_algebra_of(0)).pointee)
        for (k, weighted) in [(16, false), (48, true), (64, false), (128, true)] {
            let factors = random(200 * k, 5)
            var generator = SeededGenerator(seed: 6)
            // Rows of 0, 1, 7, 8, 9 and more names, so that every tail is met.
            let starts = [0, 0, 1, 8, 16, 25, 58, 131]
            let ids = (0..<131).map { _ in UInt32.random(in: 0..<200, using: &generator) }
            let weights = (0..<131).map { _ in Float.random(in: 0.5...2, using: &generator) }
            var gram = [Float](repeating: 0, count: k * k)
            for i in 0..<k { gram[i * k + i] = 3 }
            var packed = gram
            ck_pack(gram, k, k, k, &packed)
            let lambdas = [Float](repeating: 0.5, count: 7)
            var scratch = [Float](repeating: 0, count: (k + 2 * Int(CK_GRAM_BLOCK) + 1) * k)
            var results: [[Float]] = []
            var losses: [Double] = []
            var faults: [Int32] = []
            for table in [simd, twin] {
                var x = [Float](repeating: 0.01, count: 7 * k)
                var y = [Float](repeating: 0, count: k)
                var exact = [Float](repeating: 0, count: k)
                weights.withUnsafeBufferPointer { weights in
                    ids.withUnsafeBufferPointer { ids in
                        packed.withUnsafeBufferPointer { packed in
                            factors.withUnsafeBufferPointer { factors in
                                var problem = ck_least_squares(
                                    gram: packed.baseAddress, factors: factors.baseAddress, stride: k, k: k,
                                    ids: ids.baseAddress, weights: weighted ? weights.baseAddress : nil)
                                losses.append(
                                    starts.withUnsafeBufferPointer {
                                        table.conjugate_gradients(
                                            &problem, $0.baseAddress, lambdas, 7, 30, &x, k, &scratch)
                                    })
                                table.gather_sum(
                                    factors.baseAddress, k, k, ids.baseAddress, weights.baseAddress, 131, &y)
                                faults.append(table.cholesky(&problem, gram, 58, 131, 0.5, k, &exact, &scratch))
                            }
                        }
                    }
                }
                expectClose(exact, Array(x[(6 * k)...]), 10)
                results.append(x + y + exact)
            }
            #expect(faults == [0, 0])
            expectClose(results[0], results[1], 10)
            #expect(abs(losses[0] - losses[1]) < 1e-4 * losses[1])
        }
    }

    @Test(arguments: [0] + isas)
    func `Cholesky names the row where a matrix is not positive`(isa: Int32) throws {
        let table = try #require(ck_algebra_of(isa)).pointee
        var gram = [Float](repeating: 0, count: 256)
        for i in 0..<5 { gram[i * 17] = i == 3 ? -1 : 1 }
        var (x, scratch) = ([Float](repeating: 7, count: 16), [Float](repeating: 0, count: 16 * 600))
        var problem = ck_least_squares(gram: nil, factors: nil, stride: 16, k: 16, ids: nil, weights: nil)
        let fault = table.cholesky(&problem, gram, 0, 0, 0, 5, &x, &scratch)
        #expect(fault == 4)
        #expect(x.allSatisfy { $0 == 7 })
    }
}

extension AlgebraTwinTests {
    @Test(arguments: [0] + isas)
    func `positive definite systems are solved`(isa: Int32) throws {
        let table = try #require(ck_algebra_of(isa)).pointee
        for (rank, k) in [(1, 16), (15, 16), (16, 16), (17, 32), (50, 64), (64, 64), (130, 144)] {
            var generator = SeededGenerator(seed: UInt64(rank))
            var a = [Float](repeating: 0, count: k * k)
            let rows = (0..<rank + 3).map { _ in (0..<rank).map { _ in Float.random(in: -1...1, using: &generator) } }
            for i in 0..<rank {
                for j in 0..<rank { a[i * k + j] = rows.reduce(i == j ? 2 : 0) { $0 + $1[i] * $1[j] } }
            }
            let truth = (0..<k).map { $0 < rank ? Float.random(in: -1...1, using: &generator) : 0 }
            var x = (0..<k).map { i in (0..<rank).reduce(Float(0)) { $0 + a[i * k + $1] * truth[$1] } }
            var scratch = [Float](repeating: 0, count: 2 * Int(CK_PANEL) * k)
            #expect(table.solve_positive(&a, rank, k, &x, &scratch) == 0)
            #expect(zip(x, truth).allSatisfy { abs($0 - $1) < 2e-3 }, "rank \(rank)")
        }
    }

    @Test(arguments: [0] + isas)
    func `a system that is not positive definite is told by its row`(isa: Int32) throws {
        let table = try #require(ck_algebra_of(isa)).pointee
        for bad in [0, 7, 16, 39] {
            var a = [Float](repeating: 0, count: 48 * 48)
            for i in 0..<40 { a[i * 49] = i == bad ? -1 : 1 }
            var (x, scratch) = ([Float](repeating: 1, count: 48), [Float](repeating: 0, count: 32 * 48))
            #expect(table.solve_positive(&a, 40, 48, &x, &scratch) == Int32(bad) + 1)
        }
    }
}
