import CKernels
import Testing

@testable import VectorMath

/// Layers in fewer bits against the scalar kernels, and products against sums in Float64.
@Suite struct LayerTwinTests {
    static let isas: [Int32] = [1, 2, 3].filter { ck_layers_of($0) != nil }
    static let algebras: [Int32] = [0, 1, 2, 3].filter { ck_algebra_of($0) != nil }

    private func random(_ count: Int, _ seed: UInt64, _ range: ClosedRange<Float> = -1...1) -> [Float] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return range.lowerBound + Float(state >> 40) / Float(1 << 24) * (range.upperBound - range.lowerBound)
        }
    }

    @Test(arguments: algebras)
    func `a product begins where it is told and cuts what is negative`(isa: Int32) throws {
        let kernels = try #require(ck_algebra_of(isa)).pointee
        // Every number of rows and panels that a tile can have, and some beyond.
        for m in 1...13 {
            for panels in 1...11 {
                let k = 16 * (1 + m % 3)
                let (a, b) = (random(m * k, UInt64(m)), random(k * panels * 16, UInt64(panels)))
                var packed = [Float](repeating: 0, count: b.count)
                ck_pack(b, panels * 16, k, panels * 16, &packed)
                let bias = random(panels * 16, 9)
                var out = [Float](repeating: .nan, count: m * panels * 16)
                kernels.product(a, k, 1, m, k, packed, panels, bias, 0, &out, panels * 16, 1)
                // The same with the left side turned: element (r, t) at t * m + r.
                var turned = [Float](repeating: 0, count: m * k)
                for r in 0..<m { for t in 0..<k { turned[t * m + r] = a[r * k + t] } }
                var again = [Float](repeating: .nan, count: out.count)
                kernels.product(turned, 1, m, m, k, packed, panels, bias, 0, &again, panels * 16, 1)
                #expect(out == again)
                for r in 0..<m {
                    for j in 0..<(panels * 16) {
                        let exact = (0..<k).reduce(Double(bias[j])) {
                            $0 + Double(a[r * k + $1]) * Double(b[$1 * panels * 16 + j])
                        }
                        #expect(abs(Double(out[r * panels * 16 + j]) - max(exact, 0)) < 1e-4)
                    }
                }
            }
        }
    }

    @Test(arguments: isas)
    func `layers in fewer bits agree with their twin`(isa: Int32) throws {
        let (simd, twin) = (try #require(ck_layers_of(isa)).pointee, try #require(ck_layers_of(0)).pointee)
        for m in [1, 2, 3, 4, 5, 6, 11, 23] {
            for (k, n) in [(16, 5), (32, 16), (48, 33), (64, 80), (432, 100)] {
                let panels = (n + 15) / 16
                let (rows, weights) = (random(m * k, UInt64(m + k)), random(n * k, UInt64(n)))
                let bias = random(panels * 16, 3)
                var (out, again) = (
                    [Float](repeating: .nan, count: m * panels * 16), [Float](repeating: .nan, count: m * panels * 16)
                )
                var packed = [Int8](repeating: 0, count: k * panels * 16)
                var scales = [Float](repeating: 0, count: panels * 16)
                var sums = [Int32](repeating: 0, count: panels * 16)
                ck_pack_i8(weights, k, n, k, &packed, &scales, &sums)
                for isSigned: Int32 in [0, 1] {
                    let input = isSigned == 1 ? rows : rows.map { max($0, 0) }
                    var (bytes, twinBytes) = ([UInt8](repeating: 0, count: m * k), [UInt8](repeating: 0, count: m * k))
                    var (units, twinUnits) = ([Float](repeating: 0, count: m), [Float](repeating: 0, count: m))
                    simd.to_bytes(input, k, m, k, isSigned, &bytes, k, &units)
                    twin.to_bytes(input, k, m, k, isSigned, &twinBytes, k, &twinUnits)
                    #expect(bytes == twinBytes && units == twinUnits)
                    bytes.withUnsafeBufferPointer { bytes in
                        var a = ck_byte_rows(
                            bytes: bytes.baseAddress, stride: k, scales: nil, zero: isSigned == 1 ? 128 : 0)
                        units.withUnsafeBufferPointer { units in
                            a.scales = units.baseAddress
                            packed.withUnsafeBufferPointer { packed in
                                scales.withUnsafeBufferPointer { scales in
                                    sums.withUnsafeBufferPointer { sums in
                                        var w = ck_byte_weights(
                                            packed: packed.baseAddress, scales: scales.baseAddress,
                                            sums: sums.baseAddress)
                                        simd.u8(&a, m, k / 4, &w, panels, bias, 1, &out, panels * 16)
                                        twin.u8(&a, m, k / 4, &w, panels, bias, 1, &again, panels * 16)
                                    }
                                }
                            }
                        }
                    }
                    #expect(out == again)
                    // Rounding to bytes moves a sum by about a percent of its terms' size.
                    for r in 0..<m {
                        for j in 0..<n {
                            let exact = (0..<k).reduce(bias[j]) { $0 + input[r * k + $1] * weights[j * k + $1] }
                            #expect(abs(out[r * panels * 16 + j] - max(exact, 0)) < 0.02 * Float(k).squareRoot())
                        }
                    }
                }
                guard ck_has_fast_bf16() != 0 else { continue }
                var halves = [UInt16](repeating: 0, count: k * panels * 16)
                ck_pack_bf16(weights, k, n, k, &halves)
                var (input, twinInput) = ([UInt16](repeating: 0, count: m * k), [UInt16](repeating: 0, count: m * k))
                simd.narrow(rows, m * k, &input)
                twin.narrow(rows, m * k, &twinInput)
                #expect(input == twinInput)
                simd.bf16(input, k, m, k / 2, halves, panels, bias, 0, &out, panels * 16, 0)
                twin.bf16(input, k, m, k / 2, halves, panels, bias, 0, &again, panels * 16, 0)
                #expect(zip(out, again).allSatisfy { abs($0 - $1) < 1e-4 * Float(k).squareRoot() })
                var (short, twinShort) = (
                    [UInt16](repeating: 0, count: m * panels * 16), [UInt16](repeating: 0, count: m * panels * 16)
                )
                simd.bf16(input, k, m, k / 2, halves, panels, bias, 1, &short, panels * 16, 1)
                twin.bf16(input, k, m, k / 2, halves, panels, bias, 1, &twinShort, panels * 16, 1)
                for (a, b) in zip(short, twinShort) {
                    let (a, b) = (Float(bitPattern: UInt32(a) << 16), Float(bitPattern: UInt32(b) << 16))
                    #expect(abs(a - b) <= 0.01 * max(abs(a), 0.05))
                }
            }
        }
    }

    static let embeddings: [Int32] = [1, 2, 3].filter { ck_embeddings_of($0) != nil }

    @Test(arguments: embeddings)
    func `embedding kernels agree with their twin`(isa: Int32) throws {
        let (simd, twin) = (try #require(ck_embeddings_of(isa)).pointee, try #require(ck_embeddings_of(0)).pointee)
        for width in [1, 3, 4, 8, 10, 16, 24, 33] {
            let (fields, m) = (7, 9)
            let table = random(100 * width, 5)
            var halves = [UInt16](repeating: 0, count: table.count)
            Kernels.narrow(table, count: table.count, into: &halves)
            let ids = (0..<UInt32(m * fields)).map { $0 * 37 % 100 }
            let stride = fields * width + 3
            var (out, again) = ([Float](repeating: 0, count: m * stride), [Float](repeating: 0, count: m * stride))
            simd.gather(halves, 1, width, ids, m, fields, &out, stride)
            twin.gather(halves, 1, width, ids, m, fields, &again, stride)
            #expect(out == again)
            simd.gather(table, 0, width, ids, m, fields, &out, stride)
            twin.gather(table, 0, width, ids, m, fields, &again, stride)
            #expect(out == again)
            #expect(out[stride + width] == table[Int(ids[fields + 1]) * width])
            let start = random(width, 8)
            for relu: Int32 in [0, 1] {
                var (moved, twinMoved) = (
                    [Float](repeating: 0, count: m * stride), [Float](repeating: 0, count: m * stride)
                )
                simd.add_gathered(halves, 1, width, ids, m, start, relu, &moved, stride)
                twin.add_gathered(halves, 1, width, ids, m, start, relu, &twinMoved, stride)
                #expect(moved == twinMoved)
                simd.add_gathered(table, 0, width, ids, m, start, relu, &moved, stride)
                twin.add_gathered(table, 0, width, ids, m, start, relu, &twinMoved, stride)
                #expect(moved == twinMoved)
                let exact = start[width - 1] + table[Int(ids[1]) * width + width - 1]
                #expect(moved[stride + width - 1] == (relu == 1 ? max(exact, 0) : exact))
            }
            var (sums, twinSums) = ([Float](repeating: 1, count: m), [Float](repeating: 1, count: m))
            simd.pairs(out, stride, m, fields, width, &sums)
            twin.pairs(out, stride, m, fields, width, &twinSums)
            #expect(zip(sums, twinSums).allSatisfy { abs($0 - $1) < 1e-4 * Float(width) })
            let exact = (0..<fields).reduce(1.0) { total, f in
                total
                    + (0..<f).reduce(0.0) { sum, e in
                        (0..<width).reduce(sum) {
                            $0 + Double(out[f * width + $1]) * Double(out[e * width + $1])
                        }
                    }
            }
            #expect(abs(Double(sums[0]) - exact) < 1e-4 * Double(width))
            let g = random(m, 6)
            var (moved, twinMoved) = (random(m * stride, 7), random(m * stride, 7))
            simd.pair_gradients(out, stride, m, fields, width, g, &moved, stride)
            twin.pair_gradients(out, stride, m, fields, width, g, &twinMoved, stride)
            #expect(zip(moved, twinMoved).allSatisfy { abs($0 - $1) < 1e-5 })
        }
        var (w1, a1, b1) = (random(37, 1), random(37, 2), random(37, 3, 0...1))
        var (w2, a2, b2) = (w1, a1, b1)
        var step = ck_adam_step(rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, shrink: 0.001)
        let g = random(37, 4)
        simd.adam(&w1, g, &a1, &b1, 37, &step)
        twin.adam(&w2, g, &a2, &b2, 37, &step)
        for (x, y) in [(w1, w2), (a1, a2), (b1, b2)] { #expect(zip(x, y).allSatisfy { abs($0 - $1) < 1e-6 }) }
    }
}
