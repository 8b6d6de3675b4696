import Glibc
import Vocabulary

/// Tells events that came before from new ones, by the IDs that their senders gave them.
///
/// Knows the last `capacity` different events of a shard, and forgets the oldest for each new one. An event is known by a
/// hash of 64 bits over user and event ID: of 2^64 / `capacity` new events (for a million: 2 * 10^13), one is taken for an
/// old one.
/// ```
/// ring    capacity hashes, in the order of their coming
/// table   2^k >= 2 * capacity places of u32: place in the ring + 1, or 0; home: lowest k bits of the hash; linear probing
/// ```
/// 16 to 24 bytes an event, touched as they are used. One thread at a time.
package final class RecentEvents {
    /// An event's hash.
    package struct Key: Hashable, Sendable {
        let hash: UInt64
    }

    package let capacity: Int
    /// Changes which events have equal hashes; nobody outside should know it.
    package private(set) var seed: UInt64
    package private(set) var count = 0

    private let ring: UnsafeMutablePointer<UInt64>
    private let table: UnsafeMutablePointer<UInt32>
    private let mask: Int
    /// The oldest, once the ring is full; else where the next goes.
    private var next = 0

    /// - Parameters:
    ///   - capacity: `1...2^28`.
    ///   - seed: A random number; loading takes the stored one.
    /// - Throws: `invalidConfiguration`.
    package init(capacity: Int = 1 << 20, seed: UInt64) throws(LiveStateError) {
        guard (1...(1 << 28)).contains(capacity) else {
            throw LiveStateError(
                .invalidConfiguration, "\(capacity) recent events are to be known; allowed: 1 to \(1 << 28)")
        }
        self.capacity = capacity
        self.seed = seed
        var places = 2
        while places < 2 * capacity { places *= 2 }
        mask = places - 1
        // Zero pages: nothing is in memory before it is used.
        guard let ring = calloc(capacity, 8), let table = calloc(places, 4) else {
            preconditionFailure("no memory for \(capacity) recent events")
        }
        self.ring = ring.bindMemory(to: UInt64.self, capacity: capacity)
        self.table = table.bindMemory(to: UInt32.self, capacity: places)
    }

    deinit {
        free(ring)
        free(table)
    }

    /// As allocated; memory that was not used yet included.
    package var bytes: Int { capacity * 8 + (mask + 1) * 4 }

    /// Of them, what was touched by now, about.
    package var residentBytes: Int { Self.residentBytes(events: count, capacity: capacity) }

    /// What so many events touch: the ring front to back, the table here and there.
    package static func residentBytes(events: Int, capacity: Int) -> Int {
        var places = 2
        while places < 2 * capacity { places *= 2 }
        let known = min(events, capacity)
        let pages = Double(places * 4) / 4096
        let touched = pages * (1 - exp(-Double(known) / max(1, pages)))
        return (known * 8 + 4095) / 4096 * 4096 + Int(touched.rounded()) * 4096
    }

    /// - Complexity: O(bytes).
    package func key(user: UnsafeRawBufferPointer, event: UnsafeRawBufferPointer) -> Key {
        Key(hash: XXH64.hash(event, seed: XXH64.hash(user, seed: seed)))
    }

    package func contains(_ key: Key) -> Bool {
        var place = home(key.hash)
        while table[place] != 0 {
            if ring[Int(table[place]) - 1] == key.hash { return true }
            place = (place + 1) & mask
        }
        return false
    }

    /// Remembers an event.
    ///
    /// - Returns: Whether it is new; one that is known keeps its place among the others.
    /// - Complexity: O(1).
    @discardableResult
    package func insert(_ key: Key) -> Bool {
        if contains(key) { return false }
        if count == capacity { forget(next) } else { count += 1 }
        ring[next] = key.hash
        var place = home(key.hash)
        while table[place] != 0 { place = (place + 1) & mask }
        table[place] = UInt32(next + 1)
        next = next + 1 == capacity ? 0 : next + 1
        return true
    }

    private func home(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & mask }

    /// Takes a place of the ring out of the table; those behind it close the gap.
    private func forget(_ old: Int) {
        var gap = home(ring[old])
        while Int(table[gap]) != old + 1 { gap = (gap + 1) & mask }
        var place = gap
        while true {
            place = (place + 1) & mask
            let entry = Int(table[place])
            if entry == 0 { break }
            // It may move into the gap unless its home lies behind the gap.
            if (place - home(ring[entry - 1])) & mask >= (place - gap) & mask {
                table[gap] = UInt32(entry)
                gap = place
            }
        }
        table[gap] = 0
    }

    // MARK: As bytes

    private static let mark: UInt32 = 0x4552_4C4D
    private static let version: UInt32 = 1
    private static let headerBytes = 24

    /// Appends everything to `bytes`: `"MLRE"`, u32 version 1, u64 seed, u64 events, then their hashes, oldest first; all
    /// little-endian. Whoever stores them adds a checksum.
    package func serialise(into bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + Self.headerBytes + count * 8)
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(Self.mark)
        append(Self.version)
        append(seed)
        append(UInt64(count))
        let first = count == capacity ? next : 0
        for number in 0..<count { append(ring[(first + number) % capacity]) }
    }

    /// Takes everything from bytes of `serialise`, in the place of what is known. Of more than `capacity` events, the newest.
    ///
    /// - Throws: `malformed`, `newerFormat`; nothing is changed then, but where an event is there twice: then nothing is known.
    package func load(_ bytes: UnsafeRawBufferPointer) throws(LiveStateError) {
        guard bytes.count >= Self.headerBytes, bytes.loadUnaligned(as: UInt32.self) == Self.mark else {
            throw LiveStateError(.malformed, "these are not recent events")
        }
        let version = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        guard version == Self.version else {
            throw LiveStateError(
                version > Self.version ? .newerFormat : .malformed,
                "recent events of version \(version); this program reads version \(Self.version)")
        }
        let wanted = bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        let there = (bytes.count - Self.headerBytes) / 8
        guard wanted == UInt64(there), bytes.count == Self.headerBytes + there * 8 else {
            throw LiveStateError(.malformed, "\(bytes.count) bytes for \(wanted) recent events")
        }
        clear()
        seed = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        for number in max(0, there - capacity)..<there {
            let hash = bytes.loadUnaligned(fromByteOffset: Self.headerBytes + number * 8, as: UInt64.self)
            guard insert(Key(hash: hash)) else {
                clear()
                throw LiveStateError(.malformed, "recent event \(number) is there twice")
            }
        }
    }

    /// The same, from an array.
    package func load(_ bytes: [UInt8]) throws(LiveStateError) {
        let result = bytes.withUnsafeBytes { bytes -> Result<Void, LiveStateError> in
            do throws(LiveStateError) { return .success(try load(bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }

    /// Adds what bytes of `serialise` know, as later events than those that are known; of equal seeds only.
    ///
    /// - Throws: as `load`; nothing is changed then.
    package func add(_ bytes: [UInt8]) throws(LiveStateError) {
        let other = try RecentEvents(capacity: max(1, bytes.count / 8), seed: seed)
        try other.load(bytes)
        guard other.seed == seed else { throw LiveStateError(.malformed, "recent events of another seed") }
        for number in 0..<other.count { _ = insert(Key(hash: other.ring[number])) }
    }

    private func clear() {
        memset(table, 0, (mask + 1) * 4)
        (count, next) = (0, 0)
    }
}
