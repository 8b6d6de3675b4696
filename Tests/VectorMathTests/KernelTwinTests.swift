import CKernels
import Testing

@testable import VectorMath

/// Every instruction set of this machine against the scalar twin: relative error at most 2e-6 of the sum of absolute terms.
@Suite struct KernelTwinTests {
    static let dimensions = Array(1...130) + [256, 333, 4096]
    static let isas: [Int] = [1, 2, 3].filter { ck_distance_of(Int32($0)) != nil }

    struct Shape {
        var rows: [Float]
        var query: [Float]
        var stride: Int
        var count: Int

        init(dimension: Int, count: Int, padding: Int, seed: UInt64) {
            var random = SplitMix(seed: seed)
            stride = dimension + padding
            self.count = count
            rows = (0..<count * stride).map { _ in random.float() }
            query = (0..<dimension).map { _ in random.float() }
        }
    }

    func tables(_ isa: Int) throws -> (twin: ck_distance, simd: ck_distance) {
        let twin = try #require(ck_distance_of(Int32(CK_SCALAR))).pointee
        let simd = try #require(ck_distance_of(Int32(isa))).pointee
        return (twin, simd)
    }

    func tolerance(_ dimension: Int) -> Float { 2e-6 * Float(dimension).squareRoot() * 4 + 1e-6 }

    @Test("dot and l2 of contiguous and gathered rows agree with the scalar twin", arguments: isas)
    func rowsAgree(isa: Int) throws {
        let (twin, simd) = try tables(isa)
        for dimension in Self.dimensions {
            let count = 1 + dimension % 21
            let shape = Shape(dimension: dimension, count: count, padding: dimension % 3, seed: UInt64(dimension))
            let ids = (0..<UInt32(count)).map { ($0 * 7 + 3) % UInt32(count) }
            var expected = [Float](repeating: 0, count: count)
            var actual = [Float](repeating: .nan, count: count + 1)
            for l2 in [false, true] {
                (l2 ? twin.l2_rows : twin.dot_rows)!(shape.query, shape.rows, shape.stride, count, dimension, &expected)
                (l2 ? simd.l2_rows : simd.dot_rows)!(shape.query, shape.rows, shape.stride, count, dimension, &actual)
                for i in 0..<count {
                    #expect(abs(expected[i] - actual[i]) <= tolerance(dimension) * max(1, abs(expected[i])))
                }
                #expect(actual[count].isNaN, "wrote past the end")
                let contiguous = actual
                (l2 ? simd.l2_gather : simd.dot_gather)!(
                    shape.query, shape.rows, shape.stride, ids, count, dimension, &actual)
                for i in 0..<count {
                    #expect(actual[i] == contiguous[Int(ids[i])], "a row's score depends on its place")
                }
                #expect(actual[count].isNaN, "wrote past the end")
            }
        }
    }

    @Test("a scan reports exactly the rows that reach the threshold, in order", arguments: [0] + isas)
    func scanAgrees(isa: Int) throws {
        let (_, simd) = try tables(isa)
        for dimension in [1, 7, 16, 32, 33, 64, 65, 128] {
            for count in [0, 1, 3, 8, 9, 16, 100] {
                let shape = Shape(
                    dimension: dimension, count: count, padding: 1, seed: UInt64(dimension * 1000 + count))
                var scale = (0..<count).map { 0.5 + Float($0 % 5) }
                var scores = [Float](repeating: 0, count: count)
                var rows = [UInt32](repeating: 0, count: count + 16)
                var hits = [Float](repeating: 0, count: count + 16)
                for mode in 0..<3 {  // dot, scaled dot, l2
                    (mode == 2 ? simd.l2_rows : simd.dot_rows)!(
                        shape.query, shape.rows, shape.stride, count, dimension, &scores)
                    if mode == 1 { for i in 0..<count { scores[i] *= scale[i] } }
                    for threshold in [-Float.infinity, scores.sorted().dropFirst(count / 2).first ?? 0, .infinity] {
                        let found =
                            mode == 2
                            ? simd.l2_scan(
                                shape.query, shape.rows, shape.stride, count, dimension, threshold, 40, &rows, &hits)
                            : scale.withUnsafeMutableBufferPointer {
                                simd.dot_scan(
                                    shape.query, shape.rows, shape.stride, count, dimension,
                                    mode == 1 ? UnsafePointer($0.baseAddress) : nil, threshold, 40, &rows, &hits)
                            }
                        let expected = (0..<count).filter { scores[$0] >= threshold }
                        #expect(rows[..<found].map { Int($0) - 40 } == expected)
                        #expect(Array(hits[..<found]) == expected.map { scores[$0] })
                    }
                }
            }
        }
    }

