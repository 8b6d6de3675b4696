import CKernels
import Synchronization

/// Some coordinates of all rows as 8-bit codes, sixteen rows to a block, and how long the rest of each row is.
///
/// ```
///  block  | 16 scales, half | 16 rests, half | dimensions 0-3 of 16 rows | dimensions 4-7 of 16 rows | ...
///           32 bytes          32 bytes         64 bytes                    64 bytes
/// ```
/// The last block is filled up with rows of zeros: a scan may report them, and its caller drops them.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class CodeBlocks: @unchecked Sendable {
    package static let rowsPerBlock = Int(CK_BLOCK_ROWS)

    package let blockCount: Int
    /// Coordinates coded, a multiple of four.
    package let dimensions: Int
    let rounding: CodeRounding
    private let memory: UnsafeMutableRawPointer

    /// - Parameter read: Writes the coordinates of the row at a position and returns the length of the row's rest.
    ///   All must be finite, and below 2^15 in magnitude. Called from several threads.
    package init(
        rowCount: Int, dimensions: Int, threads: Int,
        read: (_ position: Int, UnsafeMutablePointer<Float>) -> Float
    ) {
        precondition(dimensions % 4 == 0, "\(dimensions) is not a multiple of four")
        let blockBytes = 64 + dimensions * 16
        blockCount = (rowCount + Self.rowsPerBlock - 1) / Self.rowsPerBlock
        self.dimensions = dimensions
        memory = AlignedMemory.allocate(byteCount: max(1, blockCount) * blockBytes)
        let memory = memory
        let whole = Mutex(CodeRounding())
        Parallel.forEach(count: blockCount, grain: 256, threads: threads) { blocks in
            let values = UnsafeMutablePointer<Float>.allocate(capacity: max(dimensions, 1))
            defer { values.deallocate() }
            var rounding = CodeRounding()
            for index in blocks {
                Self.fill(
                    memory + index * blockBytes, first: index * Self.rowsPerBlock, rowCount: rowCount,
                    dimensions: dimensions, values, &rounding, read)
            }
            whole.withLock { $0.merge(rounding) }
        }
        rounding = whole.withLock { $0 }
    }

    private static func fill(
        _ block: UnsafeMutableRawPointer, first: Int, rowCount: Int, dimensions: Int,
        _ values: UnsafeMutablePointer<Float>, _ rounding: inout CodeRounding,
        _ read: (_ position: Int, UnsafeMutablePointer<Float>) -> Float
    ) {
        for lane in 0..<rowsPerBlock {
            let position = first + lane
            let scales = block.assumingMemoryBound(to: UInt16.self)
            let codes = (block + 64).assumingMemoryBound(to: UInt8.self) + lane * 4
            var scale: UInt16 = 0
            var rest: UInt16 = 0
            if position < rowCount {
                rest = halfAbove(read(position, values))
                var largest: Float = 0
                for i in 0..<dimensions { largest = max(largest, abs(values[i])) }
                scale = halfAbove(largest / 127)
            } else {
                values.update(repeating: 0, count: dimensions)
            }
            scales[lane] = scale
            scales[rowsPerBlock + lane] = rest
            var wide: Float = 0
            Kernels.widen(&scale, count: 1, into: &wide)
            rounding.code(values, count: dimensions, scale: wide) { codes[$0 / 4 * 64 + $0 % 4] = $1 }
        }
    }

    deinit { memory.deallocate() }

    package var byteCount: Int { blockCount * blockBytes }
    private var blockBytes: Int { 64 + dimensions * 16 }

    func block(_ index: Int) -> UnsafePointer<UInt8> {
        UnsafePointer((memory + index * blockBytes).assumingMemoryBound(to: UInt8.self))
    }

    /// The least half that is not below `value`.
    private static func halfAbove(_ value: Float) -> UInt16 {
        var value = value
        var half: UInt16 = 0
        var wide: Float = 0
        Kernels.narrow(&value, count: 1, into: &half)
        Kernels.widen(&half, count: 1, into: &wide)
        return wide < value ? half + 1 : half
    }
}

/// All coordinates of each row as 8-bit codes, row by row.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class CodeRows: @unchecked Sendable {
    package let rowCount: Int
    package let dimension: Int
    let rounding: CodeRounding
    let stride: Int
    let codes: UnsafeMutablePointer<UInt8>
    let scales: UnsafeMutablePointer<Float>

    /// - Parameter read: Writes the `dimension` finite coordinates of the row at a position. Called from several threads.
    package init(
        rowCount: Int, dimension: Int, threads: Int, read: (_ position: Int, UnsafeMutablePointer<Float>) -> Void
    ) {
        self.rowCount = rowCount
        self.dimension = dimension
        // A row of up to 64 codes lies on one cache line.
        var stride = 16
        while stride < 64, stride < dimension { stride *= 2 }
        if dimension > 64 { stride = (dimension + 63) / 64 * 64 }
        self.stride = stride
        let byteCount = max(1, rowCount) * stride
        let memory = AlignedMemory.allocate(byteCount: byteCount)
        let codes = memory.bindMemory(to: UInt8.self, capacity: byteCount)
        let scales = UnsafeMutablePointer<Float>.allocate(capacity: max(1, rowCount))
        let rowStride = stride
        let whole = Mutex(CodeRounding())
        Parallel.forEach(count: rowCount, grain: 4096, threads: threads) { positions in
            let values = UnsafeMutablePointer<Float>.allocate(capacity: dimension)
            defer { values.deallocate() }
            var rounding = CodeRounding()
            for position in positions {
                read(position, values)
                var largest: Float = 0
                for i in 0..<dimension { largest = max(largest, abs(values[i])) }
                let scale = largest > 0 ? max(largest / 127, .leastNormalMagnitude) : 0
                scales[position] = scale
                let target = codes + position * rowStride
                target.update(repeating: 128, count: rowStride)
                rounding.code(values, count: dimension, scale: scale) { target[$0] = $1 }
            }
            whole.withLock { $0.merge(rounding) }
        }
        self.codes = codes
        self.scales = scales
        rounding = whole.withLock { $0 }
    }

    deinit {
        codes.deallocate()
        scales.deallocate()
    }

    package var byteCount: Int { rowCount * (stride + 4) }
}
