/// An entry of a Redis stream.
package struct StreamEntry: Sendable, Equatable {
    /// `milliseconds-sequence`.
    package let id: String
    package let fields: [StreamField]

    package init(id: String, fields: [StreamField]) {
        self.id = id
        self.fields = fields
    }
}

package struct StreamField: Sendable, Equatable {
    package let name: [UInt8]
    package let value: [UInt8]
    package init(_ name: [UInt8], _ value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// Streams: what several nodes must all hear of, in order.
extension RedisClient {
    package typealias StreamCompletion = (Result<[StreamEntry], RedisFailure>) -> Void

    /// XADD. Gives the entry's ID.
    ///
    /// - Parameter lengthMax: About so many entries are kept; nil: all.
    package func append(
        _ fields: [StreamField], to stream: [UInt8], lengthMax: Int? = nil, timeout: Duration? = nil,
        completion: @escaping (Result<String, RedisFailure>) -> Void
    ) {
        var words = Self.words("XADD") + [stream]
        if let lengthMax { words += Self.words("MAXLEN", "~", String(lengthMax)) }
        words += Self.words("*")
        for field in fields { words += [field.name, field.value] }
        send(RedisCommand(words, key: 1, isWrite: true), timeout: timeout) { result in
            completion(result.flatMap { reply in reply.text.map { .success($0) } ?? .failure(.unexpectedReply) })
        }
    }

    /// XREAD of one stream: entries after `id`, the oldest first, at most `count`.
    ///
    /// - Parameter block: Waits so long for an entry where there is none; nil: does not wait.
    package func read(
        _ stream: [UInt8], after id: String, count: Int = 1000, block: Duration? = nil, timeout: Duration? = nil,
        completion: @escaping StreamCompletion
    ) {
        read(
            Self.words("XREAD"), stream, id, count, block, key: block == nil ? 4 : 6, isWrite: false, timeout,
            completion)
    }

    /// XREADGROUP of one stream: entries that nobody of the group was given (`id` `>`), or that this consumer was given and has
    /// not acknowledged (`id` 0).
    package func read(
        _ stream: [UInt8], group: String, consumer: String, after id: String = ">", count: Int = 1000,
        block: Duration? = nil, timeout: Duration? = nil, completion: @escaping StreamCompletion
    ) {
        read(
            Self.words("XREADGROUP", "GROUP", group, consumer), stream, id, count, block, key: block == nil ? 7 : 9,
            isWrite: true, timeout, completion)
    }

    private func read(
        _ start: [[UInt8]], _ stream: [UInt8], _ id: String, _ count: Int, _ block: Duration?, key: Int,
        isWrite: Bool, _ timeout: Duration?, _ completion: @escaping StreamCompletion
    ) {
        var words = start + Self.words("COUNT", String(max(1, count)))
        let wait = block.map { max(1, Int(clamping: $0.nanoseconds / 1_000_000)) }
        if let wait { words += Self.words("BLOCK", String(wait)) }
        words += Self.words("STREAMS") + [stream] + Self.words(id)
        let command = RedisCommand(words, key: key, isWrite: isWrite, blocksMilliseconds: wait)
        send(command, timeout: timeout) { result in
            completion(
                result.flatMap { reply in
                    if reply == .null { return .success([]) }
                    guard let streams = reply.array, streams.count == 1, let parts = streams[0].array, parts.count == 2,
                        let entries = Self.entries(parts[1])
                    else { return .failure(.unexpectedReply) }
                    return .success(entries)
                })
        }
    }

    /// XACK. Gives the number of entries that were waiting for it.
    package func acknowledge(
        _ ids: [String], of stream: [UInt8], group: String, timeout: Duration? = nil,
        completion: @escaping (Result<Int, RedisFailure>) -> Void
    ) {
        let words = Self.words("XACK") + [stream] + Self.words(group) + ids.map { Array($0.utf8) }
        send(RedisCommand(words, key: 1, isWrite: true), timeout: timeout) { result in
            completion(
                result.flatMap { reply in
                    reply.integer.map { .success(Int(clamping: $0)) } ?? .failure(.unexpectedReply)
                })
        }
    }

    /// XGROUP CREATE with MKSTREAM. A group that is there already is no failure.
    package func createGroup(
        _ group: String, of stream: [UInt8], after id: String = "$", timeout: Duration? = nil,
        completion: @escaping (RedisFailure?) -> Void
    ) {
        let words = Self.words("XGROUP", "CREATE") + [stream] + Self.words(group, id, "MKSTREAM")
        send(RedisCommand(words, key: 2, isWrite: true), timeout: timeout) { result in
            switch result {
            case .success: completion(nil)
            case .failure(.error(let text)) where text.hasPrefix("BUSYGROUP"): completion(nil)
            case .failure(let failure): completion(failure)
            }
        }
    }

    private static func words(_ words: String...) -> [[UInt8]] { words.map { Array($0.utf8) } }

    /// An entry that was deleted after it was given out has null in place of its fields.
    private static func entries(_ reply: RedisReply) -> [StreamEntry]? {
        guard let replies = reply.array else { return nil }
        var entries: [StreamEntry] = []
        for reply in replies {
            guard let parts = reply.array, parts.count == 2, let id = parts[0].text else { return nil }
            let words = parts[1] == .null ? [] : parts[1].array ?? [.null]
            guard words.count.isMultiple(of: 2) else { return nil }
            var fields: [StreamField] = []
            for place in stride(from: 0, to: words.count, by: 2) {
                guard let name = words[place].bytes, let value = words[place + 1].bytes else { return nil }
                fields.append(StreamField(name, value))
            }
            entries.append(StreamEntry(id: id, fields: fields))
        }
        return entries
    }
}
