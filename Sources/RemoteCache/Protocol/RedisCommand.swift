/// A command as it goes over the wire, with the slot that its key belongs to.
package struct RedisCommand: Sendable {
    /// RESP2.
    let encoded: [UInt8]
    /// Of the first key, where Redis is a cluster; nil: any node may be asked.
    let slot: UInt16?
    /// Whether it changes what Redis holds: reads and writes have breakers of their own.
    let isWrite: Bool
    /// Milliseconds that the server may hold its reply back; nil: it answers at once.
    let blocksMilliseconds: Int?

    /// Any command, by its words. `key` is the place of the first key among them.
    package init(_ words: [[UInt8]], key: Int? = nil, isWrite: Bool = false, blocksMilliseconds: Int? = nil) {
        encoded = CommandBytes.formatted(words)
        slot = key.flatMap { words.indices.contains($0) ? KeySlot.slot(of: words[$0]) : nil }
        self.isWrite = isWrite
        self.blocksMilliseconds = blocksMilliseconds
    }

    package init(_ words: [String], key: Int? = nil, isWrite: Bool = false) {
        self.init(words.map { Array($0.utf8) }, key: key, isWrite: isWrite)
    }

    private init(encoded: [UInt8], slot: UInt16?, isWrite: Bool) {
        self.encoded = encoded
        self.slot = slot
        self.isWrite = isWrite
        blocksMilliseconds = nil
    }

    /// GET of one key.
    package static func get(_ key: [UInt8]) -> RedisCommand {
        var bytes = CommandBytes(words: 2, bytes: key.count + 3)
        bytes.append("GET")
        bytes.append(key)
        return RedisCommand(encoded: bytes.bytes, slot: KeySlot.slot(of: key), isWrite: false)
    }

    /// MGET. Of a cluster, only of keys that share a slot.
    package static func get(_ keys: [[UInt8]]) -> RedisCommand {
        if keys.count == 1 { return get(keys[0]) }
        var bytes = CommandBytes(words: keys.count + 1, bytes: keys.reduce(4) { $0 + $1.count })
        bytes.append("MGET")
        for key in keys { bytes.append(key) }
        return RedisCommand(encoded: bytes.bytes, slot: keys.first.map(KeySlot.slot), isWrite: false)
    }

    /// SET, for `milliseconds`, at least 1; nil: for ever.
    package static func set(_ key: [UInt8], _ value: [UInt8], milliseconds: Int?) -> RedisCommand {
        var bytes = CommandBytes(words: milliseconds == nil ? 3 : 5, bytes: key.count + value.count + 32)
        bytes.append("SET")
        bytes.append(key)
        bytes.append(value)
        if let milliseconds {
            bytes.append("PX")
            bytes.append(max(1, milliseconds))
        }
        return RedisCommand(encoded: bytes.bytes, slot: KeySlot.slot(of: key), isWrite: true)
    }

    /// UNLINK: the server frees the value later. Of a cluster, only of keys that share a slot.
    package static func delete(_ keys: [[UInt8]]) -> RedisCommand {
        var bytes = CommandBytes(words: keys.count + 1, bytes: keys.reduce(6) { $0 + $1.count })
        bytes.append("UNLINK")
        for key in keys { bytes.append(key) }
        return RedisCommand(encoded: bytes.bytes, slot: keys.first.map(KeySlot.slot), isWrite: true)
    }
}
