/// What became of a look-up of several keys.
package struct RedisLookup: Sendable {
    /// In the order of the keys; nil: not there, or not answered.
    package var values: [[UInt8]?]
    /// The first thing that went wrong; the values of other servers are there all the same.
    package var failure: RedisFailure?
}

extension RedisClient {
    /// Keys of one MGET.
    package static var batchMax: Int { 512 }

    /// GET of one key.
    package func get(
        _ key: [UInt8], timeout: Duration? = nil, completion: @escaping (Result<[UInt8]?, RedisFailure>) -> Void
    ) {
        send(.get(key), timeout: timeout) { result in
            switch result {
            case .success(.bytes(let bytes)): completion(.success(bytes))
            case .success(.null): completion(.success(nil))
            case .success: completion(.failure(.unexpectedReply))
            case .failure(let failure): completion(.failure(failure))
            }
        }
    }

    /// Many keys: MGET by `batchMax`; of a cluster one command a slot, all of them sent at once.
    package func get(_ keys: [[UInt8]], timeout: Duration? = nil, completion: @escaping (RedisLookup) -> Void) {
        if keys.isEmpty { return completion(RedisLookup(values: [])) }
        let groups = Self.groups(keys, bySlot: configuration.isCluster)
        var lookup = RedisLookup(values: Array(repeating: nil, count: keys.count))
        var left = groups.count
        for group in groups {
            send(.get(group.map { keys[$0] }), timeout: timeout) { result in
                switch result {
                case .success(.array(let replies)) where replies.count == group.count:
                    for (place, reply) in zip(group, replies) { lookup.values[place] = reply.bytes }
                case .success(.bytes(let bytes)) where group.count == 1: lookup.values[group[0]] = bytes
                case .success(.null) where group.count == 1: break
                case .success: lookup.failure = lookup.failure ?? .unexpectedReply
                case .failure(let failure): lookup.failure = lookup.failure ?? failure
                }
                left -= 1
                if left == 0 { completion(lookup) }
            }
        }
    }

    /// Places of keys that may share a command.
    static func groups(_ keys: [[UInt8]], bySlot: Bool) -> [[Int]] {
        var groups: [[Int]] = []
        var open: [UInt16: Int] = [:]
        for (place, key) in keys.enumerated() {
            let slot = bySlot ? KeySlot.slot(of: key) : 0
            if let group = open[slot], groups[group].count < batchMax {
                groups[group].append(place)
            } else {
                open[slot] = groups.count
                groups.append([place])
            }
        }
        return groups
    }

    /// SET for a time.
    package func set(
        _ key: [UInt8], _ value: [UInt8], timeToLive: Duration?, timeout: Duration? = nil,
        completion: @escaping (RedisFailure?) -> Void
    ) {
        let milliseconds = timeToLive.map { Int(clamping: $0.nanoseconds / 1_000_000) }
        send(.set(key, value, milliseconds: milliseconds), timeout: timeout) { result in
            switch result {
            case .success(.status("OK")): completion(nil)
            case .success: completion(.unexpectedReply)
            case .failure(let failure): completion(failure)
            }
        }
    }

    /// UNLINK. Gives the number of keys that were there, as far as servers answered.
    package func delete(
        _ keys: [[UInt8]], timeout: Duration? = nil, completion: @escaping (Int, RedisFailure?) -> Void
    ) {
        if keys.isEmpty { return completion(0, nil) }
        let groups = Self.groups(keys, bySlot: configuration.isCluster)
        var left = groups.count
        var count = 0
        var failure: RedisFailure?
        for group in groups {
            send(.delete(group.map { keys[$0] }), timeout: timeout) { result in
                switch result {
                case .success(let reply):
                    if let deleted = reply.integer {
                        count += Int(clamping: deleted)
                    } else {
                        failure = .unexpectedReply
                    }
                case .failure(let found): failure = failure ?? found
                }
                left -= 1
                if left == 0 { completion(count, failure) }
            }
        }
    }
}
