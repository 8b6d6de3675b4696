import Synchronization

/// The rows of a matrix in IEEE half precision, for searches that read many rows and score the best of them again.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class HalfMatrix: @unchecked Sendable {
    package let rowCount: Int
    package let columnCount: Int
    /// Halves from one row to the next: whole cache lines.
    package let stride: Int
    package let base: UnsafePointer<UInt16>
    private let memory: UnsafeMutableRawPointer

    private static let rowAlignment = 32
    /// Half precision keeps eleven bits between these magnitudes.
    private static let magnitudes: ClosedRange<Float> = 0x1p-8...0x1p14

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
        stride = (columnCount + Self.rowAlignment - 1) / Self.rowAlignment * Self.rowAlignment
        let count = rowCount * stride
        memory = AlignedMemory.allocate(byteCount: count * 2)
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

    deinit { memory.deallocate() }

    package var byteCount: Int { rowCount * stride * 2 }
}
