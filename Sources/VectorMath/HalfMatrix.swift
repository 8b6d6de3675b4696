import Synchronization

/// The rows of a matrix in IEEE half precision, for searches that read many rows and score the best of them again.
///
/// `@unchecked Sendable`: nothing is written after `init`, unless its memory is reserved for rows that come later; their
/// owner then sees to it that nobody reads a row while it is written.
package final class HalfMatrix: @unchecked Sendable {
    package let rowCount: Int
    package let columnCount: Int
    /// Halves from one row to the next: whole cache lines.
    package let stride: Int
    package let base: UnsafePointer<UInt16>
    private let memory: UnsafeMutableRawPointer?
    private let owner: ReservedMemory?

    private static let rowAlignment = 32
    /// Half precision keeps eleven bits between these magnitudes of the largest value.
    package static let magnitudes: ClosedRange<Float> = 0x1p-8...0x1p14

    /// Halves from one row to the next.
    package static func stride(columnCount: Int) -> Int {
        (columnCount + rowAlignment - 1) / rowAlignment * rowAlignment
    }

    /// Nil where the largest value is so large or so small that half precision would lose more than its last bits.
    package init?(_ matrix: FactorMatrix, threads: Int = 1) {
        let found = Mutex<Float>(0)
        Parallel.forEach(count: matrix.rowCount, grain: 16_384, threads: threads) { rows in
            var largest: Float = 0
            for row in rows {
                for value in matrix.row(row) { largest = max(largest, abs(value)) }
            }
            found.withLock { $0 = max($0, largest) }
        }
        guard Self.magnitudes.contains(found.withLock { $0 }) else { return nil }
        rowCount = matrix.rowCount
        columnCount = matrix.columnCount
        stride = Self.stride(columnCount: columnCount)
        let count = rowCount * stride
        let memory = AlignedMemory.allocate(byteCount: count * 2)
        self.memory = memory
        owner = nil
        let halves = memory.bindMemory(to: UInt16.self, capacity: count)
        let (columnCount, stride) = (columnCount, stride)
        Parallel.forEach(count: rowCount, grain: 16_384, threads: threads) { rows in
            for row in rows {
                let target = halves + row * stride
                Kernels.narrow(matrix.base + row * matrix.stride, count: columnCount, into: target)
                (target + columnCount).update(repeating: 0, count: stride - columnCount)
            }
        }
        base = UnsafePointer(halves)
    }

    /// Rows that are written later, in memory of zeros with room for them: `rowCount * stride(columnCount:)` halves.
    package init(growingIn memory: ReservedMemory, rowCount: Int, columnCount: Int) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        stride = Self.stride(columnCount: columnCount)
        precondition(memory.byteCount >= rowCount * stride * 2, "\(memory.byteCount) bytes for \(rowCount) rows")
        base = UnsafePointer(memory.base.bindMemory(to: UInt16.self, capacity: rowCount * stride))
        self.memory = nil
        owner = memory
    }

    deinit { memory?.deallocate() }

    package var byteCount: Int { rowCount * stride * 2 }

    /// Bytes of a matrix of that shape.
    package static func byteCount(rowCount: Int, columnCount: Int) -> Int {
        rowCount * stride(columnCount: columnCount) * 2
    }
}
