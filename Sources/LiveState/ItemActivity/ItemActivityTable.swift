/// The counts of a scenario's items. A value: a copy shares all chunks that do not change later, so what a merge costs is
/// what it changes, and one copy of the chunks' references.
///
/// ```
/// chunks   2^bits, by the highest bits of the item's hash: entries, ascending by item; 8 to 16 each, once there are many
/// ```
struct ItemActivityTable: Sendable {
    private(set) var chunks: [[ItemActivityEntry]] = [[]]
    private var bits = 0
    /// Items that have counts.
    private(set) var count = 0
    /// As allocated.
    private(set) var bytes = 8

    /// Entries of a chunk in the mean, when there are twice as many chunks.
    private static let meanMax = 16
    /// Of an array that is not empty.
    private static let arrayBytes = 32

    private static func bytes(_ chunk: [ItemActivityEntry]) -> Int {
        chunk.isEmpty ? 0 : arrayBytes + chunk.capacity * MemoryLayout<ItemActivityEntry>.stride
    }

    /// What so many items take, about: arrays grow by doubling, and what `malloc` rounds them to is theirs, too.
    static func byteCount(items: Int) -> Int {
        let chunks = (items + meanMax * 3 / 4 - 1) / (meanMax * 3 / 4)
        return chunks * (8 + arrayBytes) + items * MemoryLayout<ItemActivityEntry>.stride * 5 / 2
    }

    static func hash(_ item: UInt32) -> UInt32 {
        var hash = item &* 0x9E37_79B1
        hash ^= hash >> 15
        return hash &* 0x85EB_CA77
    }

    private func place(of item: UInt32) -> Int { bits == 0 ? 0 : Int(Self.hash(item) >> UInt32(32 - bits)) }

    /// - Complexity: O(log of a chunk): two cache misses in a large table.
    func entry(of item: UInt32) -> ItemActivityEntry? {
        let chunk = chunks[place(of: item)]
        let place = Self.place(of: item, in: chunk)
        guard place < chunk.count, chunk[place].item == item else { return nil }
        return chunk[place]
    }

    private static func place(of item: UInt32, in chunk: [ItemActivityEntry]) -> Int {
        var (low, high) = (0, chunk.count)
        while low < high {
            let middle = (low + high) / 2
            if chunk[middle].item < item { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds counts.
    ///
    /// - Parameters:
    ///   - changes: Counts as of `now`; an item may be there several times. In any order; sorted on return.
    ///   - now: An entry of a later second, made before a clock was set back, keeps it.
    /// - Complexity: O(changes * log changes + entries of their chunks).
    mutating func add(
        _ changes: inout [(item: UInt32, counts: ItemCounts)], at now: UInt32,
        _ configuration: ItemActivityConfiguration
    ) {
        // Many new items in few chunks would be moved about again and again.
        while max(count, changes.count / 4) > Self.meanMax * chunks.count, bits < 28 { split() }
        // Items of one chunk have hashes in one range.
        changes.sort { (Self.hash($0.item), $0.item) < (Self.hash($1.item), $1.item) }
        var first = 0
        while first < changes.count {
            let place = place(of: changes[first].item)
            var end = first + 1
            while end < changes.count, self.place(of: changes[end].item) == place { end += 1 }
            add(changes[first..<end], to: place, at: now, configuration)
            first = end
        }
        while count > Self.meanMax * chunks.count, bits < 28 { split() }
    }

    private mutating func add(
        _ changes: ArraySlice<(item: UInt32, counts: ItemCounts)>, to place: Int, at now: UInt32,
        _ configuration: ItemActivityConfiguration
    ) {
        let old = chunks[place]
        var new: [ItemActivityEntry] = []
        new.reserveCapacity(old.count + changes.count)
        new.append(contentsOf: old)
        var last: (item: UInt32, place: Int)?
        for change in changes {
            if let last, last.item == change.item {
                let entry = new[last.place]
                new[last.place] = ItemActivityEntry(
                    item: entry.item, seconds: entry.seconds, entry.counts(at: now, configuration) + change.counts)
                continue
            }
            let position = Self.place(of: change.item, in: new)
            if position < new.count, new[position].item == change.item {
                let entry = new[position]
                new[position] = ItemActivityEntry(
                    item: change.item, seconds: max(now, entry.seconds),
                    entry.counts(at: now, configuration) + change.counts)
            } else {
                new.insert(ItemActivityEntry(item: change.item, seconds: now, change.counts), at: position)
            }
            last = (change.item, position)
        }
        replace(place, with: new)
    }

    private mutating func replace(_ place: Int, with new: [ItemActivityEntry]) {
        let old = chunks[place]
        count += new.count - old.count
        bytes += Self.bytes(new) - Self.bytes(old)
        chunks[place] = new
    }

    private mutating func split() {
        bits += 1
        var split: [[ItemActivityEntry]] = []
        split.reserveCapacity(chunks.count * 2)
        let shift = UInt32(32 - bits)
        for chunk in chunks {
            let isUpper = { (entry: ItemActivityEntry) in Self.hash(entry.item) >> shift & 1 == 1 }
            let upperCount = chunk.count(where: isUpper)
            // No larger than need be: most of them stay as they are.
            var (lower, upper) = ([ItemActivityEntry](), [ItemActivityEntry]())
            lower.reserveCapacity(chunk.count - upperCount)
            upper.reserveCapacity(upperCount)
            for entry in chunk {
                if isUpper(entry) { upper.append(entry) } else { lower.append(entry) }
            }
            split.append(lower)
            split.append(upper)
        }
        chunks = split
        recount()
    }

    private mutating func recount() {
        count = chunks.reduce(0) { $0 + $1.count }
        bytes = chunks.count * 8 + chunks.reduce(0) { $0 + Self.bytes($1) }
    }

    /// Takes entries out.
    ///
    /// - Complexity: O(entries).
    mutating func removeAll(where isGone: (ItemActivityEntry) -> Bool) {
        for place in chunks.indices where chunks[place].contains(where: isGone) {
            replace(place, with: chunks[place].filter { !isGone($0) })
        }
    }

    /// Puts an entry in, in the place of that of its item.
    mutating func insert(_ entry: ItemActivityEntry) {
        let place = place(of: entry.item)
        var chunk = chunks[place]
        let position = Self.place(of: entry.item, in: chunk)
        if position < chunk.count, chunk[position].item == entry.item {
            chunk[position] = entry
        } else {
            chunk.insert(entry, at: position)
        }
        replace(place, with: chunk)
        while count > Self.meanMax * chunks.count, bits < 28 { split() }
    }
}
