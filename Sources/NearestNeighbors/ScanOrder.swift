import VectorMath

/// Which row stands where in the codes of a `ScanIndex`.
///
/// `@unchecked Sendable`: nothing is written after `init`.
final class ScanOrder: @unchecked Sendable {
    let rowCount: Int
    let blockCount: Int
    /// Position to row.
    let rows: UnsafePointer<UInt32>
    /// The longest row from each block on, rounded up, in the space's units.
    let lengthsFrom: UnsafePointer<Float>
    /// What keeps the memory; nil: it is this object's own.
    private let owner: (any AnyObject & Sendable)?

    /// - Parameter lengths: By row.
    init(_ order: [UInt32], lengths: [Float]) {
        rowCount = order.count
        blockCount = (order.count + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock
        let rows = UnsafeMutablePointer<UInt32>.allocate(capacity: max(rowCount, 1))
        let lengthsFrom = UnsafeMutablePointer<Float>.allocate(capacity: max(blockCount, 1))
        var longest: Float = 0
        for (position, row) in order.enumerated().reversed() {
            rows[position] = row
            longest = max(longest, lengths[Int(row)])
            lengthsFrom[position / CodeBlocks.rowsPerBlock] = longest
        }
        self.rows = UnsafePointer(rows)
        self.lengthsFrom = UnsafePointer(lengthsFrom)
        owner = nil
    }

    /// Reads what lies in memory that `owner` keeps.
    init(
        borrowing rows: UnsafeBufferPointer<UInt32>, lengthsFrom: UnsafePointer<Float>, owner: any AnyObject & Sendable
    ) {
        rowCount = rows.count
        blockCount = (rows.count + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock
        self.rows = rows.baseAddress ?? Self.nothing()
        self.lengthsFrom = lengthsFrom
        self.owner = owner
    }

    deinit {
        guard owner == nil else { return }
        rows.deallocate()
        lengthsFrom.deallocate()
    }

    /// A place to point to where there is nothing to read.
    static func nothing<T>() -> UnsafePointer<T> { UnsafePointer(bitPattern: 8).unsafelyUnwrapped }

    var byteCount: Int { Self.byteCount(rowCount: rowCount) }

    static func byteCount(rowCount: Int) -> Int {
        (rowCount + (rowCount + CodeBlocks.rowsPerBlock - 1) / CodeBlocks.rowsPerBlock) * 4
    }
}
