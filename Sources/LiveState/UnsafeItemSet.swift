import Glibc

/// An item of a set: which, the day of its last event, and the types of its events. At most 11 bytes.
///
/// ```
/// u8   bits 0-1 bytes of the item, less one | 2: types follow | 3-7 the type, where there is one
///      item: its number less that of the item before (in sorted sets)
/// u16  day of the last event, since 1970
/// u32  types, a bit each; only where there are several
/// ```
struct SetEntry {
    var item: UInt32
    var day: UInt16
    /// A bit for each type; one bit at least.
    var types: UInt32

    static let bytesMax = 11
    static let secondsPerDay: UInt32 = 86_400

    /// 2^32 seconds are 49 710 days.
    static func day(_ seconds: UInt32) -> UInt16 { UInt16(seconds / secondsPerDay) }

    init(item: UInt32, seconds: UInt32, type: UInt8) {
        self.item = item
        day = Self.day(seconds)
        types = 1 << UInt32(type & 31)
    }

    /// Reads the entry at `place` and moves `place` behind it. Loads up to 4 bytes more than the entry has.
    @inline(__always)
    init(reading place: inout UnsafeRawPointer, after previous: UInt32) {
        let control = place.load(as: UInt8.self)
        let itemBytes = Int(control & 3) + 1
        item = previous &+ PackedEvent.load(place + 1, itemBytes)
        place += 1 + itemBytes
        day = place.loadUnaligned(as: UInt16.self)
        place += 2
        if control & 4 == 0 {
            types = 1 << UInt32(control >> 3)
        } else {
            types = place.loadUnaligned(as: UInt32.self)
            place += 4
        }
    }

    /// Writes the entry and moves `place` behind it. Needs room for `bytesMax` and 1 more.
    @inline(__always)
    func write(to place: inout UnsafeMutableRawPointer, after previous: UInt32) {
        let step = item - previous
        let itemBytes = max(1, PackedEvent.byteCount(step))
        let hasOneType = types & (types &- 1) == 0
        let control =
            UInt8(itemBytes - 1) | (hasOneType ? UInt8(truncatingIfNeeded: types.trailingZeroBitCount & 31) << 3 : 4)
        place.storeBytes(of: control, as: UInt8.self)
        place.storeBytes(of: step, toByteOffset: 1, as: UInt32.self)
        place += 1 + itemBytes
        place.storeBytes(of: day, as: UInt16.self)
        place += 2
        if !hasOneType {
            place.storeBytes(of: types, as: UInt32.self)
            place += 4
        }
    }

    /// The oldest day first, of a day the lowest item.
    var age: UInt64 { UInt64(day) << 32 | UInt64(item) }
}

/// Which of a blob's sorted sets.
enum ItemSection {
    case seen, hidden
}

extension UserBlob {
    /// So many items stand unsorted before they are merged.
    static let latelyMax = 16

    func offset(_ section: ItemSection) -> Int { section == .seen ? seenOffset : hiddenOffset }
    func bytes(_ section: ItemSection) -> Int { section == .seen ? seenBytes : hiddenBytes }
    func count(_ section: ItemSection) -> Int { section == .seen ? seenCount : hiddenCount }

    /// Corrects a section's sizes after `replace`.
    private func resize(_ section: ItemSection, bytes: Int, count: Int) {
        switch section {
        case .seen: (seenBytes, seenCount) = (seenBytes + bytes, seenCount + count)
        case .hidden: (hiddenBytes, hiddenCount) = (hiddenBytes + bytes, hiddenCount + count)
        }
    }

    /// Calls `body` with each item of a sorted set, lowest first, until it says false.
    @inline(__always)
    func forEach(_ section: ItemSection, _ body: (SetEntry) -> Bool) {
        var place = UnsafeRawPointer(base + offset(section))
        var previous: UInt32 = 0
        for _ in 0..<count(section) {
            let entry = SetEntry(reading: &place, after: previous)
            previous = entry.item
            if !body(entry) { return }
        }
    }

    /// Calls `body` with each item that was lately seen, the first that came first. An item may be there more than once.
    @inline(__always)
    func forEachLatelySeen(_ body: (SetEntry) -> Void) {
        var place = UnsafeRawPointer(base + latelyOffset)
        for _ in 0..<latelyCount { body(SetEntry(reading: &place, after: 0)) }
    }

