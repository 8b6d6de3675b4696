/// A reply of Redis, as RESP2 has them.
package enum RedisReply: Sendable, Equatable {
    case status(String)
    /// The server's words, its first word a code. At most `ReplyLimits.lineBytesMax` bytes.
    case error(String)
    case integer(Int64)
    case null
    case bytes([UInt8])
    case array([RedisReply])

    package var bytes: [UInt8]? {
        if case .bytes(let bytes) = self { return bytes }
        return nil
    }

    package var integer: Int64? {
        if case .integer(let integer) = self { return integer }
        return nil
    }

    package var array: [RedisReply]? {
        if case .array(let replies) = self { return replies }
        return nil
    }

    /// Bytes or a status, as text.
    package var text: String? {
        switch self {
        case .status(let text): text
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }
}

/// What a reply may be at most. Whatever is more is a fault, and the connection that brought it is closed.
package struct ReplyLimits: Sendable {
    /// Of one reply with all that is in it.
    package var replyBytesMax = 8 << 20
    /// Elements of one reply, those of inner arrays included.
    package var elementsMax = 65_536
    /// Of a status, an error or a number.
    package var lineBytesMax = 16_384

    package init() {}
}

/// Bytes that are no reply.
package enum ReplyFault: Error, Sendable, Equatable {
    /// hiredis' words.
    case malformed(String)
    /// More bytes or elements than the limit that is named.
    case tooLarge(String)
}
