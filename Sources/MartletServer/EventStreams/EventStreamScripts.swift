/// What is asked of Redis about a stream that its plain commands answer only with all bytes of every entry.
enum EventStreamScripts {
    /// Key: the stream. Words: group, consumer, where to begin, entries at most, bytes of an entry at most, bytes in all at most.
    ///
    /// Gives what the consumer has not acknowledged: for each entry its ID and its fields, or `gone`, or `huge`.
    static let pending = """
        local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
        local found, bytes = {}, 0
        for i, one in ipairs(pending) do
          local entry = redis.call('XRANGE', KEYS[1], one[1], one[1])[1]
          local fields, size = 'gone', 0
          if entry then
            fields = entry[2]
            for j = 1, #fields do size = size + #fields[j] end
            if size > tonumber(ARGV[5]) then
              fields, size = 'huge', 0
            end
          end
          bytes = bytes + size
          if bytes > tonumber(ARGV[6]) and i > 1 then break end
          found[i] = {one[1], fields}
        end
        return found
        """

    /// Key: the stream. Word: the group. Gives how many entries it has not acknowledged, and how many it was not given; -1: nobody knows.
    static let waiting = """
        for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
          local facts = {}
          for i = 1, #group, 2 do facts[group[i]] = group[i+1] end
          if facts['name'] == ARGV[1] then
            local lag = facts['lag']
            if type(lag) ~= 'number' then lag = -1 end
            return {facts['pending'], lag}
          end
        end
        return {0, -1}
        """
}