    func contains(_ item: UInt32, in section: ItemSection) -> Bool {
        var isThere = false
        forEach(section) { entry in
            isThere = entry.item == item
            return entry.item < item
        }
        return isThere
    }

    /// Where an item stands, or would stand, in a sorted set.
    private struct Location {
        /// From the blob's base.
        var offset: Int
        /// The item before it; 0 where there is none.
        var previous: UInt32 = 0
        /// What stands there.
        var entry: SetEntry?
        /// Behind the entry that stands there.
        var end: Int
    }

    private func locate(_ item: UInt32, in section: ItemSection) -> Location {
        let start = UnsafeRawPointer(base)
        var place = start + offset(section)
        var location = Location(offset: place - start, end: place - start)
        for _ in 0..<count(section) {
            let entry = SetEntry(reading: &place, after: location.previous)
            location.end = place - start
            location.entry = entry
            if entry.item >= item { return location }
            location.previous = entry.item
            location.offset = place - start
            location.entry = nil
        }
        return location
    }

    /// Hides an item, or renews its day.
    ///
    /// - Returns: How many others had to go: where there are `max`, the oldest (by day, of a day the lowest item), and a
    ///   sixteenth more than must.
    /// - Complexity: O(hidden items).
    mutating func hide(_ entry: SetEntry, max: Int) -> Int {
        var dropped = 0
        if hiddenCount > max || (hiddenCount == max && !contains(entry.item, in: .hidden)) {
            dropped = hiddenCount - max + 1 + max / 16
            dropOldestHidden(dropped)
        }
        let location = locate(entry.item, in: .hidden)
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let isThere = location.entry?.item == entry.item
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            if isThere, let old = location.entry {
                var both = entry
                both.day = Swift.max(old.day, entry.day)
                both.types |= old.types
                both.write(to: &place, after: location.previous)
            } else {
                entry.write(to: &place, after: location.previous)
                location.entry?.write(to: &place, after: entry.item)
            }
            replace(at: location.offset, location.end - location.offset, with: start, place - start)
            return place - start
        }
        resize(.hidden, bytes: count - (location.end - location.offset), count: isThere ? 0 : 1)
        return dropped
    }

    /// Takes an item out of those hidden. - Returns: Whether it was there. - Complexity: O(hidden items).
    mutating func unhide(_ item: UInt32) -> Bool {
        let location = locate(item, in: .hidden)
        guard location.entry?.item == item else { return false }
        let sectionEnd = hiddenOffset + hiddenBytes
        var end = location.end
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            if end < sectionEnd {
                // The next item counts from the one before now.
                var next = UnsafeRawPointer(base + end)
                let entry = SetEntry(reading: &next, after: item)
                end = next - UnsafeRawPointer(base)
                entry.write(to: &place, after: location.previous)
            }
            replace(at: location.offset, end - location.offset, with: start, place - start)
            return place - start
        }
        resize(.hidden, bytes: count - (end - location.offset), count: -1)
        return true
    }

    /// - Precondition: So many are hidden.
    private mutating func dropOldestHidden(_ dropped: Int) {
        var ages: [UInt64] = []
        forEach(.hidden) { entry in
            ages.append(entry.age)
            return true
        }
        ages.sort()
        let bar = ages[dropped - 1]
        withUnsafeTemporaryAllocation(byteCount: hiddenBytes + 16, alignment: 8) { kept in
            guard let start = kept.baseAddress else { return }
            var place = start
            var previous: UInt32 = 0
            forEach(.hidden) { entry in
                if entry.age > bar {
                    entry.write(to: &place, after: previous)
                    previous = entry.item
                }
                return true
            }
            let bytes = start.distance(to: place)
            replace(at: hiddenOffset, hiddenBytes, with: start, bytes)
            resize(.hidden, bytes: bytes - hiddenBytes, count: -dropped)
        }
    }

    /// Puts an item behind those lately seen, in the place of bytes of the history, or in front of them.
    ///
    /// - Precondition: Fewer than `latelyMax` are there.
    mutating func replaceWithLatelySeen(_ entry: SetEntry, at offset: Int, _ removed: Int) {
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            entry.write(to: &place, after: 0)
            replace(at: offset, removed, with: start, place - start)
            return place - start
        }
        latelyBytes += count
        latelyCount += 1
    }
}
