/// A request ID of the caller's in a call's extension: behind the trace context, where there is one, u8 length and as many
/// bytes of UTF-8. It is no part of the request, so that equal requests share an entry of the result cache.
package enum RequestIDExtension {
    /// The ID; nil where the frame carries none, or no sound one.
    package static func read(_ frame: FrameView) -> String? {
        let flags = frame.header.callFlags
        guard flags.contains(.requestID) else { return nil }
        let start = flags.contains(.traceContext) ? TraceContext.byteCount : 0
        guard start < frame.extensionBytes.count else { return nil }
        let count = Int(frame.extensionBytes[start])
        guard (1...RequestLimits.eventIDBytesMax).contains(count), start + 1 + count <= frame.extensionBytes.count
        else { return nil }
        return String(
            validating: frame.extensionBytes[(start + 1)..<(start + 1 + count)], as: UTF8.self)
    }

    /// The bytes of an ID; none for one that is empty or too long.
    package static func bytes(_ id: String) -> [UInt8] {
        let count = id.utf8.count
        return (1...RequestLimits.eventIDBytesMax).contains(count) ? [UInt8(count)] + Array(id.utf8) : []
    }
}
