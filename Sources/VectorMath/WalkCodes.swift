import CKernels
import Synchronization

/// All rows in 8-bit codes, each with what a score needs beside them: near enough to find the way through a graph by.
///
/// ```
///  row 0   | c0 c1 ... c(n-1) | unused | scale | offset |    stride bytes, whole cache lines; scale and offset are floats
///  row 1   | c0 c1 ... c(n-1) | unused | scale | offset |
/// ```
/// A row is `centre + scale * (code - 128)`, where the centre is about the mean of all rows. Scores order the rows nearly
/// as their inner products with the query, or their distances from it, do; they are no inner products and no distances.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class WalkCodes: @unchecked Sendable {
    package let rowCount: Int
    package let dimension: Int
    /// Bytes from one row to the next.
    package let stride: Int
    package let base: UnsafePointer<UInt8>
    private let isL2: Bool
    private let centre: UnsafeMutablePointer<Float>

    /// So many products of codes fit a sum.
    private static let dimensionMax = 32_768
    /// The centre is the mean of at most so many rows.
    private static let centreRowsMax = 4096
    /// Where the scales of the longest rows lie: squares of what they stand for are floats with all their bits.
    private static let scales: ClosedRange<Float> = 0x1p-50...0x1p50

    /// Bytes from one row to the next.
    package static func stride(dimension: Int) -> Int { (dimension + 8 + 63) / 64 * 64 }

    /// Nil where codes cannot tell the rows apart: values too large or too small, or all rows the same.
    ///
    /// - Parameters:
    ///   - isL2: Scores are for distances, else for inner products.
    ///   - read: Where the `dimension` finite floats of a row are, which it may write to the room it is given, and the
    ///     factor that they are to be multiplied by. Called from several threads.
    /// - Complexity: Some 20 ms for 60 000 rows of 784 on two threads.
    package init?(
        rowCount: Int, dimension: Int, isL2: Bool, threads: Int,
        read: (_ row: Int, _ room: UnsafeMutablePointer<Float>) -> (floats: UnsafePointer<Float>, factor: Float)
    ) {
        guard rowCount > 0, dimension <= Self.dimensionMax else { return nil }
        let stride = Self.stride(dimension: dimension)
        let centre = Self.centre(rowCount, dimension, read)
        let byteCount = rowCount * stride
        let memory = AlignedMemory.allocate(byteCount: byteCount)
        let codes = memory.bindMemory(to: UInt8.self, capacity: byteCount)
        let largest = Mutex<Float>(0)
        Parallel.forEach(count: rowCount, grain: 2048, threads: threads) { rows in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { room in
                guard let room = room.baseAddress else { return }
                var most: Float = 0
                for row in rows {
                    let (floats, factor) = read(row, room)
                    let target = codes + row * stride
                    ck_coding().pointee.encode(floats, factor, centre, dimension, isL2 ? 1 : 0, target, stride)
                    most = max(most, UnsafeRawPointer(target + stride - 8).loadUnaligned(as: Float.self))
                }
                largest.withLock { $0 = max($0, most) }
            }
        }
        self.rowCount = rowCount
        self.dimension = dimension
        self.stride = stride
        self.isL2 = isL2
        self.centre = centre
        base = UnsafePointer(codes)
        guard Self.scales.contains(largest.withLock { $0 }) else { return nil }
    }

    deinit {
        base.deallocate()
        centre.deallocate()
    }

    private static func centre(
        _ rowCount: Int, _ dimension: Int,
        _ read: (Int, UnsafeMutablePointer<Float>) -> (floats: UnsafePointer<Float>, factor: Float)
    ) -> UnsafeMutablePointer<Float> {
        let taken = min(rowCount, centreRowsMax)
        let centre = UnsafeMutablePointer<Float>.allocate(capacity: dimension)
        centre.initialize(repeating: 0, count: dimension)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { room in
            guard let room = room.baseAddress else { return }
            for i in 0..<taken {
                let (floats, factor) = read(i * rowCount / taken, room)
                Kernels.axpy(factor / Float(taken), floats, count: dimension, onto: centre)
            }
        }
        return centre
    }

    package var byteCount: Int { rowCount * stride }

    /// The query in codes.
    ///
    /// - Parameter codes: Room for `stride` codes, in use as long as the coded query is.
    package func coded(_ query: UnsafePointer<Float>, in codes: UnsafeMutablePointer<Int8>) -> CodedQuery {
        var scale: Float = 0
        let bias = ck_coding().pointee.encode_query(query, isL2 ? centre : nil, dimension, codes, stride, &scale)
        // An inner product is wanted but for a factor, and without one no query is too long.
        return CodedQuery(raw: ck_code_query(codes: codes, bias: bias, scale: isL2 ? scale : 1))
    }

    /// Scores of the rows `ids`; rows ahead are prefetched.
    @inlinable @inline(__always)
    package func score(
        _ query: CodedQuery, ids: UnsafePointer<UInt32>, count: Int, into scores: UnsafeMutablePointer<Float>
    ) {
        withUnsafePointer(to: query.raw) { ck_coding().pointee.gather(base, stride, $0, ids, count, scores) }
    }
}

/// A query in the codes of a `WalkCodes`; it reads memory of whoever asked for it.
package struct CodedQuery {
    @usableFromInline package let raw: ck_code_query
}
