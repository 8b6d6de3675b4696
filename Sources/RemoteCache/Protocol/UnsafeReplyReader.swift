import CHiredis
import NIOCore

/// The door to hiredis' reply reader: bytes in, replies out.
///
/// hiredis finds where replies begin and end; what it finds is made into Swift values by the callbacks below, so that nothing is
/// allocated in C but the bytes of a reply that is not whole yet. Those bytes, the elements and the lengths are limited before they
/// are stored. After a fault the reader is of no further use.
///
/// Not thread-safe. No reply refers to the reader's memory.
final class ReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let sink: ReplySink
    private let limits: ReplyLimits
    private(set) var fault: ReplyFault?

    /// hiredis moves what is left in its buffer after each kibibyte that it has read, so it is fed in small pieces.
    private static let piece = 4096

    init(limits: ReplyLimits = .init()) {
        self.limits = limits
        sink = ReplySink(limits: limits)
        functions = .allocate(capacity: 1)
        functions.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, text, length in
                    ReplySink.of(task)?.takeString(task?.pointee.type ?? 0, UnsafeRawPointer(text), length)
                },
                createArray: { task, count in ReplySink.of(task)?.takeArray(Int(count)) },
                createInteger: { task, number in ReplySink.of(task)?.take(.integer(number)) },
                createNil: { task in ReplySink.of(task)?.take(.null) },
                freeObject: { _ in }))
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            preconditionFailure("hiredis has no memory for a reader")
        }
        self.reader = reader
        // The sink outlives the reader: both die with this object, and the reader first.
        reader.pointee.privdata = Unmanaged.passUnretained(sink).toOpaque()
    }

    deinit {
        redisReaderFree(reader)
        functions.deinitialize(count: 1)
        functions.deallocate()
    }

    /// Bytes that belong to a reply whose end has not come.
    var bytesBuffered: Int { Int(reader.pointee.len) - Int(reader.pointee.pos) }

    /// Reads all of `buffer` and hands out each reply as it becomes whole.
    ///
    /// - Parameter reply: Gives false to stop: what is left is dropped.
    /// - Returns: What was wrong; then nothing more is read.
    func read(_ buffer: inout ByteBuffer, reply: (RedisReply) -> Bool) -> ReplyFault? {
        if let fault { return fault }
        while buffer.readableBytes > 0 {
            let count = min(buffer.readableBytes, Self.piece)
            let status = buffer.withUnsafeReadableBytes {
                redisReaderFeed(reader, $0.baseAddress?.assumingMemoryBound(to: CChar.self), count)
            }
            buffer.moveReaderIndex(forwardBy: count)
            guard status == REDIS_OK else { return fail(hiredisFault) }
            while true {
                switch next() {
                case .reply(let found): if !reply(found) { return nil }
                case .fault(let fault): return fail(fault)
                case .none:
                    if let fault = unfinishedFault() { return fail(fault) }
                }
                if !sink.hasEnded { break }
                sink.hasEnded = false
            }
        }
        return nil
    }

    /// The type of the part that hiredis waits for the end of; negative: not known yet.
    private var typeUnderWay: Int32 {
        let index = Int(reader.pointee.ridx)
        guard (0..<9).contains(index) else { return -1 }
        return withUnsafeBytes(of: reader.pointee.rstack) { $0.bindMemory(to: redisReadTask.self)[index].type }
    }

    private enum Next {
        case reply(RedisReply)
        case none
        case fault(ReplyFault)
    }

    private func next() -> Next {
        var object: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &object) == REDIS_OK else { return .fault(hiredisFault) }
        guard object != nil else { return .none }
        sink.hasEnded = true
        guard let reply = sink.finish() else { return .fault(.malformed("a reply without its parts")) }
        return .reply(reply)
    }

    private func fail(_ fault: ReplyFault) -> ReplyFault {
        self.fault = fault
        sink.reset()
        return fault
    }

    private var hiredisFault: ReplyFault {
        if let fault = sink.fault { return fault }
        let words = withUnsafeBytes(of: reader.pointee.errstr) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .malformed(words)
    }

    /// What is wrong already with the part of a reply that is here: nothing is collected that would be refused in the end.
    private func unfinishedFault() -> ReplyFault? {
        let count = bytesBuffered
        guard count > 0, let start = reader.pointee.buf else { return nil }
        if count > limits.replyBytesMax { return .tooLarge("reply of more than \(limits.replyBytesMax) bytes") }
        var bytes = UnsafeRawBufferPointer(start: start + Int(reader.pointee.pos), count: count)[...]
        // hiredis has read the mark of what it is at, or has yet to.
        var isString = typeUnderWay == REDIS_REPLY_STRING
        if typeUnderWay < 0 { isString = bytes.popFirst() == UInt8(ascii: "$") }
        guard isString else {
            guard count > limits.lineBytesMax else { return nil }
            return .tooLarge("line of more than \(limits.lineBytesMax) bytes")
        }
        var length = 0
        for byte in bytes.prefix(20) {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { break }
            length = length * 10 + Int(byte - UInt8(ascii: "0"))
            if length > limits.replyBytesMax {
                return .tooLarge("bytes of a length of \(limits.replyBytesMax) or more")
            }
        }
        return nil
    }
}

