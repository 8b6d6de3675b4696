#if canImport(Glibc)
    import Glibc
#endif

/// The addresses of a name, as the system's resolver has them (`/etc/hosts` and DNS).
enum HostLookup {
    /// Blocks for as long as the resolver takes: not for an event loop.
    ///
    /// - Returns: Numeric addresses, each once, in ascending order, so that an answer in another order is no change.
    /// - Throws: `MartletClientError` with the resolver's words.
    static func addresses(of host: String) throws(MartletClientError) -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var found: UnsafeMutablePointer<addrinfo>?
        var code = getaddrinfo(host, nil, &hints, &found)
        if code == EAI_NONAME {
            // A machine without any address but loopback still has that.
            hints.ai_flags = 0
            code = getaddrinfo(host, nil, &hints, &found)
        }
        guard code == 0 else {
            throw MartletClientError(
                .unavailable, "the name \(host) cannot be resolved: \(String(cString: gai_strerror(code)))",
                retryIsSafe: true)
        }
        defer { freeaddrinfo(found) }
        var addresses: Set<String> = []
        var next = found
        while let info = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                info.pointee.ai_addr, info.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                addresses.insert(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            next = info.pointee.ai_next
        }
        guard !addresses.isEmpty else {
            throw MartletClientError(.unavailable, "the name \(host) has no address", retryIsSafe: true)
        }
        return addresses.sorted()
    }
}
