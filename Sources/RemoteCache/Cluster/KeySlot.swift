/// Where a key belongs in a Redis cluster.
package enum KeySlot {
    package static let count = 16_384

    /// CRC16 (XMODEM: polynomial 0x1021, start 0) of the hash tag, or of the whole key where it has none, modulo 16 384.
    ///
    /// The hash tag is what stands between the first `{` and the next `}`, where that is not empty.
    package static func slot(of key: [UInt8]) -> UInt16 {
        var bytes = key[...]
        if let open = key.firstIndex(of: UInt8(ascii: "{")) {
            let rest = key[(open + 1)...]
            if let close = rest.firstIndex(of: UInt8(ascii: "}")), close > rest.startIndex {
                bytes = key[(open + 1)..<close]
            }
        }
        var crc: UInt16 = 0
        for byte in bytes { crc = (crc << 8) ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)] }
        return crc & UInt16(count - 1)
    }

    private static let table: [UInt16] = (0..<256).map { index in
        var crc = UInt16(index) << 8
        for _ in 0..<8 { crc = crc & 0x8000 != 0 ? (crc << 1) ^ 0x1021 : crc << 1 }
        return crc
    }
}
