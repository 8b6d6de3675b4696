/// One frame inside somebody else's memory.
@frozen
@usableFromInline
package struct FrameView {
    @usableFromInline package let header: FrameHeader
    /// Between header and body; as long as `header.extensionBytes`.
    @usableFromInline package let extensionBytes: UnsafeRawBufferPointer
    /// The protobuf message.
    @usableFromInline package let body: UnsafeRawBufferPointer

    @inlinable
    init(header: FrameHeader, extensionBytes: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer) {
        self.header = header
        self.extensionBytes = extensionBytes
        self.body = body
    }

    /// The caller's trace context, when the frame carries a sound one.
    package var traceContext: TraceContext? {
        header.callFlags.contains(.traceContext) ? TraceContext(reading: extensionBytes) : nil
    }
}

/// Walks over the whole frames in a block of received bytes. Copies nothing, keeps nothing.
///
/// The node's hot path: scan the receive buffer, then keep the `bytes.count - consumed` bytes of the last, unfinished
/// frame. `FrameDecoder` does the keeping where speed matters less.
@frozen
@usableFromInline
package struct FrameScanner {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    @usableFromInline let frameBytesMax: Int
    /// Bytes of the frames returned so far.
    @usableFromInline package private(set) var consumed: Int

    /// - Parameter bytes: Must outlive the scanner and the views it returns.
    @inlinable
    package init(_ bytes: UnsafeRawBufferPointer, frameBytesMax: Int) {
        self.bytes = bytes
        self.frameBytesMax = frameBytesMax
        self.consumed = 0
    }

    /// The next whole frame; `nil` when the rest is not yet one.
    ///
    /// A bad header throws as soon as its 20 bytes are there; the body is not waited for.
    @inlinable
    package mutating func next() throws(FrameError) -> FrameView? {
        let left = bytes.count - consumed
        guard left >= FrameHeader.byteCount, let base = bytes.baseAddress else { return nil }
        let start = base + consumed
        let header = try FrameHeader(reading: start, frameBytesMax: frameBytesMax)
        guard left >= header.frameBytes else { return nil }
        consumed += header.frameBytes
        let extensionCount = Int(header.extensionBytes)
        return FrameView(
            header: header,
            extensionBytes: UnsafeRawBufferPointer(start: start + FrameHeader.byteCount, count: extensionCount),
            body: UnsafeRawBufferPointer(
                start: start + FrameHeader.byteCount + extensionCount, count: header.bodyBytes))
    }

    /// Bytes that the unfinished frame at the end will have in all, as far as is known: at least its header's 20.
    @inlinable
    package var bytesWanted: Int {
        let left = bytes.count - consumed
        guard left >= FrameHeader.byteCount, let base = bytes.baseAddress,
            let header = try? FrameHeader(reading: base + consumed, frameBytesMax: frameBytesMax)
        else { return FrameHeader.byteCount }
        return header.frameBytes
    }
}
