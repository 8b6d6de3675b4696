/// What Redis does for nodes that share changes of items, each in one step that nothing comes between.
///
/// ```
///  states   hash    d<item>     version, space, value: the last upsert, deletion or restoration
///                   w<item>     the same: the window upon it
///                   m:history   names this life of the two keys      m:last  the last entry      m:top  no version is greater
///  changes  stream  v value     p the entry before it     m version, where it is not the entry's own ID
///  author   string  the last token of a node that was written
/// ```
/// An entry names the one before it, so a reader knows whether it has missed some. IDs are given here: by the server's clock, and
/// always greater than all versions there are.
enum SharedItemScripts {
    private static let versions = """
        local function numbers(v)
          local a, b = string.match(v, '^(%d+)-(%d+)')
          return tonumber(a) or 0, tonumber(b) or 0
        end
        local function newer(a, b)
          local am, as = numbers(a)
          local bm, bs = numbers(b)
          return am > bm or (am == bm and as > bs)
        end

        """

    /// Keys: states, changes, author. Words: a history to begin where there is none, entries to keep, seconds to keep the author,
    /// then for each change: d or w, item, version or nothing, token or nothing, value.
    ///
    /// Gives the history, then for each change its version; `held` where the same or a later one is there; `outdated` where the
    /// token was written before and others came later.
    static let write =
        versions + """
            local states, changes, author = KEYS[1], KEYS[2], KEYS[3]
            local meta = redis.call('HMGET', states, 'm:history', 'm:last', 'm:top')
            local history, last, top = meta[1], meta[2] or '0-0', meta[3] or '0-0'
            if not history or #history > 16 or not string.match(history, '^%x+$') then
              history, last = ARGV[1], '0-0'
              redis.call('HSET', states, 'm:history', history, 'm:last', last, 'm:top', top)
              redis.call('DEL', changes)
            end
            local written = redis.call('GET', author) or '0'
            local before = written
            local time = redis.call('TIME')
            local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
            local results = {history}
            for i = 4, #ARGV, 5 do
              local part, item, version, token, value = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4]
              local field = part .. item
              local held = redis.call('HGET', states, field)
              local result = nil
              if token ~= '' and tonumber(token) <= tonumber(written) then
                local space = held and string.find(held, ' ', 1, true)
                if space and string.sub(held, space + 1) == value then
                  result = string.sub(held, 1, space - 1)
                else
                  result = 'outdated'
                end
              elseif version ~= '' then
                local main = held
                if part == 'w' then main = redis.call('HGET', states, 'd' .. item) end
                if (held and not newer(version, held)) or (main and not newer(version, main)) then result = 'held' end
              end
              if not result then
                local tm, ts = numbers(top)
                local id
                if now > tm then
                  id = string.format('%.0f-0', now)
                else
                  id = string.format('%.0f-%.0f', tm, ts + 1)
                end
                local entry = {'XADD', changes, 'MAXLEN', '~', ARGV[2], id, 'p', last, 'v', value}
                if version ~= '' then
                  entry[#entry+1] = 'm'
                  entry[#entry+1] = version
                end
                local done = redis.pcall(unpack(entry))
                if type(done) == 'table' and done.err then
                  -- Entries of a stranger may have later IDs. Who has not read ours finds that some are missing.
                  if string.find(done.err, 'equal or smaller', 1, true) or string.find(done.err, 'exhausted', 1, true)
                    or string.find(done.err, 'WRONGTYPE', 1, true) then
                    redis.call('DEL', changes)
                    redis.call(unpack(entry))
                  else
                    return redis.error_reply(done.err)
                  end
                end
                last, top = id, id
                if version == '' then version = id end
                if newer(version, top) then top = version end
                redis.call('HSET', states, field, version .. ' ' .. value, 'm:last', last, 'm:top', top)
                if part == 'd' then
                  local window = redis.call('HGET', states, 'w' .. item)
                  if window and newer(version, window) then redis.call('HDEL', states, 'w' .. item) end
                end
                if token ~= '' then written = token end
                result = version
              end
              results[#results+1] = result
            end
            if written ~= before then redis.call('SET', author, written, 'EX', ARGV[3]) end
            return results
            """

    /// Keys: states, changes. Words: the entry to go on from, the one to go on from where that is later than all there are, entries
    /// at most, bytes of a value at most, bytes in all at most.
    ///
    /// Gives history (empty: none), last entry, 1 where more entries follow, and for each entry: ID, the one before, version, value.
    static let poll =
        versions + """
            local meta = redis.call('HMGET', KEYS[1], 'm:history', 'm:last', 'm:top')
            if not meta[1] or #meta[1] > 16 or not string.match(meta[1], '^%x+$') then return {'', '', 0, {}} end
            local from = ARGV[1]
            if newer(from, meta[3] or '0-0') then from = ARGV[2] end
            local kind = redis.call('TYPE', KEYS[2])['ok']
            local read = kind == 'stream' and redis.call('XREAD', 'COUNT', ARGV[3], 'STREAMS', KEYS[2], from)
            local found, more, bytes = {}, 0, 0
            if read then
              local entries = read[1][2]
              if #entries >= tonumber(ARGV[3]) then more = 1 end
              for i, entry in ipairs(entries) do
                local p, v, m = '', '', ''
                local fields = entry[2] or {}
                for j = 1, #fields, 2 do
                  if fields[j] == 'p' then p = string.sub(fields[j+1], 1, 64)
                  elseif fields[j] == 'm' then m = string.sub(fields[j+1], 1, 64)
                  elseif fields[j] == 'v' and #fields[j+1] <= tonumber(ARGV[4]) then v = fields[j+1] end
                end
                bytes = bytes + #v
                if bytes > tonumber(ARGV[5]) and i > 1 then
                  more = 1
                  break
                end
                found[i] = {entry[1], p, m, v}
              end
            end
            return {meta[1], meta[2] or '0-0', more, found}
            """

    /// Keys: states. Words: cursor, fields at a time, bytes of a value at most, bytes in all at most.
    ///
    /// Gives the next cursor and fields with values. A value beyond all bytes is empty, to be asked for alone; one that is too
    /// large is `-`.
    static let scan = """
        local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
        local found, bytes = {}, 0
        for i = 1, #page[2], 2 do
          local field, value = page[2][i], page[2][i+1]
          if #field <= 300 then
            if #value > tonumber(ARGV[3]) then value = '-' end
            bytes = bytes + #value
            if bytes > tonumber(ARGV[4]) then value = '' end
            found[#found+1] = field
            found[#found+1] = value
          end
        end
        return {page[1], found}
        """

    /// Keys: states. Words: a field, bytes at most. Its value; `-` where that is too large.
    static let one = """
        local value = redis.call('HGET', KEYS[1], ARGV[1])
        if value and #value > tonumber(ARGV[2]) then return '-' end
        return value
        """

    /// Keys: states. Words: fields, each with the version that it has if nothing came upon it. Takes them away.
    static let forget = """
        local count = 0
        for i = 1, #ARGV, 2 do
          local held = redis.call('HGET', KEYS[1], ARGV[i])
          local begin = ARGV[i+1] .. ' '
          if held and string.sub(held, 1, #begin) == begin then count = count + redis.call('HDEL', KEYS[1], ARGV[i]) end
        end
        return count
        """
}
