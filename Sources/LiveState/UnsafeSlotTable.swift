import CMalloc
import Glibc

/// The users of one slot: an open-addressing table with linear probing, at most four fifths full.
///
/// ```
/// hash      XXH64(user ID, seed 0); its lowest 14 bits are the slot
/// word      fingerprint (bits 14-29 of the hash) << 48 | address of the user's blob | used lately (bit 0); 0 = free
/// home      fingerprint * capacity >> 16, then the next places, wrapping around
/// ```
/// A user is found by its fingerprint in one or two cache lines of words, and then compared in its blob. Addresses take 48
/// bits, and `malloc` gives multiples of 16, so both ends are free.
struct SlotTable {
    private(set) var words: UnsafeMutablePointer<UInt64>?
    private var places: UInt32 = 0
    private var users: UInt32 = 0

    private(set) var capacity: Int {
        get { Int(places) }
        set { places = UInt32(newValue) }
    }
    private(set) var count: Int {
        get { Int(users) }
        set { users = UInt32(newValue) }
    }

    private static let addressMask: UInt64 = 0x0000_FFFF_FFFF_FFF0
    private static let usedBit: UInt64 = 1

    init() {}

    /// As allocated.
    var bytes: Int { words.map { malloc_usable_size($0) } ?? 0 }

    @inline(__always)
    private static func fingerprint(_ hash: UInt64) -> UInt64 { hash >> 14 & 0xFFFF }

    @inline(__always)
    private func home(_ word: UInt64) -> Int { Int(word >> 48) * capacity >> 16 }

    /// Where the blob of the user at `place` lies; nil where there is none.
    @inline(__always)
    func blob(at place: Int) -> UnsafeMutableRawPointer? {
        guard let words, place < capacity else { return nil }
        return UnsafeMutableRawPointer(bitPattern: UInt(words[place] & Self.addressMask))
    }

    /// The place of a user; nil where it has no state.
    @inline(__always)
    func find(_ id: UnsafeRawBufferPointer, hash: UInt64) -> Int? {
        guard let words, let wanted = id.baseAddress else { return nil }
        let fingerprint = Self.fingerprint(hash)
        var place = Int(fingerprint) * capacity >> 16
        while true {
            let word = words[place]
            if word == 0 { return nil }
            if word >> 48 == fingerprint, let base = UnsafeRawPointer(bitPattern: UInt(word & Self.addressMask)) {
                let count = Int(base.load(fromByteOffset: 43, as: UInt8.self))
                if count == id.count, memcmp(base + UserBlob.headerBytes, wanted, count) == 0 { return place }
            }
            place += 1
            if place == capacity { place = 0 }
        }
    }

    @inline(__always)
    func markUsed(_ place: Int) { words?[place] |= Self.usedBit }

    /// Whether the user at `place` was used since the last look.
    func takeUsed(_ place: Int) -> Bool {
        guard let words, words[place] & Self.usedBit != 0 else { return false }
        words[place] &= ~Self.usedBit
        return true
    }

    /// A user's blob has moved.
    func relocate(from old: UnsafeMutableRawPointer, to new: UnsafeMutableRawPointer, hash: UInt64) {
        guard let words else { return }
        let wanted = Self.fingerprint(hash) << 48 | Self.address(old)
        var place = home(wanted)
        while words[place] & ~Self.usedBit != wanted {
            precondition(words[place] != 0, "a user's state is in no table")
            place += 1
            if place == capacity { place = 0 }
        }
        words[place] = words[place] & ~Self.addressMask | Self.address(new)
    }

    private static func address(_ blob: UnsafeMutableRawPointer) -> UInt64 {
        let address = UInt64(UInt(bitPattern: blob))
        precondition(address & ~addressMask == 0, "an allocation at \(blob) does not fit into 48 bits")
        return address
    }

    /// Places of a table that so many users came to.
    private static func places(users: Int) -> Int {
        if users == 0 { return 0 }
        var capacity = usable(8)
        while users * 5 > capacity * 4 { capacity = usable(capacity * 3 / 2) }
        return capacity
    }

    /// The same of one table of many, where users have their table by chance: `mean` to a table (Poisson).
    static func places(mean: Double) -> Double {
        guard mean > 0 else { return 0 }
        let spread = 8 * mean.squareRoot() + 12
        var places = 0.0
        for users in Int(max(0, mean - spread))...Int(mean + spread) {
            let chance = exp(Double(users) * log(mean) - mean - lgamma(Double(users) + 1))
            places += chance * Double(Self.places(users: users))
        }
        return places
    }

    /// Places that `malloc` gives for so many.
    private static func usable(_ places: Int) -> Int {
        // The sizes of jemalloc, as of glibc nearly: four to a doubling.
        let bytes = places * 8
        guard bytes > 128 else { return (bytes + 15) / 16 * 2 }
        let step = (1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount)) / 4
        return (bytes + step - 1) / step * step / 8
    }

    /// Adds a user that is not there.
    mutating func insert(_ blob: UnsafeMutableRawPointer, hash: UInt64, used: Bool) {
        if (count + 1) * 5 > capacity * 4 { rehash(capacity: max(8, capacity * 3 / 2)) }
        count += 1
        put(Self.fingerprint(hash) << 48 | Self.address(blob) | (used ? Self.usedBit : 0))
    }

    private func put(_ word: UInt64) {
        guard let words else { preconditionFailure("a table without places") }
        var place = home(word)
        while words[place] != 0 {
            place += 1
            if place == capacity { place = 0 }
        }
        words[place] = word
    }

    /// Takes a user out; those behind it close the gap. Its blob is the caller's.
    mutating func remove(at place: Int) {
        guard let words else { return }
        var gap = place
        var next = place
        while true {
            next += 1
            if next == capacity { next = 0 }
            let word = words[next]
            if word == 0 { break }
            // The word may move into the gap unless its home lies behind the gap.
            let fromHome = next - home(word) + (next < home(word) ? capacity : 0)
            let fromGap = next - gap + (next < gap ? capacity : 0)
            if fromHome >= fromGap {
                words[gap] = word
                gap = next
            }
        }
        words[gap] = 0
        count -= 1
        if count == 0 {
            free()
        } else if capacity > 16, count * 4 < capacity {
            rehash(capacity: capacity / 2)
        }
    }

    /// Makes the table anew with `capacity` places or some more, as the allocator gives memory.
    private mutating func rehash(capacity wanted: Int) {
        let old = words
        let oldCapacity = capacity
        guard let memory = malloc(wanted * 8) else { preconditionFailure("no memory: \(wanted * 8) bytes for users") }
        capacity = malloc_usable_size(memory) / 8
        let new = memory.bindMemory(to: UInt64.self, capacity: capacity)
        new.update(repeating: 0, count: capacity)
        words = new
        if let old {
            for place in 0..<oldCapacity where old[place] != 0 { put(old[place]) }
            Glibc.free(old)
        }
    }

    /// Frees the table, not the blobs.
    mutating func free() {
        Glibc.free(words)
        self = SlotTable()
    }
}
