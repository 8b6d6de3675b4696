import CKernels
import Synchronization

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
        stride = Self.stride(dimension: dimension)
        let byteCount = max(1, rowCount) * stride
        let memory = AlignedMemory.allocate(byteCount: byteCount)
        let codes = memory.bindMemory(to: UInt8.self, capacity: byteCount)
        let scales = UnsafeMutablePointer<Float>.allocate(capacity: max(1, rowCount))
        let rowStride = stride
        let whole = Mutex(CodeRounding.bytes)
        Parallel.forEach(count: rowCount, grain: 4096, threads: threads) { positions in
            let values = UnsafeMutablePointer<Float>.allocate(capacity: dimension)
            defer { values.deallocate() }
            var rounding = CodeRounding.bytes
            for position in positions {
                read(position, values)
                var largest: Float = 0
                for i in 0..<dimension { largest = max(largest, abs(values[i])) }
                let scale = largest > 0 ? max(largest / 127, .leastNormalMagnitude) : 0
                scales[position] = scale
                let target = codes + position * rowStride
                target.update(repeating: 128, count: rowStride)
                let error = rounding.code(values, count: dimension, scale: scale) { target[$0] = $1 }
                rounding.errorMax = max(rounding.errorMax, error)
            }
            whole.withLock { $0.merge(rounding) }
        }
        self.codes = codes
        self.scales = scales
        rounding = whole.withLock { $0 }
    }

    /// Takes over what another program coded.
    package init(
        copying codes: UnsafeRawBufferPointer, scales: UnsafeBufferPointer<Float>, dimension: Int, errorMax: Float,
        threads: Int
    ) {
        rowCount = scales.count
        self.dimension = dimension
        stride = Self.stride(dimension: dimension)
        precondition(codes.count == rowCount * stride, "\(codes.count) bytes of \(rowCount) rows")
        var rounding = CodeRounding.bytes
        rounding.errorMax = errorMax
        self.rounding = rounding
        self.codes = AlignedMemory.copy(codes, threads: threads).bindMemory(
            to: UInt8.self, capacity: max(codes.count, 1))
        self.scales = .allocate(capacity: max(scales.count, 1))
        if let source = scales.baseAddress { self.scales.update(from: source, count: scales.count) }
    }

    /// Bytes from one row to the next: a row of up to 64 codes lies on one cache line.
    package static func stride(dimension: Int) -> Int {
        if dimension > 64 { return (dimension + 63) / 64 * 64 }
        var stride = 16
        while stride < 64, stride < dimension { stride *= 2 }
        return stride
    }

    /// All codes; valid while this lives.
    package var codeBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: codes, count: rowCount * stride) }
    package var rowScales: UnsafeBufferPointer<Float> { UnsafeBufferPointer(start: scales, count: rowCount) }
    package var errorMax: Float { rounding.errorMax }

    deinit {
        codes.deallocate()
        scales.deallocate()
    }

    package var byteCount: Int { rowCount * (stride + 4) }
}
