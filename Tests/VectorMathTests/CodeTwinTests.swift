import CKernels
import Testing

@testable import VectorMath

/// Rows in codes: every instruction set of this machine must give the bits of the scalar twin.
@Suite struct CodeTwinTests {
    static let dimensions = Array(1...130) + [256, 333, 784, 1023, 4096]
    static let isas: [Int] = [1, 2, 3].filter { ck_codes_of(Int32($0)) != nil }

    /// Rows coded by one instruction set, with a query against them.
    struct Coded {
        var rows: [UInt8]
        var query: [Int8]
        var scale: Float = 0
        var bias: Int32 = 0
        let stride: Int

        init(_ codes: ck_codes, dimension: Int, count: Int, l2: Bool, seed: UInt64) {
            var random = SplitMix(seed: seed)
            stride = WalkCodes.stride(dimension: dimension)
            rows = [UInt8](repeating: 7, count: count * stride)
            query = [Int8](repeating: 7, count: stride)
            let centre = (0..<dimension).map { _ in random.float() }
            let exponents: [Float] = [1, 1e-6, 1e5, 0, 1e-35]
            for row in 0..<count {
                let values = (0..<dimension).map { _ in random.float() * exponents[row % exponents.count] }
                // Some rows are the centre itself, and so all zeros.
                let x = row % 7 == 6 ? centre : values
                let stride = stride
                rows.withUnsafeMutableBufferPointer {
                    codes.encode(
                        x, row % 7 == 6 ? 1 : 0.5, centre, dimension, l2 ? 1 : 0, $0.baseAddress! + row * stride, stride
                    )
                }
            }
            let q = (0..<dimension).map { _ in random.float() * 3 }
            bias = codes.encode_query(q, l2 ? centre : nil, dimension, &query, stride, &scale)
        }
    }

    @Test("codes and scores are those of the scalar twin, bit for bit", arguments: isas)
    func twins(isa: Int) throws {
        let twin = try #require(ck_codes_of(Int32(CK_SCALAR))).pointee
        let simd = try #require(ck_codes_of(Int32(isa))).pointee
        for dimension in Self.dimensions {
            for l2 in [false, true] {
                let count = 1 + dimension % 21
                let seed = UInt64(dimension)
                let expected = Coded(twin, dimension: dimension, count: count, l2: l2, seed: seed)
                let actual = Coded(simd, dimension: dimension, count: count, l2: l2, seed: seed)
                #expect(expected.rows == actual.rows, "dimension \(dimension), l2 \(l2)")
                #expect(expected.query == actual.query && expected.bias == actual.bias)
                #expect(expected.scale == actual.scale)
                let ids = (0..<UInt32(count)).map { ($0 * 7 + 3) % UInt32(count) }
                var one = [Float](repeating: 0, count: count)
                var other = [Float](repeating: .nan, count: count + 1)
                expected.query.withUnsafeBufferPointer {
                    var query = ck_code_query(codes: $0.baseAddress!, bias: expected.bias, scale: expected.scale)
                    twin.gather(expected.rows, expected.stride, &query, ids, count, &one)
                    simd.gather(expected.rows, expected.stride, &query, ids, count, &other)
                }
                #expect(one == Array(other.prefix(count)), "dimension \(dimension), l2 \(l2)")
                #expect(other[count].isNaN, "wrote past the end")
            }
        }
    }

    @Test("the largest products that a row can hold fit the sum", arguments: [0] + isas)
    func extremes(isa: Int) throws {
        let codes = try #require(ck_codes_of(Int32(isa))).pointee
        for sign: Float in [-1, 1] {
            let (dimension, stride) = (32_768, WalkCodes.stride(dimension: 32_768))
            let zeros = [Float](repeating: 0, count: dimension)
            var row = [UInt8](repeating: 0, count: stride)
            var query = [Int8](repeating: 0, count: stride)
            var (scale, score): (Float, Float) = (0, 0)
            codes.encode([Float](repeating: sign, count: dimension), 1, zeros, dimension, 0, &row, stride)
            let bias = codes.encode_query(
                [Float](repeating: 2, count: dimension), nil, dimension, &query, stride, &scale)
            query.withUnsafeBufferPointer {
                var coded = ck_code_query(codes: $0.baseAddress!, bias: bias, scale: scale)
                codes.gather(row, stride, &coded, [0], 1, &score)
            }
            #expect(abs(score - sign * 65_536) < 1, "\(score)")
        }
    }

