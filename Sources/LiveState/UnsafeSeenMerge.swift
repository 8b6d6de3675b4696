import Glibc

extension UserBlob {
    /// Puts those lately seen into the sorted set, and drops what is too old or too much.
    ///
    /// - Parameters:
    ///   - max: Items that may be seen, lately seen ones included. Where they become more, the oldest go (by day, of a day
    ///     the lowest item), and a sixteenth more than must, so that the next merges need not choose.
    ///   - firstDay: Items whose last event was before it go.
    /// - Returns: How many items went because of `max`.
    /// - Complexity: O(seen items), every sixteenth time an item leaves the history.
    mutating func mergeLatelySeen(max: Int, firstDay: UInt16) -> Int {
        var lately: [SetEntry] = []
        lately.reserveCapacity(latelyCount)
        forEachLatelySeen { lately.append($0) }
        lately.sort { $0.item < $1.item }
        var dropped = 0
        // An entry that leaves can make the next one longer, but not by more than itself; one that comes in two, neither.
        let room = seenBytes + lately.count * 2 * SetEntry.bytesMax + 16
        withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { merged in
            guard let start = merged.baseAddress else { return }
            var kept = write(lately, to: start, firstDay: firstDay, youngerThan: nil)
            let limit = Swift.max(0, max - Self.latelyMax)
            if kept.count > limit {
                let wanted = limit - limit / 16
                let bar = Self.age(ofOldest: kept.count - wanted, in: start, count: kept.count)
                dropped = kept.count - wanted
                kept = write(lately, to: start, firstDay: firstDay, youngerThan: bar)
            }
            let bytes = start.distance(to: kept.end)
            replaceSeen(with: start, bytes)
            seenBytes = bytes
            seenCount = kept.count
            latelyBytes = 0
            latelyCount = 0
        }
        shrink()
        return dropped
    }

    /// Seen items and those lately seen change places with `bytes` from `start`.
    private mutating func replaceSeen(with start: UnsafeRawPointer, _ bytes: Int) {
        // What lies between, the hidden items, stays: two steps.
        var nothing: UInt8 = 0
        let lately = latelyBytes
        replace(at: latelyOffset, lately, with: &nothing, 0)
        latelyBytes = 0
        replace(at: seenOffset, seenBytes, with: start, bytes)
    }

    /// Writes the union of the sorted set and `lately`.
    private func write(
        _ lately: [SetEntry], to start: UnsafeMutableRawPointer, firstDay: UInt16, youngerThan bar: UInt64?
    ) -> (end: UnsafeMutableRawPointer, count: Int) {
        var place = start
        var previous: UInt32 = 0
        var count = 0
        func put(_ entry: SetEntry) {
            guard entry.day >= firstDay else { return }
            if let bar, entry.age <= bar { return }
            entry.write(to: &place, after: previous)
            previous = entry.item
            count += 1
        }
        var next = 0
        /// The next of `lately`, with all of the same item.
        func takeLately() -> SetEntry {
            var entry = lately[next]
            next += 1
            while next < lately.count, lately[next].item == entry.item {
                entry.day = Swift.max(entry.day, lately[next].day)
                entry.types |= lately[next].types
                next += 1
            }
            return entry
        }
        forEach(.seen) { old in
            while next < lately.count, lately[next].item < old.item { put(takeLately()) }
            if next < lately.count, lately[next].item == old.item {
                var both = takeLately()
                both.day = Swift.max(both.day, old.day)
                both.types |= old.types
                put(both)
            } else {
                put(old)
            }
            return true
        }
        while next < lately.count { put(takeLately()) }
        return (place, count)
    }

    /// The age of the `rank`-th oldest of `count` entries from `start`; `rank` from 1.
    private static func age(ofOldest rank: Int, in start: UnsafeRawPointer, count: Int) -> UInt64 {
        var ages: [UInt64] = []
        ages.reserveCapacity(count)
        var place = start
        var previous: UInt32 = 0
        for _ in 0..<count {
            let entry = SetEntry(reading: &place, after: previous)
            previous = entry.item
            ages.append(entry.age)
        }
        ages.sort()
        return ages[rank - 1]
    }
}