/// Collects the parts of a reply in the order in which hiredis finds them: an array before its elements.
private final class ReplySink {
    /// The reply that `read` has just handed out was whole.
    var hasEnded = false
    private(set) var fault: ReplyFault?
    private let limits: ReplyLimits
    private var parts: [RedisReply] = []
    /// For each part its count of elements; -1: no array.
    private var counts: [Int] = []
    private var bytes = 0
    /// Elements that arrays have announced.
    private var announced = 0

    /// Any address but nil tells hiredis that the part was taken.
    private static var taken: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1) }

    init(limits: ReplyLimits) { self.limits = limits }

    static func of(_ task: UnsafePointer<redisReadTask>?) -> ReplySink? {
        guard let data = task?.pointee.privdata else { return nil }
        return Unmanaged<ReplySink>.fromOpaque(data).takeUnretainedValue()
    }

    func takeString(_ type: Int32, _ start: UnsafeRawPointer?, _ count: Int) -> UnsafeMutableRawPointer? {
        bytes += count
        let isLine = type != REDIS_REPLY_STRING
        guard bytes <= limits.replyBytesMax, !isLine || count <= limits.lineBytesMax else {
            fault = .tooLarge(
                "reply of more than \(limits.replyBytesMax) bytes or line of more than \(limits.lineBytesMax)")
            return nil
        }
        let text = UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count)
        switch type {
        case REDIS_REPLY_STATUS: return take(.status(String(decoding: text, as: UTF8.self)))
        case REDIS_REPLY_ERROR: return take(.error(String(decoding: text, as: UTF8.self)))
        default: return take(.bytes(Array(text)))
        }
    }

    func takeArray(_ count: Int) -> UnsafeMutableRawPointer? {
        announced += max(0, count)
        guard count >= 0, announced <= limits.elementsMax else {
            fault = .tooLarge("reply of more than \(limits.elementsMax) elements")
            return nil
        }
        parts.append(.null)
        counts.append(count)
        return Self.taken
    }

    func take(_ part: RedisReply) -> UnsafeMutableRawPointer? {
        parts.append(part)
        counts.append(-1)
        return Self.taken
    }

    /// The reply that the parts make up; nil where some are missing.
    func finish() -> RedisReply? {
        defer { reset() }
        if parts.count == 1, counts[0] < 0 { return parts[0] }
        var place = 0
        let reply = build(&place)
        return place == parts.count ? reply : nil
    }

    /// Not deeper than hiredis reads (seven arrays in each other).
    private func build(_ place: inout Int) -> RedisReply? {
        guard place < parts.count else { return nil }
        let index = place
        place += 1
        guard counts[index] >= 0 else { return parts[index] }
        var elements: [RedisReply] = []
        elements.reserveCapacity(counts[index])
        for _ in 0..<counts[index] {
            guard let element = build(&place) else { return nil }
            elements.append(element)
        }
        return .array(elements)
    }

    func reset() {
        // A large reply does not keep its memory.
        let keeps = parts.capacity <= 1024
        parts.removeAll(keepingCapacity: keeps)
        counts.removeAll(keepingCapacity: keeps)
        bytes = 0
        announced = 0
    }
}
