import CKernels
import Testing

@testable import VectorMath

/// Every instruction set of this machine against the scalar twin, and the bounds against what they bound.
@Suite struct BoundsTwinTests {
    static let isas: [Int] = [1, 2, 3].filter { ck_bounds_of(Int32($0)) != nil }

    struct Shape {
        /// Groups of each level; the last one in half bytes where it says so.
        let groups: [Int]
        let endsInNibbles: Bool
        var levels: [[UInt8]]
        var rows: [UInt8]
        var scales: [Float]
        var offsets: [Float]
        var codes: [Int8]
        let stride: Int

        static let blocks = 7

        func isNibbles(_ level: Int) -> Bool { endsInNibbles && level == groups.count - 1 }

        init(groups: [Int], endsInNibbles: Bool, seed: UInt64) {
            var random = SplitMix(seed: seed)
            self.groups = groups
            self.endsInNibbles = endsInNibbles
            let all = groups.reduce(0, +)
            stride = all * 4 + Int(seed % 3) * 4
            levels = []
            for (level, count) in groups.enumerated() {
                let isNibbles = endsInNibbles && level == groups.count - 1
                var bytes: [UInt8] = []
                for _ in 0..<Self.blocks {
                    var header = [UInt16](repeating: 0, count: 32)
                    for lane in 0..<32 {
                        var value = abs(random.float())
                        Kernels.narrow(&value, count: 1, into: &header[lane])
                    }
                    for half in header { bytes += [UInt8(half & 255), UInt8(half >> 8)] }
                    for _ in 0..<(isNibbles ? count / 2 : count) * 64 {
                        bytes.append(UInt8(1 + Int(abs(random.float()) * 254)))
                    }
                }
                levels.append(bytes)
            }
            rows = (0..<Self.blocks * 16 * stride + 64).map { _ in UInt8(1 + Int(abs(random.float()) * 254)) }
            scales = (0..<Self.blocks * 16).map { _ in abs(random.float()) }
            offsets = (0..<Self.blocks * 16).map { _ in random.float() * 1000 }
            codes = (0..<all * 4 + 64).map { _ in Int8(random.float() * 127) }
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

    /// What `table` lets pass of the first `levelCount` levels.
    static func scan(
        _ table: ck_bounds, _ shape: Shape, levelCount: Int, offsets: Bool, threshold: Float
    ) -> [UInt32] {
        var hits = [UInt32](repeating: 0xDEAD_BEEF, count: Shape.blocks * 16 + 17)
        let count = shape.codes.withUnsafeBufferPointer { codes in
            var first = 0
            let probes = UnsafeMutablePointer<ck_probe>.allocate(capacity: 3)
            defer { probes.deallocate() }
            for (level, groups) in shape.groups.enumerated() {
                probes[level] = ck_probe(
                    codes: codes.baseAddress.map { $0 + first }, groups: groups, bias: Int32(77 - level * 100),
                    scale: 0.5 / Float(level + 1), rest: 900 / Float(level * 2 + 1))
                first += groups * 4
            }
            func run(_ levels: [ck_level]) -> Int {
                if levels.count == levelCount {
                    return table.scan(
                        levels, levelCount, offsets ? shape.offsets : nil, 0, Shape.blocks, threshold, &hits)
                }
                let next = levels.count
                return aligned(shape.levels[next]) {
                    run(
                        levels + [
                            ck_level(blocks: $0, probe: probes + next, nibbles: shape.isNibbles(next) ? 1 : 0)
                        ])
                }
            }
            return run([])
        }
        #expect(hits[hits.count - 1] == 0xDEAD_BEEF, "wrote past the room that is asked for")
        return Array(hits[..<count])
    }

    @Test("scans and row bounds let the same rows pass as the scalar twin", arguments: isas)
    func agree(isa: Int) throws {
        let twin = try #require(ck_bounds_of(Int32(CK_SCALAR))).pointee
        let simd = try #require(ck_bounds_of(Int32(isa))).pointee
        let shapes: [([Int], Bool)] = [
            ([1], false), ([2, 1], false), ([3, 2], false), ([4, 4, 8], true), ([4, 3, 2], true), ([8, 8], false),
            ([8, 4], true), ([6, 5, 16], true), ([16, 9, 3], false), ([4, 24], true),
        ]
        for (seed, (groups, endsInNibbles)) in shapes.enumerated() {
            let shape = Shape(groups: groups, endsInNibbles: endsInNibbles, seed: UInt64(seed))
            for threshold: Float in [-.infinity, -5000, 0, 3000, 20_000, .infinity] {
                for levelCount in 1...groups.count where !endsInNibbles || groups.count > 1 {
                    for offsets in [false, true] {
                        let found = [twin, simd].map {
                            Self.scan($0, shape, levelCount: levelCount, offsets: offsets, threshold: threshold)
                        }
                        #expect(found[0] == found[1], "groups \(groups), \(levelCount) levels, threshold \(threshold)")
                        if threshold == -.infinity { #expect(found[0].count == Shape.blocks * 16) }
                    }
                }
                let kept = [twin, simd].map { table -> [UInt32] in
                    let count = UInt32(Shape.blocks * 16)
                    var positions = (0..<count).map { ($0 * 5 + 3) % count } + [9, 9, 9, 9]
                    let left = shape.codes.withUnsafeBufferPointer { codes in
                        var probe = ck_probe(
                            codes: codes.baseAddress, groups: groups.reduce(0, +), bias: 31, scale: 0.5, rest: 0)
                        return table.rows(
                            shape.rows, shape.stride, shape.scales, seed % 2 == 0 ? shape.offsets : nil, &probe,
                            positions, Int(count), threshold, &positions)
                    }
                    return Array(positions[..<left])
                }
                #expect(kept[0] == kept[1], "rows of \(groups) groups, threshold \(threshold)")
            }
        }
    }
}
