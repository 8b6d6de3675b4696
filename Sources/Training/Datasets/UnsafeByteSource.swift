import CZlib

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The bytes of a file from its start to its end; gzip is recognised by its first two bytes and unpacked on the way.
final class ByteSource {
    let path: String
    /// Bytes of the file (packed, if it is packed).
    let fileBytes: Int
    /// How many of `fileBytes` have been read.
    private(set) var consumedBytes = 0

    private let descriptor: Int32
    private var inflater: Inflater?
    private var started = false
    /// The first bytes of a plain file, read to look for the gzip mark.
    private var head: [UInt8] = []

    convenience init(path: String) throws(DatasetError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileSystem.unopened(path) }
        try self.init(descriptor: descriptor, path: path)
    }

    /// What comes in by standard input, to its end.
    static func standardInput() throws(DatasetError) -> ByteSource {
        let name = "standard input"
        let descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else { throw FileSystem.unopened(name) }
        return try ByteSource(descriptor: descriptor, path: name)
    }

    /// Takes the descriptor.
    private init(descriptor: Int32, path: String) throws(DatasetError) {
        self.path = path
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
            close(descriptor)
            throw FileSystem.notAFile(path)
        }
        self.descriptor = descriptor
        self.fileBytes = Int(status.st_size)
    }

    /// Waits until bytes, or the end, are there to be read.
    ///
    /// - Returns: False when the time is up.
    func isReady(within milliseconds: Int32) -> Bool {
        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wanted, 1, milliseconds) != 0
    }

    deinit { close(descriptor) }

    /// Fills at most `buffer.count` bytes; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int {
        if !started {
            started = true
            try start()
        }
        if let inflater {
            return try inflater.read(into: buffer) { input throws(DatasetError) in try self.readFile(into: input) }
        }
        if !head.isEmpty {
            let count = min(head.count, buffer.count)
            buffer.copyBytes(from: head.prefix(count))
            head.removeFirst(count)
            return count
        }
        return try readFile(into: buffer)
    }

    private func start() throws(DatasetError) {
        let first = UnsafeMutableRawBufferPointer.allocate(byteCount: 2, alignment: 1)
        defer { first.deallocate() }
        var count = 0
        while count < 2 {
            let more = try readFile(into: UnsafeMutableRawBufferPointer(rebasing: first[count...]))
            if more == 0 { break }
            count += more
        }
        head = Array(first.prefix(count))
        if head == [0x1F, 0x8B] { inflater = try Inflater(path: path, head: head) }
    }

    private func readFile(into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int {
        while true {
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #else
                let count = Darwin.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            if count >= 0 {
                consumedBytes += count
                return count
            }
            guard errno == EINTR else {
                throw DatasetError(.unreadable, "\(path): cannot be read (\(String(cString: strerror(errno))))")
            }
        }
    }
}

/// Unpacks a gzip stream of one or more members; a stream that ends early or fails its check is an error.
private final class Inflater {
    private let path: String
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    private var isInMember = true

    init(path: String, head: [UInt8]) throws(DatasetError) {
        self.path = path
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(byteCount: 1 << 18, alignment: 16)
        input.copyBytes(from: head)
        stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_in = uInt(head.count)
        // 15 window bits, 16 added: gzip framing with its checksum.
        let status = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { throw DatasetError(.unreadable, "\(path): zlib does not start (code \(status))") }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    func read(
        into buffer: UnsafeMutableRawBufferPointer,
        refill: (UnsafeMutableRawBufferPointer) throws(DatasetError) -> Int
    ) throws(DatasetError) -> Int {
        guard buffer.count > 0 else { return 0 }
        stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = uInt(clamping: buffer.count)
        let room = stream.pointee.avail_out
        while stream.pointee.avail_out == room {
            if stream.pointee.avail_in == 0 {
                let count = try refill(input)
                if count == 0 {
                    if isInMember {
                        throw DatasetError(.unreadable, "\(path): the gzip data ends early; the file is cut off")
                    }
                    return 0
                }
                stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_in = uInt(count)
            }
            if !isInMember {
                // Between members: zero padding is skipped, anything else has to be another member.
                if stream.pointee.next_in.pointee == 0 {
                    stream.pointee.next_in += 1
                    stream.pointee.avail_in -= 1
                    continue
                }
                inflateReset(stream)
                isInMember = true
            }
            let status = inflate(stream, Z_NO_FLUSH)
            switch status {
            case Z_OK, Z_BUF_ERROR: break
            case Z_STREAM_END: isInMember = false
            default:
                let reason = stream.pointee.msg.map { String(cString: $0) } ?? "code \(status)"
                throw DatasetError(.unreadable, "\(path): the gzip data is damaged (\(reason))")
            }
        }
        return Int(room - stream.pointee.avail_out)
    }
}
