/// A W3C trace context as the first 26 bytes of a call's extension.
///
/// ```
///  0 u8      version, 0
///  1 16 B    trace id, not all zero
/// 17 8 B     parent id, not all zero
/// 25 u8      flags; bit 0: sampled
/// ```
public struct TraceContext: Hashable, Sendable {
    package static let byteCount = 26

    public var traceIDHigh: UInt64
    public var traceIDLow: UInt64
    public var parentID: UInt64
    public var flags: UInt8

    public init(traceIDHigh: UInt64, traceIDLow: UInt64, parentID: UInt64, flags: UInt8) {
        self.traceIDHigh = traceIDHigh
        self.traceIDLow = traceIDLow
        self.parentID = parentID
        self.flags = flags
    }

    /// `nil` unless `bytes` start with a trace context. Versions above 0 are read as version 0, as W3C asks.
    package init?(reading bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= TraceContext.byteCount, bytes[0] != 0xFF else { return nil }
        traceIDHigh = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        traceIDLow = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 9, as: UInt64.self))
        parentID = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 17, as: UInt64.self))
        flags = bytes[25]
        guard traceIDHigh != 0 || traceIDLow != 0, parentID != 0 else { return nil }
    }

    /// Writes `byteCount` bytes at `bytes`.
    package func write(into bytes: UnsafeMutableRawPointer) {
        bytes.storeBytes(of: 0, as: UInt8.self)
        bytes.storeBytes(of: traceIDHigh.bigEndian, toByteOffset: 1, as: UInt64.self)
        bytes.storeBytes(of: traceIDLow.bigEndian, toByteOffset: 9, as: UInt64.self)
        bytes.storeBytes(of: parentID.bigEndian, toByteOffset: 17, as: UInt64.self)
        bytes.storeBytes(of: flags, toByteOffset: 25, as: UInt8.self)
    }
}
