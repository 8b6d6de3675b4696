import CKernels
import Testing

@testable import VectorMath

/// Every instruction set of this machine against the scalar twin, and the bounds against what they bound.
@Suite struct BoundsTwinTests {
    static let isas: [Int] = [1, 2, 3].filter { ck_bounds_of(Int32($0)) != nil }

    struct Shape {
        var coarse: [UInt8]
        var fine: [UInt8]
        var rows: [UInt8]
        var scales: [Float]
        var offsets: [Float]
        var codes: [Int8]
        let blocks: Int
        let groups: Int
        let more: Int
        let stride: Int

        init(blocks: Int, groups: Int, more: Int, seed: UInt64) {
            var random = SplitMix(seed: seed)
            self.blocks = blocks
            self.groups = groups
            self.more = more
            stride = (groups + more) * 4 + Int(seed % 3) * 4
            func level(_ groups: Int) -> [UInt8] {
                var bytes: [UInt8] = []
                for _ in 0..<blocks {
                    var header = [UInt16](repeating: 0, count: 32)
                    for lane in 0..<32 {
                        var value = abs(random.float())
                        Kernels.narrow(&value, count: 1, into: &header[lane])
                    }
                    for half in header { bytes += [UInt8(half & 255), UInt8(half >> 8)] }
                    for _ in 0..<groups * 64 { bytes.append(UInt8(1 + Int(abs(random.float()) * 254))) }
                }
                return bytes
            }
            coarse = level(groups)
            fine = level(more)
            rows = (0..<blocks * 16 * stride + 64).map { _ in UInt8(1 + Int(abs(random.float()) * 254)) }
            scales = (0..<blocks * 16).map { _ in abs(random.float()) }
            offsets = (0..<blocks * 16).map { _ in random.float() * 1000 }
            codes = (0..<(groups + more) * 4 + 64).map { _ in Int8(random.float() * 127) }
        }
    }

    /// Memory on a cache line of its own, as the kernels want blocks.
    static func aligned<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 64), alignment: 64)
        defer { memory.deallocate() }
        bytes.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
        }
        return body(memory.assumingMemoryBound(to: UInt8.self))
    }

    @Test("scans and row bounds let the same rows pass as the scalar twin", arguments: isas)
    func agree(isa: Int) throws {
        let twin = try #require(ck_bounds_of(Int32(CK_SCALAR))).pointee
        let simd = try #require(ck_bounds_of(Int32(isa))).pointee
        for (seed, (groups, more)) in [(1, 0), (2, 1), (3, 2), (4, 4), (4, 3), (8, 8), (8, 0), (6, 5), (16, 9)]
            .enumerated()
        {
            let shape = Shape(blocks: 7, groups: groups, more: more, seed: UInt64(seed))
            for threshold: Float in [-.infinity, -5000, 0, 3000, 20_000, .infinity] {
                for (usesFine, usesOffsets) in [(false, false), (true, false), (true, true)] {
                    let found = [twin, simd].map { table -> [UInt32] in
                        var hits = [UInt32](repeating: 0xDEAD_BEEF, count: 7 * 16 + 17)
                        let count = shape.codes.withUnsafeBufferPointer { codes in
                            Self.aligned(shape.coarse) { coarse in
                                Self.aligned(shape.fine) { fine in
                                    var a = ck_probe(
                                        codes: codes.baseAddress, groups: groups, bias: 77, scale: 0.5, rest: 900)
                                    var b = ck_probe(
                                        codes: codes.baseAddress.map { $0 + groups * 4 }, groups: more, bias: -50,
                                        scale: 0.25, rest: 300)
                                    return table.scan(
                                        coarse, &a, usesFine && more > 0 ? fine : nil, &b,
                                        usesOffsets ? shape.offsets : nil, 7, threshold, 160, &hits)
                                }
                            }
                        }
                        #expect(hits[hits.count - 1] == 0xDEAD_BEEF, "wrote past the room that is asked for")
                        return Array(hits[..<count])
                    }
                    #expect(found[0] == found[1], "groups \(groups) + \(more), threshold \(threshold)")
                    if threshold == -.infinity { #expect(found[0].count == 7 * 16) }
                }
                let kept = [twin, simd].map { table -> [UInt32] in
                    var positions = (0..<UInt32(7 * 16)).map { ($0 * 5 + 3) % (7 * 16) } + [9, 9, 9, 9]
                    let count = shape.codes.withUnsafeBufferPointer { codes in
                        var probe = ck_probe(
                            codes: codes.baseAddress, groups: groups + more, bias: 31, scale: 0.5, rest: 0)
                        return table.rows(
                            shape.rows, shape.stride, shape.scales, seed % 2 == 0 ? shape.offsets : nil, &probe,
                            positions, 7 * 16, threshold, &positions)
                    }
                    return Array(positions[..<count])
                }
                #expect(kept[0] == kept[1], "rows of \(groups + more) groups, threshold \(threshold)")
            }
        }
    }
}
