import NIOCore

/// A message that one side sends and the other reads: the body of a frame.
package protocol MessageBody: ProtoEncodable, Sendable {
    /// Reads a message; copies what it keeps.
    ///
    /// - Throws: `MessageFault` when `body` is not one.
    init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault)
}

/// Bytes that are not the message they should be. On the client's side: the node speaks another protocol.
package struct MessageFault: Error, Hashable, Sendable, CustomStringConvertible {
    package let message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}

extension ProtoEncodable {
    /// Appends a frame with this body. The header's length is set here.
    ///
    /// - Parameter requestID: Of a call; "" or one that is too long: none.
    package func writeFrame(
        _ header: FrameHeader, trace: TraceContext? = nil, requestID: String = "", to buffer: inout ByteBuffer
    ) {
        var header = header
        let idBytes = requestID.isEmpty ? [] : RequestIDExtension.bytes(requestID)
        let bodyBytes = encodedByteCount
        if trace != nil {
            header.extensionBytes = UInt16(TraceContext.byteCount)
            header.flags |= CallFlags.traceContext.rawValue
        }
        if !idBytes.isEmpty {
            header.extensionBytes += UInt16(idBytes.count)
            header.flags |= CallFlags.requestID.rawValue
        }
        header.length = UInt32(16 + Int(header.extensionBytes) + bodyBytes)
        let frameBytes = header.frameBytes
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: frameBytes) { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            header.write(into: base)
            if let trace { trace.write(into: base + FrameHeader.byteCount) }
            let idStart = frameBytes - bodyBytes - idBytes.count
            for (place, byte) in idBytes.enumerated() {
                base.storeBytes(of: byte, toByteOffset: idStart + place, as: UInt8.self)
            }
            encode(into: base + (frameBytes - bodyBytes), byteCount: bodyBytes)
            return frameBytes
        }
    }

    /// The encoded message.
    package var encodedBody: ByteBuffer {
        var buffer = ByteBuffer()
        let count = encodedByteCount
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            guard let base = bytes.baseAddress else { return 0 }
            encode(into: base, byteCount: count)
            return count
        }
        return buffer
    }
}

extension MessageBody {
    /// Reads the message in `buffer`.
    package init(decoding buffer: ByteBuffer, arena: DecodeArena) throws(MessageFault) {
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<Self, MessageFault> in
            do throws(MessageFault) { return .success(try Self(decoding: bytes, arena: arena)) } catch {
                return .failure(error)
            }
        }
        self = try result.get()
    }
}
