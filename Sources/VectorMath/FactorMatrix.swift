import Synchronization

/// A sealed row-major Float32 matrix, one row per user or item.
///
/// ```
///  row 0   | c0 c1 ... c(n-1) | 0 0 |   stride floats; owned rows start on 64-byte lines, the padding is zero
///  row 1   | c0 c1 ... c(n-1) | 0 0 |
/// ```
/// Owned memory of 4 MiB and more asks for huge pages, which is what makes random rows cheap to reach. A borrowed matrix
/// reads memory of `owner` (a mapped file) as it lies there, padding or not.
///
/// `@unchecked Sendable`: nothing is written after `init`; an owner that writes rows of a borrowed one later sees to it
/// that nobody reads them meanwhile.
package final class FactorMatrix: @unchecked Sendable {
    /// Rows.
    package let rowCount: Int
    /// Floats of a row that count.
    package let columnCount: Int
    /// Floats from one row to the next, at least `columnCount`.
    package let stride: Int
    /// The first row; never nil, readable for `rowCount * stride` floats (the last row of a borrowed one: `columnCount`).
    package let base: UnsafePointer<Float>

    private let owner: (any AnyObject & Sendable)?
    private let owned: UnsafeMutableRawPointer?
    /// Set once all values were seen to be finite: looking again and again would take longer than most uses.
    private let isKnownFinite = Atomic<Bool>(false)

    /// Rows are padded to a multiple of this many floats (64 bytes).
    package static let rowAlignment = 16

    /// Makes an owned matrix; `fill` writes each row's `columnCount` floats (handed over as zeros), in row order.
    package init(
        rowCount: Int, columnCount: Int, fill: (_ row: Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        precondition(rowCount >= 0 && columnCount >= 1, "a matrix of \(rowCount) x \(columnCount)")
        let stride = Self.stride(columnCount: columnCount)
        let memory = AlignedMemory.allocate(byteCount: max(rowCount, 1) * stride * 4)
        let floats = memory.bindMemory(to: Float.self, capacity: max(rowCount, 1) * stride)
        floats.update(repeating: 0, count: max(rowCount, 1) * stride)
        for row in 0..<rowCount {
            fill(row, UnsafeMutableBufferPointer(start: floats + row * stride, count: columnCount))
        }
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.stride = stride
        self.base = UnsafePointer(floats)
        self.owned = memory
        self.owner = nil
    }

    /// Reads rows that lie in memory kept alive by `owner`.
    package init(
        borrowing base: UnsafePointer<Float>, rowCount: Int, columnCount: Int, stride: Int,
        owner: any AnyObject & Sendable
    ) {
        precondition(
            rowCount >= 0 && columnCount >= 1 && stride >= columnCount,
            "a matrix of \(rowCount) x \(columnCount) with stride \(stride)")
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.stride = stride
        self.base = base
        self.owned = nil
        self.owner = owner
    }

    deinit {
        owned?.deallocate()
    }

    /// Floats from one owned row to the next.
    package static func stride(columnCount: Int) -> Int {
        (columnCount + rowAlignment - 1) / rowAlignment * rowAlignment
    }

    /// Bytes of an owned matrix.
    package static func byteCount(rowCount: Int, columnCount: Int) -> Int {
        rowCount * stride(columnCount: columnCount) * 4
    }

    /// The floats of row `r`; valid while the matrix lives.
    @inlinable
    package func row(_ r: Int) -> UnsafeBufferPointer<Float> {
        precondition(r >= 0 && r < rowCount, "row \(r) is not in 0..<\(rowCount)")
        return UnsafeBufferPointer(start: base + r * stride, count: columnCount)
    }

    /// The same values in owned, padded, huge-page memory; itself when it is owned already.
    ///
    /// - Parameter threads: That copy.
    package func copiedToOwnMemory(threads: Int = 1) -> FactorMatrix {
        if owned != nil { return self }
        return FactorMatrix(copying: self, threads: threads)
    }

    private init(copying source: FactorMatrix, threads: Int) {
        rowCount = source.rowCount
        columnCount = source.columnCount
        let stride = Self.stride(columnCount: columnCount)
        self.stride = stride
        let count = max(rowCount, 1) * stride
        let memory = AlignedMemory.allocate(byteCount: count * 4)
        let floats = memory.bindMemory(to: Float.self, capacity: count)
        if rowCount == 0 { floats.update(repeating: 0, count: count) }
        let padding = stride - columnCount
        Parallel.forEach(count: rowCount, grain: 8192, threads: threads) { rows in
            for row in rows {
                let target = floats + row * stride
                target.update(from: source.base + row * source.stride, count: source.columnCount)
                if padding > 0 { (target + source.columnCount).update(repeating: 0, count: padding) }
            }
        }
        base = UnsafePointer(floats)
        owned = memory
        owner = nil
        isKnownFinite.store(source.isKnownFinite.load(ordering: .relaxed), ordering: .relaxed)
    }

    /// Whether no value is NaN or infinite.
    package var isFinite: Bool { isFinite(threads: 1) }

    /// The same, looked at by several threads.
    package func isFinite(threads: Int) -> Bool {
        if isKnownFinite.load(ordering: .relaxed) { return true }
        let isFinite = Atomic<Bool>(true)
        Parallel.forEach(count: rowCount, grain: 16_384, threads: threads) { rows in
            if !rows.allSatisfy({ Kernels.allFinite(row($0)) }) { isFinite.store(false, ordering: .relaxed) }
        }
        guard isFinite.load(ordering: .relaxed) else { return false }
        isKnownFinite.store(true, ordering: .relaxed)
        return true
    }
}
