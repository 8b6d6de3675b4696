import Vocabulary

/// What a frame is for. The raw value is the kind byte of the header.
@frozen
@usableFromInline
package enum FrameKind: UInt8, CaseIterable, Sendable {
    case hello = 1
    case welcome = 2
    case call = 3
    case reply = 4
    case cancel = 5
    case ping = 6
    case pong = 7
    case goaway = 8
}

/// How important a call is to its caller: what a node that has too much to do answers first, and turns away last.
public enum CallPriority: UInt8, CaseIterable, Sendable {
    case normal = 0
    /// Answered as long as anything is.
    case critical = 1
    /// What the caller can do without.
    case sheddable = 2
    /// What nobody waits for.
    case background = 3
}

/// Bits of a call's flags byte.
package struct CallFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The frame's extension starts with a `TraceContext`.
    package static let traceContext = CallFlags(rawValue: 1)
    /// The answer is not to come from the result cache, nor to enter it.
    package static let bypassCache = CallFlags(rawValue: 2)
    /// The extension holds a request ID of the caller's, see `RequestIDExtension`.
    package static let requestID = CallFlags(rawValue: 4)
    /// Of the two bits that hold the priority.
    private static let priorityShift: UInt8 = 3

    /// The flags of a call of that priority.
    package init(_ priority: CallPriority) { rawValue = priority.rawValue << Self.priorityShift }

    package var priority: CallPriority { CallPriority(rawValue: rawValue >> Self.priorityShift & 3) ?? .normal }
}

/// Bits of a reply's flags byte.
package struct ReplyFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The answer came from the shard's result cache.
    package static let cached = ReplyFlags(rawValue: 1)
    /// No work was begun: sending the call again, here or elsewhere, cannot do it twice.
    package static let retryIsSafe = ReplyFlags(rawValue: 2)
    /// The answer came from the result cache and is older than it should be; a new one is being made.
    package static let stale = ReplyFlags(rawValue: 4)
}

/// Why bytes are not a frame. Each of these ends the connection: what follows cannot be told apart any more.
@usableFromInline
package enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The version byte is not 1: the peer speaks another protocol.
    case badVersion(UInt8)
    /// The announced length is above the connection's limit.
    case tooLarge(length: UInt32, frameBytesMax: Int)
    /// The announced length does not hold the header's remaining 16 bytes.
    case tooSmall(length: UInt32)
    /// The extension would reach past the end of the frame.
    case extensionTooLong(extensionBytes: UInt16, length: UInt32)

    @usableFromInline package var description: String {
        switch self {
        case .badVersion(let version):
            "the frame has version \(version); this side speaks version \(FrameHeader.version)"
        case .tooLarge(let length, let limit): "the frame has \(length) bytes; at most \(limit) are allowed"
        case .tooSmall(let length): "the frame has \(length) bytes; a header needs 16"
        case .extensionTooLong(let count, let length):
            "the extension has \(count) bytes and does not fit a frame of \(length)"
        }
    }
}

