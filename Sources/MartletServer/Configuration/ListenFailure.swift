import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A port could not be opened; says what to do about it.
package struct ListenFailure: Error, CustomStringConvertible {
    package let endpoint: SocketEndpoint
    /// The setting that gave the address, such as `listen`.
    package let key: String
    package let underlying: any Error

    package init(endpoint: SocketEndpoint, key: String, underlying: any Error) {
        self.endpoint = endpoint
        self.key = key
        self.underlying = underlying
    }

    package var description: String {
        let beginning = "cannot listen at \(endpoint) (`\(key)`): "
        switch (underlying as? IOError)?.errnoCode {
        case EADDRINUSE:
            return beginning
                + "another process has the port; `ss -ltnp 'sport = :\(endpoint.port)'` shows which. Stop it,"
                + " or give another port with --\(key) HOST:PORT"
        case EACCES:
            return beginning + "ports below 1024 need the capability CAP_NET_BIND_SERVICE; give a higher one with"
                + " --\(key) HOST:PORT"
        case EADDRNOTAVAIL:
            return beginning + "this machine has no such address; 0.0.0.0:\(endpoint.port) takes all it has, 127.0.0.1:"
                + "\(endpoint.port) only local callers"
        default:
            return beginning
                + ((underlying as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(underlying)")
        }
    }
}
