import Crypto

/// A script in Lua that Redis runs as one step.
package struct RedisScript: Sendable {
    let source: [UInt8]
    /// Its SHA-1, by which a server knows it that has seen it.
    let name: [UInt8]

    package init(_ source: String) {
        self.source = Array(source.utf8)
        let digits = Array("0123456789abcdef".utf8)
        name = Insecure.SHA1.hash(data: self.source).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }
}

extension RedisClient {
    /// EVALSHA, and EVAL where the server does not know the script yet.
    ///
    /// - Parameters:
    ///   - keys: Of one slot, where Redis is a cluster; at least one.
    ///   - isWrite: Whose breaker is asked.
    package func run(
        _ script: RedisScript, keys: [[UInt8]], _ arguments: [[UInt8]], isWrite: Bool, timeout: Duration? = nil,
        completion: @escaping Completion
    ) {
        let rest = [Array("\(keys.count)".utf8)] + keys + arguments
        func command(_ verb: String, _ script: [UInt8]) -> RedisCommand {
            RedisCommand([Array(verb.utf8), script] + rest, key: 3, isWrite: isWrite)
        }
        send(command("EVALSHA", script.name), timeout: timeout) { [self] result in
            guard case .failure(.error(let text)) = result, text.hasPrefix("NOSCRIPT") else {
                return completion(result)
            }
            send(command("EVAL", script.source), timeout: timeout, completion: completion)
        }
    }

    /// The ID of a stream's last entry; `0-0` where it has none.
    package func lastEntry(
        of stream: [UInt8], timeout: Duration? = nil, completion: @escaping (Result<String, RedisFailure>) -> Void
    ) {
        let words = [Array("XREVRANGE".utf8), stream] + ["+", "-", "COUNT", "1"].map { Array($0.utf8) }
        send(RedisCommand(words, key: 1), timeout: timeout) { result in
            completion(
                result.flatMap { reply in
                    guard let entries = reply.array else { return .failure(.unexpectedReply) }
                    guard let last = entries.first else { return .success("0-0") }
                    return last.array?.first?.text.map { .success($0) } ?? .failure(.unexpectedReply)
                })
        }
    }
}
