/// Columns of numbers in payloads, little-endian, copied as blocks.
extension [UInt8] {
    mutating func append(column: [Float]) { append(block: column.map(\.bitPattern)) }

    mutating func append(column: [UInt32]) { append(block: column) }

    private mutating func append(block: [UInt32]) {
        #if _endian(little)
            block.withUnsafeBytes { append(contentsOf: $0) }
        #else
            for value in block { append(bits: value) }
        #endif
    }
}

extension RecordReader {
    /// - Throws: `malformed` when fewer than `count` are left.
    mutating func column(_ count: Int) throws(LogError) -> [UInt32] {
        guard count <= rest.count / 4 else { throw fault }
        let block = rest.prefix(count * 4)
        rest = rest.dropFirst(count * 4)
        return block.withUnsafeBytes { bytes in
            (0..<count).map {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
            }
        }
    }

    mutating func floats(_ count: Int) throws(LogError) -> [Float] { try column(count).map { Float(bitPattern: $0) } }
}
