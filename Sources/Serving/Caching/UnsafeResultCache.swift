import Retrieval
import Vocabulary

/// An answer that a cache holds, in the cache's own memory.
package struct KeptAnswer {
    package let body: UnsafeRawBufferPointer
    /// What was given with it.
    package let tag: UInt16
    /// What made it.
    package let generation: UInt64
    /// Whether it is older than it should be; what is shown is to be marked.
    package var isStale = false
    /// Whether it is the first time that it is shown so: a new one is to be made.
    package var wantsRefresh = false
}

/// The L1 cache of a shard: encoded answers by the exact bytes of the request that they answer.
///
/// Two requests with the same bytes ask for the same thing, so the key needs no decoding; two spellings of one
/// request only cost a second entry. An entry also carries the generation that made it, the time it expires, its user's
/// epoch, and when its items are available: an answer of another generation, one too old, one from before something that
/// its user did, or one out of that time is a miss. So is one that shows an item that was changed since: an entry holds
/// which items it may show, and with which version of the changes it was compared.
///
/// ```
///  table    slots -> entry numbers           EntryTable, 4 bytes a slot
///  entries  fixed records, 56 bytes          and 16 of the policy's (EntryLinks)
///  memory   blocks: [seconds] key value      AnswerMemory
///  policy   who stays                        FrequencyFIFO
/// ```
/// Each insertion also looks at some entries, in turns, and drops those that can never be shown again, so what died with
/// its user's epoch makes room before anything else does.
///
/// Not thread safe: it belongs to its shard. A hit allocates nothing. Nothing is ever moved to a larger table: tables are
/// as large as they will be from the start, memory that was not used yet is not resident.
package final class ResultCache {
    private struct Entry {
        /// Nil: free, `stampOrNext` then leads to the next one.
        var block: UnsafeMutableRawPointer?
        var shown: ShownSketch
        /// Of the user whose answer it is.
        var stamp: UserEpochs.Stamp
        /// Ticks.
        var made: UInt32
        var expires: UInt32
        /// Of the item changes that the answer knows of, or was compared with.
        var version: UInt32
        /// In the low 24 bits; `Flags` above.
        var valueCountAndFlags: UInt32
        var generation: UInt16
        var keyCount: UInt16
        var tag: UInt16
        /// Times it was shown, saturating.
        var served: UInt16

        var valueCount: Int { Int(valueCountAndFlags & 0xFF_FFFF) }
        var hasSeconds: Bool { valueCountAndFlags & Flags.hasSeconds != 0 }
        /// Where the key begins.
        var keyOffset: Int { AnswerMemory.headerBytes + (hasSeconds ? 16 : 0) }
        /// Behind the header.
        var blockBytes: Int { (hasSeconds ? 16 : 0) + Int(keyCount) + valueCount }
    }

    private enum Flags {
        static let hasSeconds: UInt32 = 1 << 24
        static let isRefreshing: UInt32 = 1 << 25
    }

    /// What the policy counts in.
    private static let costUnit = 16
    /// An entry's records and its share of the tables.
    private static let recordBytes = MemoryLayout<Entry>.stride + MemoryLayout<EntryLinks.Node>.stride
    /// Caches of fewer bytes keep nothing.
    private static let bytesMin = 2 << 10
    /// Entries that an insertion looks at for dead ones.
    private static let sweepCount = 4
    /// Nanoseconds in a tick, as a shift: 16.8 ms. Ticks of 32 bits last for 2.2 years, then the cache begins anew.
    private static let tickShift: UInt64 = 24

    private let capacity: Int
    private let entriesMax: Int
    private let answerCostMax: Int
    private let fixedBytes: Int
    private let entries: UnsafeMutablePointer<Entry>
    /// Entries that were ever in use.
    private var entriesUsed = 0
    private var freeEntries: [UInt32] = []
    private let table: EntryTable
    private let memory: AnswerMemory
    private let policy: FrequencyFIFO
    private let life: AnswerLife
    private let staleTicks: UInt32
    /// Uptime of tick 0.
    private var origin: UInt64?
    /// Of the low 16 bits that entries hold of their generations.
    private var generationEra: UInt64 = 0
    private var sweepPlace = 0
    private var counts = ResultCacheStatistics()

    /// - Parameters:
    ///   - bytesMax: Bytes that entries, records and table may take; below 2 KiB nothing is ever kept.
    ///   - life: How lives are adapted.
    ///   - staleFor: Nanoseconds for which an answer may be shown after its life.
    package init(bytesMax: Int, life: AnswerLife = AnswerLife(), staleFor: UInt64 = 0) {
        let capacity = bytesMax < Self.bytesMin ? 0 : bytesMax
        self.capacity = capacity
        self.life = life
        staleTicks = UInt32(clamping: staleFor >> Self.tickShift)
        entriesMax = min(capacity / 256, 1 << 26)
        answerCostMax = min(capacity / 10, 1 << 19)
        entries = .allocate(capacity: max(1, entriesMax))
        table = EntryTable(entriesMax: entriesMax)
        memory = AnswerMemory(capacity: capacity)
        policy = FrequencyFIFO(
            capacity: capacity / Self.costUnit, entriesMax: entriesMax + 1, keysExpected: capacity / 384)
        fixedBytes = capacity == 0 ? 0 : table.byteCount + policy.byteCount
    }

    deinit {
        for index in 0..<entriesUsed where entries[index].block != nil { free(index) }
        entries.deallocate()
        table.deallocate()
    }

    package var statistics: ResultCacheStatistics {
        var result = counts
        result.bytes = bytes
        result.usedBytes = memory.usedBytes + counts.entryCount * Self.recordBytes
        result.admissions = policy.statistics.admitted
        result.rejections = policy.statistics.rejected
        return result
    }

    private var bytes: Int {
        capacity == 0
            ? 0 : fixedBytes + entriesUsed * Self.recordBytes + freeEntries.capacity * 4 + memory.bytes
    }

    /// The hash under which `key` is kept; computed once and passed to `answer` and `insert`.
    @inline(__always)
    package static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { XXH64.hash(key) }

    // MARK: Asking

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
        let hash = UInt32(truncatingIfNeeded: hash)
        let tick = ticks(now)
        guard let index = find(key, hash), let block = entries[index].block else {
            if capacity > 0 { policy.miss(hash: hash) }
            counts.misses += 1
            return nil
        }
        let entry = entries + index
        if let cause = unfitness(entry, block, generation, tick, wallSeconds, epochs, overlay) {
            policy.miss(hash: hash)
            counts.misses += 1
            counts.unfit[cause.rawValue] += 1
            return nil
        }
        counts.hits += 1
        policy.use(index)
        if entry.pointee.served < .max { entry.pointee.served += 1 }
        var answer = KeptAnswer(
            body: UnsafeRawBufferPointer(
                start: block + entry.pointee.keyOffset + Int(entry.pointee.keyCount), count: entry.pointee.valueCount),
            tag: entry.pointee.tag, generation: generation)
        if entry.pointee.expires <= tick {
            counts.staleHits += 1
            answer.isStale = true
            answer.wantsRefresh = entry.pointee.valueCountAndFlags & Flags.isRefreshing == 0
            entry.pointee.valueCountAndFlags |= Flags.isRefreshing
        }
        return answer
    }

    /// Whether there is an answer to `key` that is neither unfit nor too old. Counts nothing.
    package func isFresh(
        _ key: UnsafeRawBufferPointer, hash: UInt64, generation: UInt64, now: UInt64, wallSeconds: Int64 = 0,
        epochs: UserEpochs? = nil, overlay: ItemOverlay? = nil
    ) -> Bool {
        let tick = ticks(now)
        guard let index = find(key, UInt32(truncatingIfNeeded: hash)), let block = entries[index].block else {
            return false
        }
        return entries[index].expires > tick
            && unfitness(entries + index, block, generation, tick, wallSeconds, epochs, overlay) == nil
    }

    /// The newest word on the stale answer to `key` is that none is made: the next one who is shown it asks again.
    package func refreshFailed(_ key: UnsafeRawBufferPointer, hash: UInt64) {
        guard let index = find(key, UInt32(truncatingIfNeeded: hash)) else { return }
        entries[index].valueCountAndFlags &= ~Flags.isRefreshing
    }

    @inline(__always)
    private func unfitness(
        _ entry: UnsafeMutablePointer<Entry>, _ block: UnsafeMutableRawPointer, _ generation: UInt64, _ tick: UInt32,
        _ wallSeconds: Int64, _ epochs: UserEpochs?, _ overlay: ItemOverlay?
    ) -> ResultCacheStatistics.Unfitness? {
        if !isOf(generation, entry) { return .generation }
        if isPast(entry, tick) { return .expired }
        if let epochs, !epochs.isFit(entry.pointee.stamp) { return .epoch }
        if let overlay, !Self.isFit(entry, overlay) { return .items }
        if entry.pointee.hasSeconds, !Self.seconds(block).contains(wallSeconds) { return .window }
        return nil
    }

    @inline(__always)
    private func isOf(_ generation: UInt64, _ entry: UnsafeMutablePointer<Entry>) -> Bool {
        entry.pointee.generation == UInt16(truncatingIfNeeded: generation) && generation >> 16 == generationEra
    }

    /// Whether it is too old, also for one that is shown stale.
    @inline(__always)
    private func isPast(_ entry: UnsafeMutablePointer<Entry>, _ tick: UInt32) -> Bool {
        entry.pointee.expires <= tick && tick - entry.pointee.expires >= staleTicks
    }

    private static func seconds(_ block: UnsafeMutableRawPointer) -> ClosedRange<Int64> {
        let at = block + AnswerMemory.headerBytes
        let (from, to) = (
            at.loadUnaligned(as: Int64.self), at.loadUnaligned(fromByteOffset: 8, as: Int64.self)
        )
        return from...max(from, to)
    }

    /// Whether no item that the entry may show was changed since; takes note where there is none.
    ///
    /// - Complexity: O(changes since), which are bounded.
    @inline(__always)
    private static func isFit(_ entry: UnsafeMutablePointer<Entry>, _ overlay: ItemOverlay) -> Bool {
        if UInt64(entry.pointee.version) >= overlay.version { return true }
        guard overlay.shows(entry.pointee.shown, since: UInt64(entry.pointee.version)) else { return false }
        entry.pointee.version = UInt32(clamping: overlay.version)
        return true
    }

    // MARK: Keeping

    /// Keeps `value` as the answer to `key`, in place of what was kept before.
    ///
    /// - Parameters:
    ///   - now: Uptime in nanoseconds.
    ///   - longest: Nanoseconds for which the answer may be shown, at most.
    ///   - epochs: Of the users; an answer whose stamp is not fit is not kept.
    /// - Complexity: O(1) amortised; allocates where a chunk is full.
    package func insert(
        _ value: UnsafeRawBufferPointer, for key: UnsafeRawBufferPointer, hash: UInt64, generation: UInt64,
        now: UInt64, longest: UInt64, seconds: ClosedRange<Int64> = Slate.always,
        stamp: UserEpochs.Stamp = .nobody, epochs: UserEpochs? = nil, version: UInt64 = 0,
        shown: ShownSketch = ShownSketch(), tag: UInt16 = 0
    ) {
        let hasSeconds = seconds != Slate.always
        let bytes = (hasSeconds ? 16 : 0) + key.count + value.count
        guard key.count <= UInt16.max, value.count < 1 << 24, memory.blockBytes(bytes) <= answerCostMax,
            version < UInt32.max, epochs.map({ $0.isFit(stamp) }) ?? true
        else {
            counts.refusals += 1
            return
        }
        if generation >> 16 != generationEra {
            removeAll()
            generationEra = generation >> 16
        }
        let tick = ticks(now)
        let hash = UInt32(truncatingIfNeeded: hash)
        var life = longest
        let index: Int
        let cost = (Self.recordBytes + 8 + memory.blockBytes(bytes) + Self.costUnit - 1) / Self.costUnit
        if let known = find(key, hash) {
            // A newer answer takes the place of the old one and its place in the queue.
            let old = entries[known]
            life = self.life.life(
                longest: longest, age: UInt64(tick - min(tick, old.made)) << Self.tickShift, served: Int(old.served))
            index = known
            free(index)
            policy.change(index, cost: cost)
        } else {
            sweep(generation, tick, epochs)
            index = takeEntry()
            policy.insert(index, hash: hash, cost: cost)
            table.insert(index, hash: hash)
            counts.entryCount += 1
        }
        counts.insertions += 1
        let block = memory.allocate(bytes, owner: index)
        var at = block + AnswerMemory.headerBytes
        if hasSeconds {
            at.storeBytes(of: seconds.lowerBound, as: Int64.self)
            at.storeBytes(of: seconds.upperBound, toByteOffset: 8, as: Int64.self)
            at += 16
        }
        if let source = key.baseAddress { at.copyMemory(from: source, byteCount: key.count) }
        if let source = value.baseAddress { (at + key.count).copyMemory(from: source, byteCount: value.count) }
        let (expires, isForever) = tick.addingReportingOverflow(UInt32(clamping: life >> Self.tickShift))
        entries[index] = Entry(
            block: block, shown: shown, stamp: stamp, made: tick, expires: isForever ? .max : expires,
            version: UInt32(version), valueCountAndFlags: UInt32(value.count) | (hasSeconds ? Flags.hasSeconds : 0),
            generation: UInt16(truncatingIfNeeded: generation), keyCount: UInt16(key.count), tag: tag, served: 0)
        while self.bytes > capacity, let victim = policy.evict() { forget(victim, .room) }
    }

    /// A time as ticks; never goes back.
    private func ticks(_ now: UInt64) -> UInt32 {
        let since = (now &- (origin ?? now)) >> Self.tickShift
        if origin == nil || since >= UInt64(UInt32.max) / 2 && now > origin ?? 0 {
            // The first look at the clock, or one after a year: ticks begin anew, a day before now.
            removeAll()
            let day: UInt64 = 86_400_000_000_000
            origin = now > day ? now - day : 0
            return UInt32(truncatingIfNeeded: (now - (origin ?? 0)) >> Self.tickShift)
        }
        return now < origin ?? 0 ? 0 : UInt32(truncatingIfNeeded: since)
    }

    /// Looks at some entries, in turns, and drops those that can never be shown again.
    private func sweep(_ generation: UInt64, _ tick: UInt32, _ epochs: UserEpochs?) {
        for _ in 0..<min(Self.sweepCount, entriesUsed) {
            sweepPlace = sweepPlace + 1 < entriesUsed ? sweepPlace + 1 : 0
            let entry = entries + sweepPlace
            guard entry.pointee.block != nil else { continue }
            if let epochs, !epochs.isFit(entry.pointee.stamp) {
                drop(sweepPlace, .epoch)
            } else if !isOf(generation, entry) {
                drop(sweepPlace, .generation)
            } else if isPast(entry, tick) {
                drop(sweepPlace, .expired)
            }
        }
    }

    private func takeEntry() -> Int {
        if let free = freeEntries.popLast() { return Int(free) }
        if entriesUsed == entriesMax, let victim = policy.evict() {
            forget(victim, .room)
            if let free = freeEntries.popLast() { return Int(free) }
        }
        entriesUsed += 1
        // Free, until it is filled.
        entries[entriesUsed - 1].block = nil
        return entriesUsed - 1
    }

    private func drop(_ index: Int, _ cause: ResultCacheStatistics.Departure) {
        policy.remove(index)
        forget(index, cause)
    }

    /// The policy has forgotten it already.
    private func forget(_ index: Int, _ cause: ResultCacheStatistics.Departure) {
        table.remove(index, hash: policy.hash(of: index)) { policy.hash(of: $0) }
        free(index)
        freeEntries.append(UInt32(index))
        counts.entryCount -= 1
        counts.evictions[cause.rawValue] += 1
    }

    /// Gives an entry's memory back.
    private func free(_ index: Int) {
        guard let block = entries[index].block else { return }
        let bytes = entries[index].blockBytes
        entries[index].block = nil
        memory.free(block, bytes) { owner, block in entries[owner].block = block }
    }

    /// Forgets everything.
    package func removeAll() {
        for index in 0..<entriesUsed where entries[index].block != nil { drop(index, .generation) }
    }

    @inline(__always)
    private func find(_ key: UnsafeRawBufferPointer, _ hash: UInt32) -> Int? {
        table.find(hash) { index in
            let entry = entries + index
            guard Int(entry.pointee.keyCount) == key.count, let block = entry.pointee.block else { return false }
            return UnsafeRawBufferPointer(start: block + entry.pointee.keyOffset, count: key.count)
                .elementsEqualBytes(key)
        }
    }

    // MARK: Active keys

    /// The next entries' keys, for those who want to ask for them again.
    ///
    /// - Parameters:
    ///   - place: Where to go on; 0 begins.
    ///   - count: Entries to look at.
    ///   - take: Is given a key and how often it was asked for of late, at most 15.
    /// - Returns: Where to go on; nil: those were all.
    package func forEachKey(
        from place: Int, count: Int, _ take: (UnsafeRawBufferPointer, _ frequency: Int) -> Void
    ) -> Int? {
        let end = min(entriesUsed, place + count)
        for index in place..<max(place, end) {
            guard let block = entries[index].block else { continue }
            take(
                UnsafeRawBufferPointer(
                    start: block + entries[index].keyOffset, count: Int(entries[index].keyCount)),
                policy.frequency(of: index))
        }
        return end < entriesUsed ? end : nil
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
