import Retrieval
import Vocabulary

/// An answer that a cache holds, in the cache's own memory.
package struct KeptAnswer {
    package let body: UnsafeRawBufferPointer
    /// What was given with it.
    package let tag: UInt16
}

/// The L1 cache of a shard: encoded answers by the exact bytes of the request that they answer.
///
/// Two requests with the same bytes ask for the same thing, so the key needs no decoding; two spellings of one
/// request only cost a second entry. An entry also carries the generation that made it, the time it expires, and when
/// its items are available: an answer of another generation, one too old, or one out of that time is a miss. So is one
/// that shows an item that was changed since: an entry holds which items it may show, and with which version of the
/// changes it was compared.
///
/// Admission is S3-FIFO (Yang et al., SOSP 2023): new entries wait in a small queue (a tenth of the bytes), those
/// asked for again move to the main queue, which gives each used entry another round; the hashes of entries that
/// left the small queue are remembered for a while and go straight to the main queue when they come back.
///
/// ```
///  slots   [entry index + 1, ...]      open addressing, linear probing, power of two
///  entries [Entry, ...]                fixed records, freed ones chained through `next`
///  block   key bytes | value bytes     one allocation an entry
/// ```
///
/// Not thread safe: it belongs to its shard. A hit allocates nothing.
package final class ResultCache {
    private struct Entry {
        var block: UnsafeMutableRawPointer?
        var hash: UInt64
        var expires: UInt64
        var generation: UInt64
        /// Unix seconds in which the answer may be shown.
        var seconds: ClosedRange<Int64>
        /// Of the user whose answer it is.
        var stamp: UserEpochs.Stamp
        /// Of the item changes that the answer knows of, or was compared with.
        var version: UInt64
        var shown: ShownSketch
        var keyCount: UInt32
        var valueCount: UInt32
        var next: UInt32
        var queue: Queue
        var uses: UInt8
        var tag: UInt16
    }

    private enum Queue: UInt8 {
        case free, small, main
    }

    /// A queue of entries, linked through `Entry.next`; leaves at the head, joins at the tail.
    private struct Chain {
        var head: UInt32 = none
        var tail: UInt32 = none
        var bytes = 0
    }

    private static let none = UInt32.max
    private static let usesMax: UInt8 = 3
    /// An entry's record and its share of the slot table at the highest load.
    private static let overheadBytes = MemoryLayout<Entry>.stride + 8
    private static let entriesMax = 1 << 28

    private let capacity: Int
    private let smallCapacity: Int
    private var entries: UnsafeMutablePointer<Entry>
    private var entryCapacity: Int
    private var entriesUsed = 0
    private var freeHead = ResultCache.none
    private var slots: UnsafeMutablePointer<UInt32>
    private var slotCount: Int
    private let ghosts: UnsafeMutablePointer<UInt32>
    private let ghostMask: UInt64
    private var small = Chain()
    private var main = Chain()

    package private(set) var statistics = ResultCacheStatistics()

    /// - Parameter bytesMax: Bytes that entries, records and table may take; at 0 nothing is ever kept.
    package init(bytesMax: Int) {
        capacity = max(0, bytesMax)
        smallCapacity = capacity / 10
        entryCapacity = 64
        entries = .allocate(capacity: entryCapacity)
        slotCount = 128
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)
        // One fingerprint for each 1 KiB of answers: about as many as the main queue has entries.
        var ghostCount = 64
        while ghostCount < min(capacity / 1024, 1 << 22) { ghostCount *= 2 }
        ghosts = .allocate(capacity: ghostCount)
        ghosts.initialize(repeating: 0, count: ghostCount)
        ghostMask = UInt64(ghostCount - 1)
    }

    deinit {
        for index in 0..<entriesUsed where entries[index].queue != .free { entries[index].block?.deallocate() }
        entries.deallocate()
        slots.deallocate()
        ghosts.deallocate()
    }

    /// The hash under which `key` is kept; computed once and passed to `answer` and `insert`.
    @inline(__always)
    package static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { XXH64.hash(key) }

    /// The kept answer to the request `key`, or nil.
    ///
    /// - Parameters:
    ///   - key: The request's bytes.
    ///   - generation: The generation that must have made the answer.
    ///   - now: Uptime in nanoseconds.
    ///   - wallSeconds: Unix seconds; matters to answers that were kept for some of them.
    ///   - epochs: Of the users: an answer from before a user's last event of importance is none.
    ///   - overlay: What has changed of the items; an answer that may show one that changed since is none.
    /// - Returns: The encoded answer, valid until the next call that changes the cache.
    /// - Complexity: O(1) expected and O(`key.count`) to compare; allocates nothing.
    package func answer(
        to key: UnsafeRawBufferPointer, hash: UInt64, generation: UInt64, now: UInt64, wallSeconds: Int64 = 0,
        epochs: UserEpochs? = nil, overlay: ItemOverlay? = nil
    ) -> KeptAnswer? {
        guard let index = find(key, hash) else {
            statistics.misses += 1
            return nil
        }
        let entry = entries + index
        if entry.pointee.generation != generation || entry.pointee.expires <= now
            || !entry.pointee.seconds.contains(wallSeconds)
            || epochs.map({ !$0.isFit(entry.pointee.stamp) }) ?? false
            || overlay.map({ !Self.isFit(entry, $0) }) ?? false
        {
            statistics.misses += 1
            statistics.stale += 1
            return nil
        }
        statistics.hits += 1
        if entry.pointee.uses < Self.usesMax { entry.pointee.uses += 1 }
        guard let block = entry.pointee.block else { return nil }
        let body = UnsafeRawBufferPointer(
            start: block + Int(entry.pointee.keyCount), count: Int(entry.pointee.valueCount))
        return KeptAnswer(body: body, tag: entry.pointee.tag)
    }

    /// Whether no item that the entry may show was changed since; takes note where there is none.
    ///
    /// - Complexity: O(changes since), which are bounded.
    @inline(__always)
    private static func isFit(_ entry: UnsafeMutablePointer<Entry>, _ overlay: ItemOverlay) -> Bool {
        if entry.pointee.version >= overlay.version { return true }
        guard overlay.shows(entry.pointee.shown, since: entry.pointee.version) else { return false }
        entry.pointee.version = overlay.version
        return true
    }

    /// Keeps `value` as the answer to `key`, in place of what was kept before.
    ///
    /// - Complexity: O(1) amortised, one allocation.
    package func insert(
        _ value: UnsafeRawBufferPointer, for key: UnsafeRawBufferPointer, hash: UInt64, generation: UInt64,
        expires: UInt64, seconds: ClosedRange<Int64> = Slate.always, stamp: UserEpochs.Stamp = .nobody,
        version: UInt64 = 0,
        shown: ShownSketch = ShownSketch(), tag: UInt16 = 0
    ) {
        let cost = Self.cost(key.count, value.count)
        if cost > smallCapacity || entriesUsed >= Self.entriesMax {
            statistics.refusals += 1
            return
        }
        let block = UnsafeMutableRawPointer.allocate(byteCount: key.count + value.count, alignment: 8)
        if let source = key.baseAddress { block.copyMemory(from: source, byteCount: key.count) }
        if let source = value.baseAddress { (block + key.count).copyMemory(from: source, byteCount: value.count) }
        statistics.insertions += 1

        if let index = find(key, hash) {
            // A newer answer takes the place of the old one and its place in the queue.
            let entry = entries + index
            let change = cost - Self.cost(Int(entry.pointee.keyCount), Int(entry.pointee.valueCount))
            entry.pointee.block?.deallocate()
            entry.pointee.block = block
            entry.pointee.valueCount = UInt32(value.count)
            entry.pointee.expires = expires
            entry.pointee.generation = generation
            entry.pointee.seconds = seconds
            entry.pointee.stamp = stamp
            entry.pointee.version = version
            entry.pointee.shown = shown
            entry.pointee.tag = tag
            if entry.pointee.queue == .small { small.bytes += change } else { main.bytes += change }
            statistics.bytes += change
        } else {
            let index = takeFreeEntry()
            let remembered = forgetGhost(hash)
            entries[index] = Entry(
                block: block, hash: hash, expires: expires, generation: generation, seconds: seconds,
                stamp: stamp, version: version, shown: shown, keyCount: UInt32(key.count),
                valueCount: UInt32(value.count), next: Self.none, queue: remembered ? .main : .small, uses: 0,
                tag: tag)
            addSlot(index, hash)
            statistics.bytes += cost
            statistics.entryCount += 1
            if remembered { append(index, cost, to: &main) } else { append(index, cost, to: &small) }
        }
        while statistics.bytes > capacity { evictOne() }
    }

    // MARK: Queues

    private static func cost(_ keyCount: Int, _ valueCount: Int) -> Int {
        overheadBytes + (keyCount + valueCount + 15) / 16 * 16
    }

    private func cost(of index: Int) -> Int {
        Self.cost(Int(entries[index].keyCount), Int(entries[index].valueCount))
    }

    private func append(_ index: Int, _ cost: Int, to chain: inout Chain) {
        entries[index].next = Self.none
        if chain.tail == Self.none { chain.head = UInt32(index) } else { entries[Int(chain.tail)].next = UInt32(index) }
        chain.tail = UInt32(index)
        chain.bytes += cost
    }

    private func removeHead(of chain: inout Chain) -> Int? {
        guard chain.head != Self.none else { return nil }
        let index = Int(chain.head)
        chain.head = entries[index].next
        if chain.head == Self.none { chain.tail = Self.none }
        chain.bytes -= cost(of: index)
        return index
    }

    /// Frees one entry, or moves one from the small to the main queue, or gives one in the main queue another round.
    private func evictOne() {
        if small.bytes > smallCapacity || main.head == Self.none {
            guard let index = removeHead(of: &small) else { return }
            if entries[index].uses > 0 {
                entries[index].uses = 0
                entries[index].queue = .main
                append(index, cost(of: index), to: &main)
            } else {
                rememberGhost(entries[index].hash)
                free(index)
            }
        } else {
            guard let index = removeHead(of: &main) else { return }
            if entries[index].uses > 0 {
                entries[index].uses -= 1
                append(index, cost(of: index), to: &main)
            } else {
                free(index)
            }
        }
    }

    private func free(_ index: Int) {
        removeSlot(of: index)
        statistics.bytes -= cost(of: index)
        statistics.entryCount -= 1
        statistics.evictions += 1
        entries[index].block?.deallocate()
        entries[index].block = nil
        entries[index].queue = .free
        entries[index].next = freeHead
        freeHead = UInt32(index)
    }

    private func takeFreeEntry() -> Int {
        if freeHead != Self.none {
            let index = Int(freeHead)
            freeHead = entries[index].next
            return index
        }
        if entriesUsed == entryCapacity {
            let larger = UnsafeMutablePointer<Entry>.allocate(capacity: entryCapacity * 2)
            larger.moveInitialize(from: entries, count: entriesUsed)
            entries.deallocate()
            entries = larger
            entryCapacity *= 2
        }
        entriesUsed += 1
        return entriesUsed - 1
    }

    // MARK: Ghosts: a table of fingerprints in which a newer one overwrites an older one of the same place

    private static func fingerprint(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash >> 32) | 1 }

    private func rememberGhost(_ hash: UInt64) { ghosts[Int(hash & ghostMask)] = Self.fingerprint(hash) }

    private func forgetGhost(_ hash: UInt64) -> Bool {
        let place = Int(hash & ghostMask)
        guard ghosts[place] == Self.fingerprint(hash) else { return false }
        ghosts[place] = 0
        return true
    }

    // MARK: Table

    private func find(_ key: UnsafeRawBufferPointer, _ hash: UInt64) -> Int? {
        let mask = slotCount - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots[place]
            if slot == 0 { return nil }
            let entry = entries + Int(slot - 1)
            if entry.pointee.hash == hash, Int(entry.pointee.keyCount) == key.count,
                let block = entry.pointee.block,
                UnsafeRawBufferPointer(start: block, count: key.count).elementsEqualBytes(key)
            {
                return Int(slot - 1)
            }
            place = (place + 1) & mask
        }
    }

    private func addSlot(_ index: Int, _ hash: UInt64) {
        if statistics.entryCount * 2 >= slotCount { growSlots() }
        let mask = slotCount - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while slots[place] != 0 { place = (place + 1) & mask }
        slots[place] = UInt32(index + 1)
    }

    /// Removes by shifting later members of the run back, so that no tombstones pile up.
    private func removeSlot(of index: Int) {
        let mask = slotCount - 1
        var place = Int(truncatingIfNeeded: entries[index].hash) & mask
        while slots[place] != UInt32(index + 1) { place = (place + 1) & mask }
        var hole = place
        var next = (place + 1) & mask
        while slots[next] != 0 {
            let home = Int(truncatingIfNeeded: entries[Int(slots[next] - 1)].hash) & mask
            if (next &- home) & mask >= (next &- hole) & mask {
                slots[hole] = slots[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        slots[hole] = 0
    }

    private func growSlots() {
        let old = slots
        let oldCount = slotCount
        slotCount *= 2
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)
        let mask = slotCount - 1
        for place in 0..<oldCount where old[place] != 0 {
            var target = Int(truncatingIfNeeded: entries[Int(old[place] - 1)].hash) & mask
            while slots[target] != 0 { target = (target + 1) & mask }
            slots[target] = old[place]
        }
        old.deallocate()
    }
}

extension UnsafeRawBufferPointer {
    /// Whether both hold the same bytes.
    @inline(__always)
    fileprivate func elementsEqualBytes(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        var position = 0
        while position + 8 <= count {
            if loadUnaligned(fromByteOffset: position, as: UInt64.self)
                != other.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            {
                return false
            }
            position += 8
        }
        while position < count {
            if self[position] != other[position] { return false }
            position += 1
        }
        return true
    }
}