/// The 20 bytes at the start of every frame. Integers are big-endian.
///
/// ```
///  0 u32 length           bytes after this field: 16 + extension + body
///  4 u8  version          1
///  5 u8  kind             FrameKind
///  6 u8  code             call: method; reply: status; else 0
///  7 u8  flags            call: CallFlags; reply: ReplyFlags; else 0
///  8 u32 callID           chosen by the client, unique among its calls in flight
/// 12 u32 microseconds     call: timeout, 0 for none; reply: time spent in the node
/// 16 u16 slotOrLoad       call: routing slot, 0xFFFF when not given; reply: load hint
/// 18 u16 extensionBytes   between this header and the body
/// ```
///
/// The kind stays a raw byte so that a frame of a kind this side does not know can be answered or skipped.
@frozen
@usableFromInline
package struct FrameHeader: Hashable, Sendable {
    @usableFromInline package static var byteCount: Int { 20 }
    @usableFromInline package static var version: UInt8 { 1 }
    /// Default limit of `length`, both ways.
    @usableFromInline package static var frameBytesMaxDefault: Int { 1 << 20 }
    /// `slotOrLoad` of a call whose sender does not route.
    @usableFromInline package static var noSlot: UInt16 { 0xFFFF }

    @usableFromInline package var length: UInt32
    @usableFromInline package var rawKind: UInt8
    @usableFromInline package var code: UInt8
    @usableFromInline package var flags: UInt8
    @usableFromInline package var callID: UInt32
    @usableFromInline package var microseconds: UInt32
    @usableFromInline package var slotOrLoad: UInt16
    @usableFromInline package var extensionBytes: UInt16

    /// A header whose length fits an extension and a body of the given sizes.
    @inlinable
    package init(
        kind: FrameKind, code: UInt8 = 0, flags: UInt8 = 0, callID: UInt32 = 0, microseconds: UInt32 = 0,
        slotOrLoad: UInt16 = 0, extensionBytes: UInt16 = 0, bodyBytes: Int
    ) {
        self.length = UInt32(truncatingIfNeeded: 16 + Int(extensionBytes) + bodyBytes)
        self.rawKind = kind.rawValue
        self.code = code
        self.flags = flags
        self.callID = callID
        self.microseconds = microseconds
        self.slotOrLoad = slotOrLoad
        self.extensionBytes = extensionBytes
    }

    /// Reads and checks the header at `bytes`, which must hold `byteCount` bytes; any alignment.
    ///
    /// - Throws: `FrameError`; the connection is lost then.
    @inlinable
    package init(reading bytes: UnsafeRawPointer, frameBytesMax: Int) throws(FrameError) {
        length = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
        let version = bytes.load(fromByteOffset: 4, as: UInt8.self)
        guard version == FrameHeader.version else { throw .badVersion(version) }
        guard length >= 16 else { throw .tooSmall(length: length) }
        guard Int(length) <= frameBytesMax else { throw .tooLarge(length: length, frameBytesMax: frameBytesMax) }
        rawKind = bytes.load(fromByteOffset: 5, as: UInt8.self)
        code = bytes.load(fromByteOffset: 6, as: UInt8.self)
        flags = bytes.load(fromByteOffset: 7, as: UInt8.self)
        callID = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        microseconds = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        slotOrLoad = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
        extensionBytes = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 18, as: UInt16.self))
        guard Int(extensionBytes) <= Int(length) - 16 else {
            throw .extensionTooLong(extensionBytes: extensionBytes, length: length)
        }
    }

    /// Writes `byteCount` bytes at `bytes`; any alignment.
    @inlinable
    package func write(into bytes: UnsafeMutableRawPointer) {
        bytes.storeBytes(of: length.bigEndian, as: UInt32.self)
        bytes.storeBytes(of: FrameHeader.version, toByteOffset: 4, as: UInt8.self)
        bytes.storeBytes(of: rawKind, toByteOffset: 5, as: UInt8.self)
        bytes.storeBytes(of: code, toByteOffset: 6, as: UInt8.self)
        bytes.storeBytes(of: flags, toByteOffset: 7, as: UInt8.self)
        bytes.storeBytes(of: callID.bigEndian, toByteOffset: 8, as: UInt32.self)
        bytes.storeBytes(of: microseconds.bigEndian, toByteOffset: 12, as: UInt32.self)
        bytes.storeBytes(of: slotOrLoad.bigEndian, toByteOffset: 16, as: UInt16.self)
        bytes.storeBytes(of: extensionBytes.bigEndian, toByteOffset: 18, as: UInt16.self)
    }

    /// `nil`: a kind this side does not know.
    @inlinable package var kind: FrameKind? { FrameKind(rawValue: rawKind) }
    /// Bytes of the whole frame, its length field included.
    @inlinable package var frameBytes: Int { Int(length) + 4 }
    /// Bytes of the protobuf message.
    @inlinable package var bodyBytes: Int { Int(length) - 16 - Int(extensionBytes) }
}