    @Test("a row that is too long for codes says so", arguments: [0] + isas)
    func tooLong(isa: Int) throws {
        let codes = try #require(ck_codes_of(Int32(isa))).pointee
        for value: Float in [1e20, -.greatestFiniteMagnitude, .infinity] {
            var row = [UInt8](repeating: 9, count: 64)
            codes.encode([1, value, 2], 1, [0, 0, 0], 3, 1, &row, 64)
            let scale = row.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 56, as: Float.self) }
            #expect(scale == .infinity)
        }
    }

    /// The error of a score is at most what rounding leaves of row and query: half a step for each coordinate.
    @Test("scores differ by no more than rounding explains", arguments: [1, 2, 5, 31, 64, 100, 784])
    func errors(dimension: Int) throws {
        var random = SplitMix(seed: UInt64(dimension))
        let matrix = FactorMatrix(rowCount: 300, columnCount: dimension) { row, target in
            let length: Float = row % 3 == 0 ? 0.1 : 2
            for i in target.indices { target[i] = 5 + length * random.float() }
        }
        let query = (0..<dimension).map { _ in 5 + random.float() }
        let ids = (0..<300).map { UInt32($0) }
        for isL2 in [false, true] {
            let codes = try #require(
                WalkCodes(rowCount: 300, dimension: dimension, isL2: isL2, threads: 2) { row, _ in
                    (matrix.base + row * matrix.stride, 1)
                })
            var buffer = [Int8](repeating: 0, count: codes.stride)
            var scores = [Float](repeating: 0, count: 300)
            buffer.withUnsafeMutableBufferPointer {
                codes.score(codes.coded(query, in: $0.baseAddress!), ids: ids, count: 300, into: &scores)
            }
            // An inner product has no scale of the query, so it is compared in the query's steps.
            let step = isL2 ? 1 : (query.map { abs($0) }.max() ?? 0) / 127
            let errors = (0..<300).map { row -> Double in
                let x = matrix.row(row)
                var truth = 0.0
                for i in 0..<dimension {
                    truth += isL2 ? -pow2(Double(query[i]) - Double(x[i])) : Double(query[i]) * Double(x[i])
                }
                return Double(scores[row] * step) - truth
            }
            // All may be off by the same number.
            let mean = errors.reduce(0, +) / 300
            let worst = errors.map { abs($0 - mean) }.max() ?? 0
            // A coordinate of row or query is off by half of a 127th of 3 at most, and stands against 4 or the query's 6.
            let most = Double(dimension) * 3 / 254 * (isL2 ? 2 * 2 * 4 : 6 + 4)
            #expect(worst <= most, "\(worst) of \(most)")
        }
    }

    private func pow2(_ x: Double) -> Double { x * x }

    @Test("what codes cannot tell apart has none")
    func unfit() {
        func codes(_ rows: Int, _ dimension: Int, _ value: @escaping (Int) -> Float) -> WalkCodes? {
            WalkCodes(rowCount: rows, dimension: dimension, isL2: true, threads: 1) { row, room in
                room.update(repeating: value(row), count: dimension)
                return (UnsafePointer(room), 1)
            }
        }
        #expect(codes(0, 4) { _ in 1 } == nil)
        #expect(codes(9, 4) { _ in 1 } == nil)
        #expect(codes(9, 4) { $0 == 3 ? 1e30 : 1 } == nil)
        #expect(codes(9, 4) { Float($0) * 1e-25 } == nil)
        #expect(codes(9, 40_000) { Float($0) } == nil)
        #expect(codes(9, 4) { Float($0) } != nil)
    }
}
