import RemoteCache
import Vocabulary

/// What Redis does in one step for nodes that share users, and the names of what lies there.
///
/// ```
///  PREFIX:{u SLOT}:users:1   hash: a user's ID -> its record (`UserRecord`)
///  PREFIX:{u SLOT}:owner:1   hash: n -> the node that holds the slot, e -> the claim's epoch
///  PREFIX:claims:1           stream: what nodes tell each other (`ClusterNotice`)
///  PREFIX:nodes:1            hash: node -> its last beat (`NodeBeat`)
/// ```
/// The two of a slot are of one slot of a Redis cluster, and the slots of users spread over it. A key that is no hash is replaced.
enum SharingScripts {
    /// Keys: users, owner. Arguments: user, node, bytes of a record at most.
    ///
    /// Claims the slot and reads the user. Gives the epoch (0: the claim could not be written), the holder before, milliseconds
    /// since 1970, what is wrong (0 nothing, 1 the key, 2 the record's length), the record.
    static let load = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local kind = redis.call('TYPE', KEYS[2]).ok
        if kind ~= 'hash' and kind ~= 'none' then redis.pcall('UNLINK', KEYS[2]) end
        local owner = redis.call('HGET', KEYS[2], 'n')
        local epoch = tonumber(redis.call('HGET', KEYS[2], 'e')) or 0
        if owner ~= ARGV[2] then
          epoch = math.max(epoch + 1, now)
          local set = redis.pcall('HSET', KEYS[2], 'n', ARGV[2], 'e', string.format('%.0f', epoch))
          if type(set) == 'table' and set.err then epoch = 0 end
        end
        kind = redis.call('TYPE', KEYS[1]).ok
        if kind == 'none' then return {epoch, owner, now, 0, false} end
        if kind ~= 'hash' then return {epoch, owner, now, 1, false} end
        if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[3]) then return {epoch, owner, now, 2, false} end
        return {epoch, owner, now, 0, redis.call('HGET', KEYS[1], ARGV[1])}
        """)

    /// Keys: users, owner. Arguments: user, piece, bytes of a record at most, milliseconds that the slot's users live (0: for ever).
    ///
    /// Appends a piece to a user's record. Gives the epoch, the holder, the record's length, whether something was replaced.
    static let append = RedisScript(
        """
        local owner = false
        local epoch = 0
        local kind = redis.call('TYPE', KEYS[2]).ok
        if kind == 'hash' then
          owner = redis.call('HGET', KEYS[2], 'n')
          epoch = tonumber(redis.call('HGET', KEYS[2], 'e')) or 0
        end
        kind = redis.call('TYPE', KEYS[1]).ok
        local replaced = 0
        if kind ~= 'hash' and kind ~= 'none' then
          redis.call('UNLINK', KEYS[1])
          replaced = 1
        end
        local record = ARGV[2]
        local length = redis.call('HSTRLEN', KEYS[1], ARGV[1])
        if length > tonumber(ARGV[3]) then
          replaced = 1
        elseif length > 0 then
          record = redis.call('HGET', KEYS[1], ARGV[1]) .. record
        end
        redis.call('HSET', KEYS[1], ARGV[1], record)
        if tonumber(ARGV[4]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
        return {epoch, owner, #record, replaced}
        """)

    /// Keys: users. Arguments: user, the record as it was, the record as it is to be. Gives 1 where it was so, else 0.
    static let compact = RedisScript(
        """
        if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
        return 1
        """)

    /// Keys: users. Arguments: cursor, users, bytes of a record at most, bytes of all at most.
    ///
    /// Gives the next cursor ("0": no more), then users and their records; nil for one that is too long.
    static let scan = RedisScript(
        """
        if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {'0', {}} end
        local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
        local users = {}
        local bytes = 0
        for place = 1, #found[2], 2 do
          local user = found[2][place]
          local record = found[2][place + 1]
          if #user <= 255 then
            if #record > tonumber(ARGV[3]) or bytes + #record > tonumber(ARGV[4]) then
              record = false
            else
              bytes = bytes + #record
            end
            users[#users + 1] = user
            users[#users + 1] = record
          end
        end
        return {found[1], users}
        """)

    /// Keys: nodes. Arguments: node, unwritten events, state.
    ///
    /// Gives milliseconds since 1970, whether the node was known (0: Redis has lost what it had), all nodes and their beats.
    static let beat = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local kind = redis.call('TYPE', KEYS[1]).ok
        if kind ~= 'hash' and kind ~= 'none' then redis.call('UNLINK', KEYS[1]) end
        local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
        redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
        redis.call('PEXPIRE', KEYS[1], 86400000)
        local all = redis.call('HGETALL', KEYS[1])
        local nodes = {}
        for place = 1, #all, 2 do
          local at = tonumber(string.match(all[place + 1], '^%d+'))
          if at and at > now - 3600000 and #all[place] <= 255 and #all[place + 1] <= 64 then
            nodes[#nodes + 1] = all[place]
            nodes[#nodes + 1] = all[place + 1]
          else
            redis.call('HDEL', KEYS[1], all[place])
          end
        end
        return {now, known, nodes}
        """)
}

/// The names of what lies in Redis for nodes that share users.
struct SharingKeys: Sendable {
    private let prefix: String
    let claims: [UInt8]
    let nodes: [UInt8]

    init(prefix: String) {
        self.prefix = prefix
        claims = Array("\(prefix):claims:1".utf8)
        nodes = Array("\(prefix):nodes:1".utf8)
    }

    func users(_ slot: Int) -> [UInt8] { Array("\(prefix):{u\(slot)}:users:1".utf8) }
    func owner(_ slot: Int) -> [UInt8] { Array("\(prefix):{u\(slot)}:owner:1".utf8) }
}
