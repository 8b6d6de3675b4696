import CKernels
import Synchronization

/// Some coordinates of all rows as codes, sixteen rows to a block, and how long the rest of each row is.
///
/// ```
///  block    | 16 scales, half | 16 rests, half | dimensions 0-3 of 16 rows | dimensions 4-7 of 16 rows | ...
///             32 bytes          32 bytes         64 bytes                    64 bytes
///  nibbles  | 16 scales, half | 16 rests, half | dimensions 0-7 of 16 rows: 0-3 in the low halves | ...
/// ```
/// The last block is filled up with rows of zeros: a scan may report them, and its caller drops them.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class CodeBlocks: @unchecked Sendable {
    package static let rowsPerBlock = Int(CK_BLOCK_ROWS)

    /// What a row's codes are, and what its rest is.
    package enum Form: String, Sendable {
        /// 8 bits; the rest is what the coordinates leave out of the row.
        case bytes
        /// 4 bits; the rest is what rounding to them lost.
        case nibbles

        var rounding: CodeRounding { self == .bytes ? .bytes : .nibbles }
        /// Coordinates come in whole groups of so many.
        package var groupDimensions: Int { self == .bytes ? 4 : 8 }
    }

    package let form: Form
    package let blockCount: Int
    /// Coordinates coded, a multiple of the form's group.
    package let dimensions: Int
    let rounding: CodeRounding
    private let memory: UnsafeMutableRawPointer

    /// - Parameter read: Writes the coordinates of the row at a position and returns the length of the row's rest.
    ///   All must be finite, and below 2^15 in magnitude. Called from several threads.
    package init(
        rowCount: Int, dimensions: Int, form: Form = .bytes, threads: Int,
        read: (_ position: Int, UnsafeMutablePointer<Float>) -> Float
    ) {
        precondition(dimensions % form.groupDimensions == 0, "\(dimensions) coordinates as \(form)")
        self.form = form
        let blockBytes = Self.blockBytes(dimensions, form)
        blockCount = (rowCount + Self.rowsPerBlock - 1) / Self.rowsPerBlock
        self.dimensions = dimensions
        memory = AlignedMemory.allocate(byteCount: max(1, blockCount) * blockBytes)
        let memory = memory
        let whole = Mutex(form.rounding)
        Parallel.forEach(count: blockCount, grain: 256, threads: threads) { blocks in
            let values = UnsafeMutablePointer<Float>.allocate(capacity: max(dimensions, 1))
            defer { values.deallocate() }
            var rounding = form.rounding
            for index in blocks {
                let block = memory + index * blockBytes
                block.initializeMemory(as: UInt8.self, repeating: 0, count: blockBytes)
                for lane in 0..<Self.rowsPerBlock {
                    let position = index * Self.rowsPerBlock + lane
                    var rest: Float = 0
                    if position < rowCount {
                        rest = read(position, values)
                    } else {
                        values.update(repeating: 0, count: dimensions)
                    }
                    Self.write(values, dimensions, rest: rest, form, to: block, lane, &rounding)
                }
            }
            whole.withLock { $0.merge(rounding) }
        }
        rounding = whole.withLock { $0 }
    }

    /// Takes over what another program coded.
    ///
    /// - Parameters:
    ///   - bytes: Whole blocks, copied.
    ///   - errorMax: What rounding lost of a row at most, in its scale.
    package init(
        copying bytes: UnsafeRawBufferPointer, blockCount: Int, dimensions: Int, form: Form, errorMax: Float,
        threads: Int
    ) {
        precondition(bytes.count == blockCount * Self.blockBytes(dimensions, form), "\(bytes.count) bytes of blocks")
        self.form = form
        self.blockCount = blockCount
        self.dimensions = dimensions
        var rounding = form.rounding
        rounding.errorMax = errorMax
        self.rounding = rounding
        memory = AlignedMemory.copy(bytes, threads: threads)
    }

    /// All blocks; valid while this lives.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: byteCount) }
    /// What rounding lost of a row at most, in its scale.
    package var errorMax: Float { rounding.errorMax }

    /// Writes one row's codes into its lane of a block of zero bytes.
    private static func write(
        _ values: UnsafePointer<Float>, _ dimensions: Int, rest: Float, _ form: Form, to block: UnsafeMutableRawPointer,
        _ lane: Int, _ rounding: inout CodeRounding
    ) {
        let header = block.assumingMemoryBound(to: UInt16.self)
        let codes = (block + 64).assumingMemoryBound(to: UInt8.self) + lane * 4
        var largest: Float = 0
        for i in 0..<dimensions { largest = max(largest, abs(values[i])) }
        var scale = halfAbove(largest / rounding.limit)
        var wide: Float = 0
        Kernels.widen(&scale, count: 1, into: &wide)
        header[lane] = scale
        switch form {
        case .bytes:
            let error = rounding.code(values, count: dimensions, scale: wide) { codes[$0 / 4 * 64 + $0 % 4] = $1 }
            rounding.errorMax = max(rounding.errorMax, error)
            header[rowsPerBlock + lane] = halfAbove(rest)
        case .nibbles:
            let error = rounding.code(values, count: dimensions, scale: wide) {
                codes[$0 / 8 * 64 + $0 % 4] |= $0 % 8 < 4 ? $1 : $1 << 4
            }
            header[rowsPerBlock + lane] = halfAbove(max(rest, error * wide * 1.0001))
        }
    }

    deinit { memory.deallocate() }

    package var byteCount: Int { blockCount * blockBytes }
    private var blockBytes: Int { Self.blockBytes(dimensions, form) }
    /// Bytes of a block with so many coordinates.
    package static func blockBytes(_ dimensions: Int, _ form: Form) -> Int {
        64 + dimensions / form.groupDimensions * 64
    }

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
