/// `redis://[user[:password]@]host[:port][/database]`; `rediss` for TLS.
package struct RedisURL: Sendable, Equatable {
    package var endpoint: RedisEndpoint
    package var user = ""
    package var password = ""
    package var database = 0
    package var isTLS = false

    package struct Malformed: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// - Throws: `Malformed`; its words never hold a password.
    package init(_ text: String) throws(Malformed) {
        var rest = text[...]
        if rest.hasPrefix("redis://") {
            rest = rest.dropFirst(8)
        } else if rest.hasPrefix("rediss://") {
            rest = rest.dropFirst(9)
            isTLS = true
        } else {
            throw Malformed(description: "begins neither with redis:// nor with rediss://")
        }
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
            if let colon = credentials.firstIndex(of: ":") {
                user = try Self.decoded(credentials[..<colon])
                password = try Self.decoded(credentials[credentials.index(after: colon)...])
            } else {
                user = try Self.decoded(credentials)
            }
        }
        if let slash = rest.firstIndex(of: "/") {
            let path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
            if !path.isEmpty {
                guard let number = Int(path), (0...65_535).contains(number) else {
                    throw Malformed(description: "has \"\(path)\" where a database's number belongs")
                }
                database = number
            }
        }
        var host = rest
        var port = 6379
        let portColon =
            rest.hasPrefix("[")
            ? rest.range(of: "]:").map { rest.index(after: $0.lowerBound) } : rest.lastIndex(of: ":")
        if let colon = portColon {
            guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else {
                throw Malformed(description: "has \"\(rest[rest.index(after: colon)...])\" where a port belongs")
            }
            port = number
            host = rest[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw Malformed(description: "names no host") }
        endpoint = RedisEndpoint(host: String(host), port: port)
    }

    /// Percent-encoded text.
    private static func decoded(_ text: Substring) throws(Malformed) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                throw Malformed(description: "has a % in its user or password that no two hexadecimal digits follow")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw Malformed(description: "has a user or password that is not UTF-8")
        }
        return decoded
    }
}

extension Substring {
    /// The first place of `word`.
    fileprivate func range(of word: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(word) { return start..<index(start, offsetBy: word.count) }
            start = index(after: start)
        }
        return nil
    }
}
