import Glibc
import Vocabulary
import Wire

/// The clock of every figure: monotonic nanoseconds.
enum MonotonicClock {
    @inline(__always)
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// CPU time of the calling thread; nanoseconds.
    static func threadCPU() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

/// The addresses of a node, looked up once.
struct NodeAddress {
    let name: String
    private let storage: [(bytes: [UInt8], family: Int32)]

    init(host: String, port: Int) throws(LoadError) {
        name = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_family = AF_UNSPEC
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard code == 0 else { throw LoadError("\(name): \(String(cString: gai_strerror(code)))") }
        var storage: [([UInt8], Int32)] = []
        var next = found
        while let entry = next {
            let bytes = UnsafeRawBufferPointer(start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen))
            storage.append((Array(bytes), entry.pointee.ai_family))
            next = entry.pointee.ai_next
        }
        self.storage = storage
    }

    /// A connected, non-blocking socket.
    func connect(within seconds: Double) throws(LoadError) -> Int32 {
        var failure = "no address"
        for address in storage {
            let descriptor = socket(
                address.family,
                Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { throw LoadError("\(name): no socket: \(Self.text(errno))") }
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            let result = address.bytes.withUnsafeBytes { bytes -> Int32 in
                guard let base = bytes.baseAddress else { return -1 }
                return Glibc.connect(descriptor, base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            }
            if result == 0 { return descriptor }
            if errno == EINPROGRESS {
                if !Self.wait(descriptor, POLLOUT, until: MonotonicClock.now() + UInt64(seconds * 1e9)) {
                    failure = "no answer within \(seconds) s"
                } else {
                    var code: Int32 = 0
                    var size = socklen_t(MemoryLayout<Int32>.size)
                    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
                    if code == 0 { return descriptor }
                    failure = Self.text(code)
                }
            } else {
                failure = Self.text(errno)
            }
            close(descriptor)
        }
        throw LoadError(
            "cannot connect to \(name): \(failure). Is the node running, and is this its RPC port? `martlet serve --bundle"
                + " DIR` starts one; --node HOST:PORT names another than \(name).")
    }

    static func text(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// Whether the socket became ready before `deadline`.
    static func wait(_ descriptor: Int32, _ event: Int32, until deadline: UInt64) -> Bool {
        while true {
            let now = MonotonicClock.now()
            guard now < deadline else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let ready = poll(&entry, 1, Int32(min((deadline - now) / 1_000_000 + 1, 60_000)))
            if ready > 0 { return true }
            if ready < 0, errno != EINTR { return false }
        }
    }
}

/// Hello and welcome, one call at a time: what comes before a load.
struct Handshake {
    static let secondsMax: Double = 5
    /// For a port that speaks something else.
    private static let advice =
        "Is this a Martlet node's RPC port? It is the one of `martlet serve --listen`, 7400 by itself, and not the HTTP port;"
        + " --node HOST:PORT names it."
    let address: NodeAddress

    /// Opens a connection and greets the node.
    ///
    /// - Parameter shard: Where the connection would like to land; the welcome says where it did.
    func open(shard: Int?) throws(LoadError) -> (descriptor: Int32, welcome: Welcome) {
        let descriptor = try address.connect(within: Handshake.secondsMax)
        let hello = Hello(partitionMapVersion: PartitionMap.version, shard: shard, clientName: "martlet-bench")
        do throws(LoadError) {
            let body = try exchange(
                descriptor, send: hello, FrameHeader(kind: .hello, bodyBytes: 0), expecting: .welcome)
            let welcome = body.withUnsafeBytes { try? Welcome(decoding: $0, arena: DecodeArena()) }
            guard let welcome else { throw LoadError("\(address.name) sent a welcome that cannot be read") }
            return (descriptor, welcome)
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Sends one call and waits for its reply.
    func call(_ descriptor: Int32, _ request: some MessageBody, _ method: Method, slot: Slot? = nil) throws(LoadError)
        -> [UInt8]
    {
        let header = FrameHeader.call(
            method, id: 1, timeoutMicroseconds: UInt32(Handshake.secondsMax * 1e6), slot: slot, bodyBytes: 0)
        return try exchange(descriptor, send: request, header, expecting: .reply)
    }

    private func exchange(
        _ descriptor: Int32, send message: some MessageBody, _ header: FrameHeader, expecting kind: FrameKind
    ) throws(LoadError) -> [UInt8] {
        var header = header
        let bodyBytes = message.encodedByteCount
        header.length = UInt32(16 + bodyBytes)
        var frame = [UInt8](repeating: 0, count: header.frameBytes)
        frame.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            header.write(into: base)
            message.encode(into: base + FrameHeader.byteCount, byteCount: bodyBytes)
        }
        let deadline = MonotonicClock.now() + UInt64(Handshake.secondsMax * 1e9)
        try transfer(descriptor, &frame, isReading: false, deadline, "taking")
        while true {
            var head = [UInt8](repeating: 0, count: FrameHeader.byteCount)
            try transfer(descriptor, &head, isReading: true, deadline, "answering")
            let reply = try parse(head)
            var body = [UInt8](repeating: 0, count: reply.frameBytes - FrameHeader.byteCount)
            try transfer(descriptor, &body, isReading: true, deadline, "answering")
            if reply.kind == .goaway { throw LoadError("\(address.name) takes no new calls: it is draining") }
            guard reply.kind == .reply || reply.kind == kind else { continue }
            if reply.kind == .reply, reply.status != .ok || kind != .reply {
                let message = body.withUnsafeBytes { try? ErrorBody(decoding: $0, arena: DecodeArena()) }?.message
                throw LoadError("\(address.name) answered \(reply.status.name): \(message ?? "no message")")
            }
            return body
        }
    }

    private func parse(_ head: [UInt8]) throws(LoadError) -> FrameHeader {
        let parsed = head.withUnsafeBytes { bytes -> Result<FrameHeader, FrameError> in
            guard let base = bytes.baseAddress else { return .failure(.tooSmall(length: 0)) }
            do throws(FrameError) {
                return .success(try FrameHeader(reading: base, frameBytesMax: 16 << 20))
            } catch {
                return .failure(error)
            }
        }
        switch parsed {
        case .success(let header): return header
        case .failure(let error):
            let text = String(decoding: head.map { (32..<127).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
            throw LoadError(
                "\(address.name) answers another protocol: it began with '\(text)' (\(error)). "
                    + "\(Handshake.advice)")
        }
    }

    private func transfer(
        _ descriptor: Int32, _ bytes: inout [UInt8], isReading: Bool, _ deadline: UInt64, _ doing: String
    ) throws(LoadError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer -> Int in
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
                return isReading
                    ? recv(descriptor, rest.baseAddress, rest.count, 0)
                    : send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                done += count
            } else if count == 0 {
                throw LoadError(
                    "\(address.name) closed the connection instead of \(doing) a frame. \(Handshake.advice)")
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                guard NodeAddress.wait(descriptor, isReading ? POLLIN : POLLOUT, until: deadline) else {
                    throw LoadError(
                        "\(address.name) accepted the connection, but was silent for \(Handshake.secondsMax) s "
                            + "instead of \(doing) a frame. \(Handshake.advice)")
                }
            } else if errno != EINTR {
                throw LoadError(
                    "\(address.name): \(NodeAddress.text(errno)) instead of \(doing) a frame. \(Handshake.advice)")
            }
        }
    }
}
