import NIOCore

/// One received frame, its body sharing the receive buffer's memory.
package struct Frame: Sendable {
    package let header: FrameHeader
    package let extensionBytes: ByteBuffer
    package let body: ByteBuffer
}

/// Turns a stream of bytes into frames: feed what arrives, then ask until there is none.
///
/// Holds at most one unfinished frame, thus `frameBytesMax + 4` bytes, and grows with what has arrived rather than
/// with what was announced. After an error every further call throws the same error.
///
/// - Complexity: A frame that arrives in one piece is a slice of the incoming buffer; the tail of a read is copied
///   once, and again each time its buffer doubles.
package struct FrameDecoder: Sendable {
    /// Limit of the frames that come next.
    package var frameBytesMax: Int
    private var pending = ByteBuffer()
    private var failure: FrameError?

    package init(frameBytesMax: Int = FrameHeader.frameBytesMaxDefault) {
        self.frameBytesMax = frameBytesMax
    }

    /// Bytes received and not yet returned in a frame.
    package var pendingBytes: Int { pending.readableBytes }

    /// Adds bytes that arrived. Take all frames before feeding again, so that the tail stays small.
    package mutating func feed(_ incoming: ByteBuffer) {
        guard failure == nil else { return }
        if pending.readableBytes == 0 {
            pending = incoming
        } else {
            pending.discardReadBytes()
            pending.writeImmutableBuffer(incoming)
        }
    }

    /// The next whole frame; `nil` when more bytes are needed.
    package mutating func next() throws(FrameError) -> Frame? {
        if let failure { throw failure }
        guard pending.readableBytes >= FrameHeader.byteCount else { return nil }
        let parsed = pending.withUnsafeReadableBytes { bytes -> Result<FrameHeader, FrameError> in
            guard let base = bytes.baseAddress else { return .failure(.tooSmall(length: 0)) }
            do throws(FrameError) {
                return .success(try FrameHeader(reading: base, frameBytesMax: frameBytesMax))
            } catch {
                return .failure(error)
            }
        }
        switch parsed {
        case .failure(let error):
            failure = error
            pending = ByteBuffer()
            throw error
        case .success(let header):
            guard pending.readableBytes >= header.frameBytes else { return nil }
            pending.moveReaderIndex(forwardBy: FrameHeader.byteCount)
            guard let extensionBytes = pending.readSlice(length: Int(header.extensionBytes)),
                let body = pending.readSlice(length: header.bodyBytes)
            else { return nil }
            return Frame(header: header, extensionBytes: extensionBytes, body: body)
        }
    }
}