    @Test("half rows score as the floats they stand for", arguments: isas)
    func halfRowsAgree(isa: Int) throws {
        let (twin, simd) = try tables(isa)
        for dimension in Self.dimensions {
            let count = 1 + dimension % 13
            let shape = Shape(dimension: dimension, count: count, padding: dimension % 2, seed: UInt64(dimension) + 7)
            var halves = [UInt16](repeating: 0, count: shape.rows.count)
            var scalarHalves = halves
            simd.f32_to_f16(shape.rows, shape.rows.count, &halves)
            twin.f32_to_f16(shape.rows, shape.rows.count, &scalarHalves)
            #expect(halves == scalarHalves)
            var wide = [Float](repeating: 0, count: halves.count)
            simd.f16_to_f32(halves, halves.count, &wide)
            var expected = [Float](repeating: 0, count: count)
            var actual = [Float](repeating: .nan, count: count + 1)
            twin.dot_rows(shape.query, wide, shape.stride, count, dimension, &expected)
            simd.dot_rows_f16(shape.query, halves, shape.stride, count, dimension, &actual)
            for i in 0..<count {
                #expect(abs(expected[i] - actual[i]) <= tolerance(dimension) * max(1, abs(expected[i])))
            }
            #expect(actual[count].isNaN, "wrote past the end")
            let contiguous = actual
            let ids = (0..<UInt32(count)).map { UInt32(count) - 1 - $0 }
            simd.dot_gather_f16(shape.query, halves, shape.stride, ids, count, dimension, &actual)
            for i in 0..<count { #expect(actual[i] == contiguous[Int(ids[i])]) }
            // Distances to half rows are those to the floats, bit for bit, and near the twin's.
            twin.l2_gather_f16(shape.query, halves, shape.stride, ids, count, dimension, &expected)
            simd.l2_gather(shape.query, wide, shape.stride, ids, count, dimension, &actual)
            let distances = actual
            simd.l2_gather_f16(shape.query, halves, shape.stride, ids, count, dimension, &actual)
            for i in 0..<count {
                #expect(actual[i] == distances[i])
                #expect(abs(expected[i] - actual[i]) <= tolerance(dimension) * max(1, abs(expected[i])))
            }
            #expect(actual[count].isNaN, "wrote past the end")
        }
    }

    @Test("every half value widens alike, and narrowing it gives it back", arguments: [0] + isas)
    func halvesRoundTrip(isa: Int) throws {
        let (twin, simd) = try tables(isa)
        let halves = (0...UInt16.max).map { $0 }
        var expected = [Float](repeating: 0, count: halves.count)
        var actual = expected
        twin.f16_to_f32(halves, halves.count, &expected)
        simd.f16_to_f32(halves, halves.count, &actual)
        var back = [UInt16](repeating: 0, count: halves.count)
        simd.f32_to_f16(actual, actual.count, &back)
        for i in halves.indices {
            if expected[i].isNaN {
                #expect(actual[i].isNaN && back[i] & 0x7C00 == 0x7C00 && back[i] & 0x3FF != 0)
            } else {
                #expect(expected[i].bitPattern == actual[i].bitPattern && back[i] == halves[i])
            }
        }
    }

    @Test("narrowing rounds to nearest even and overflows to infinity, as the scalar twin does", arguments: isas)
    func narrowingAgrees(isa: Int) throws {
        let (twin, simd) = try tables(isa)
        var random = SplitMix(seed: 5)
        var values = (0..<20_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }
        values += [
            65504, 65519.9, 65520, 65536, 1e-8, 2.98e-8, 2.99e-8, 6.1e-5, 0x1p-14, -0.0, 0, .infinity, -.infinity,
        ]
        values += (0..<20_000).map { _ in random.float() * 0x1p-14 }
        values = values.filter { !$0.isNaN }
        var expected = [UInt16](repeating: 0, count: values.count)
        var actual = expected
        twin.f32_to_f16(values, values.count, &expected)
        simd.f32_to_f16(values, values.count, &actual)
        #expect(expected == actual)
    }

    @Test("axpy and the check for finite values agree with the scalar twin", arguments: isas)
    func axpyAgrees(isa: Int) throws {
        let (twin, simd) = try tables(isa)
        for count in Self.dimensions {
            let shape = Shape(dimension: count, count: 1, padding: 0, seed: UInt64(count))
            var expected = shape.rows + [1]
            var actual = expected
            twin.axpy(0.7, shape.query, count, &expected)
            simd.axpy(0.7, shape.query, count, &actual)
            for i in 0...count { #expect(abs(expected[i] - actual[i]) <= 1e-6) }
            #expect(simd.all_finite(actual, count) == 1)
            for bad in [Float.nan, .infinity, -.infinity] {
                actual[count * 2 / 3] = bad
                #expect(simd.all_finite(actual, count) == 0 && twin.all_finite(actual, count) == 0)
            }
        }
    }
}

/// A small deterministic generator.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in -1..<1.
    mutating func float() -> Float { Float(Int64(bitPattern: next()) >> 40) * 0x1p-23 }
}
