import Glibc
import Synchronization
import Vocabulary

/// The numbers of items: each item ID that an event named has one, from 0 on, and keeps it, whichever model is served.
///
/// One for a node. Any thread looks up without a lock; a thread that adds takes one. IDs and numbers are never taken back:
/// where `countMax` or 4 GiB of IDs are reached, new items are refused and counted.
/// ```
/// hash     XXH64(ID, seed 0);  table: 2^k places of u32, at most three quarters taken
/// place    hash >> (64 - k), then the next ones, wrapping around
/// entry    lowest 32 - k bits of the hash << k | (number + 1); 0 = free
/// offsets  chunks of 65536 u32, by number: where the ID is
/// IDs      blocks of 1 MiB: u8 length, bytes; none crosses into the next block
/// ```
/// A table that is full is followed by one of twice the size; the old ones (as large as the new one together) stay until
/// the end, because a reader may be in them.
///
/// `@unchecked Sendable`: readers see a number in the table (acquired) or below `published` (acquired) only after everything
/// about it was written (released), and nothing of that changes later. Writers hold `writer`.
package final class ItemNumbers: @unchecked Sendable {
    /// Items at most.
    package let countMax: Int
    /// Bytes of IDs at most, in blocks.
    private static let blockBytes = 1 << 20
    private static let blocksMax = 4096
    private static let chunkCount = 1 << 16

    private struct Writer: Sendable {
        /// Behind the last ID.
        var end = 0
        /// Addresses of all tables, the present one last.
        var tables: [UInt] = []
        var bytes = 0
    }

    private let writer = Mutex(Writer())
    private let published = Atomic<Int>(0)
    private let refusals = Atomic<Int>(0)
    private let table: Atomic<UnsafeMutableRawPointer?>
    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<UInt32>?>
    private let blocks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let chunksMax: Int

    /// - Throws: `invalidConfiguration`.
    package init(countMax: Int = 50_000_000) throws(LiveStateError) {
        guard (1...1_000_000_000).contains(countMax) else {
            throw LiveStateError(
                .invalidConfiguration, "at most \(countMax) numbers of items; allowed: 1 to 1000000000")
        }
        self.countMax = countMax
        chunksMax = (countMax + Self.chunkCount - 1) / Self.chunkCount
        chunks = .allocate(capacity: chunksMax)
        chunks.initialize(repeating: nil, count: chunksMax)
        blocks = .allocate(capacity: Self.blocksMax)
        blocks.initialize(repeating: nil, count: Self.blocksMax)
        let first = NumberTable.make(bits: 10)
        table = Atomic(first)
        let address = UInt(bitPattern: first)
        writer.withLock { [chunksMax] writer in
            writer.tables.append(address)
            writer.bytes = NumberTable.bytes(bits: 10) + (chunksMax + Self.blocksMax) * 8
        }
    }

    deinit {
        writer.withLock { writer in
            for table in writer.tables { free(UnsafeMutableRawPointer(bitPattern: table)) }
        }
        for place in 0..<chunksMax { chunks[place]?.deallocate() }
        for place in 0..<Self.blocksMax { blocks[place]?.deallocate() }
        chunks.deallocate()
        blocks.deallocate()
    }

    /// Items that have numbers: `0..<count`.
    package var count: Int { published.load(ordering: .acquiring) }
    /// How often an item was refused a number.
    package var refused: Int { refusals.load(ordering: .relaxed) }
    /// As allocated.
    package var bytes: Int { writer.withLock { $0.bytes } }

    /// What so many items take whose IDs have so many bytes: the IDs, where each is, and all tables up to the present one.
    package static func byteCount(items: Int, idBytes: Double, countMax: Int) -> Int {
        let ids = Int(Double(items) * (idBytes + 1))
        var bits = 10
        var tables = NumberTable.bytes(bits: bits)
        while items * 4 > (1 << bits) * 3 {
            bits += 1
            tables += NumberTable.bytes(bits: bits)
        }
        let chunks = (items + chunkCount - 1) / chunkCount
        let heads = ((countMax + chunkCount - 1) / chunkCount + blocksMax) * 8
        return (ids + blockBytes - 1) / blockBytes * blockBytes + tables + chunks * chunkCount * 4 + heads
    }

    /// The number of an item; nil where it has none.
    ///
    /// - Complexity: O(1): three cache misses in a large table; no lock.
    package func number(of id: UnsafeRawBufferPointer) -> UInt32? {
        find(id, hash: XXH64.hash(id))
    }

    /// The number of an item, a new one where it has none; nil where there are too many.
    ///
    /// - Precondition: `id` has 1 to 255 bytes of UTF-8.
    package func numberAdding(_ id: UnsafeRawBufferPointer) -> UInt32? {
        precondition((1...Identity.bytesMax).contains(id.count), "an item ID of \(id.count) bytes")
        let hash = XXH64.hash(id)
        if let number = find(id, hash: hash) { return number }
        let number: UInt32? = writer.withLock { writer in
            // Another may have been quicker.
            if let number = find(id, hash: hash) { return number }
            return add(id, hash: hash, &writer)
        }
        if number == nil { refusals.add(1, ordering: .relaxed) }
        return number
    }

    /// The same, of texts.
    package func number(of id: String) -> UInt32? {
        var id = id
        return id.withUTF8 { number(of: UnsafeRawBufferPointer($0)) }
    }

    /// The same, of texts.
    package func numberAdding(_ id: String) -> UInt32? {
        var id = id
        return id.withUTF8 { numberAdding(UnsafeRawBufferPointer($0)) }
    }

    /// The UTF-8 bytes of an item's ID, valid while this object lives; nil where no item has the number.
    package func id(_ number: UInt32) -> UnsafeRawBufferPointer? {
        Int(number) < count ? storedID(number) : nil
    }

    // MARK: Inside

    private func storedID(_ number: UInt32) -> UnsafeRawBufferPointer? {
        guard let chunk = chunks[Int(number) / Self.chunkCount] else { return nil }
        let offset = Int(chunk[Int(number) % Self.chunkCount])
        guard let block = blocks[offset / Self.blockBytes] else { return nil }
        let place = UnsafeRawPointer(block) + offset % Self.blockBytes
        return UnsafeRawBufferPointer(start: place + 1, count: Int(place.load(as: UInt8.self)))
    }

    private func find(_ id: UnsafeRawBufferPointer, hash: UInt64) -> UInt32? {
        guard let address = id.baseAddress, let memory = table.load(ordering: .acquiring) else { return nil }
        let table = NumberTable(memory)
        var place = table.home(hash)
        while true {
            let entry = table.places[place].load(ordering: .acquiring)
            if entry == 0 { return nil }
            if table.mayBe(entry, hash) {
                let number = table.number(entry)
                if let stored = storedID(number), stored.count == id.count, let start = stored.baseAddress,
                    memcmp(start, address, id.count) == 0
                {
                    return number
                }
            }
            place = table.next(place)
        }
    }

    private func add(_ id: UnsafeRawBufferPointer, hash: UInt64, _ writer: inout Writer) -> UInt32? {
        let count = published.load(ordering: .relaxed)
        guard count < countMax, let offset = store(id, &writer) else { return nil }
        let chunk = chunks[count / Self.chunkCount] ?? makeChunk(count / Self.chunkCount, &writer)
        chunk[count % Self.chunkCount] = UInt32(offset)
        guard var memory = table.load(ordering: .relaxed) else { return nil }
        if (count + 1) * 4 > NumberTable(memory).count * 3 {
            memory = grown(NumberTable(memory), count: count, &writer)
            table.store(memory, ordering: .releasing)
        }
        published.store(count + 1, ordering: .releasing)
        NumberTable(memory).insert(UInt32(count), hash)
        return UInt32(count)
    }

    private func makeChunk(_ place: Int, _ writer: inout Writer) -> UnsafeMutablePointer<UInt32> {
        let chunk = UnsafeMutablePointer<UInt32>.allocate(capacity: Self.chunkCount)
        chunks[place] = chunk
        writer.bytes += Self.chunkCount * 4
        return chunk
    }

    /// Where the ID stands now; nil where no more fit.
    private func store(_ id: UnsafeRawBufferPointer, _ writer: inout Writer) -> Int? {
        var offset = writer.end
        if offset % Self.blockBytes + 1 + id.count > Self.blockBytes {
            offset += Self.blockBytes - offset % Self.blockBytes
        }
        let number = offset / Self.blockBytes
        guard number < Self.blocksMax, let source = id.baseAddress else { return nil }
        let block: UnsafeMutableRawPointer
        if let old = blocks[number] {
            block = old
        } else {
            block = .allocate(byteCount: Self.blockBytes, alignment: 16)
            blocks[number] = block
            writer.bytes += Self.blockBytes
        }
        let place = block + offset % Self.blockBytes
        place.storeBytes(of: UInt8(id.count), as: UInt8.self)
        (place + 1).copyMemory(from: source, byteCount: id.count)
        writer.end = offset + 1 + id.count
        return offset
    }

    private func grown(_ old: NumberTable, count: Int, _ writer: inout Writer) -> UnsafeMutableRawPointer {
        let memory = NumberTable.make(bits: old.bits + 1)
        let new = NumberTable(memory)
        for number in 0..<count {
            if let id = storedID(UInt32(number)) { new.insert(UInt32(number), XXH64.hash(id)) }
        }
        writer.tables.append(UInt(bitPattern: memory))
        writer.bytes += NumberTable.bytes(bits: new.bits)
        return memory
    }
}

/// A table of numbers: its size, and 64 bytes behind its start its places.
private struct NumberTable {
    let bits: Int
    let places: UnsafeMutablePointer<Atomic<UInt32>>

    private static let headBytes = 64

    static func bytes(bits: Int) -> Int { headBytes + 4 << bits }

    static func make(bits: Int) -> UnsafeMutableRawPointer {
        precondition(bits <= 31, "a table of 2^\(bits) numbers")
        guard let memory = calloc(1, bytes(bits: bits)) else { preconditionFailure("no memory for 2^\(bits) numbers") }
        memory.storeBytes(of: bits, as: Int.self)
        // Zero bytes are an atomic zero.
        (memory + headBytes).bindMemory(to: Atomic<UInt32>.self, capacity: 1 << bits)
        return memory
    }

    init(_ memory: UnsafeMutableRawPointer) {
        bits = memory.load(as: Int.self)
        places = (memory + Self.headBytes).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    var count: Int { 1 << bits }
    func home(_ hash: UInt64) -> Int { Int(hash >> UInt64(64 - bits)) }
    func next(_ place: Int) -> Int { (place + 1) & (count - 1) }
    func number(_ entry: UInt32) -> UInt32 { entry & (1 << UInt32(bits) - 1) - 1 }
    func mayBe(_ entry: UInt32, _ hash: UInt64) -> Bool {
        entry >> UInt32(bits) == UInt32(truncatingIfNeeded: hash) & (.max >> UInt32(bits))
    }

    func insert(_ number: UInt32, _ hash: UInt64) {
        var place = home(hash)
        while places[place].load(ordering: .relaxed) != 0 { place = next(place) }
        places[place].store(UInt32(truncatingIfNeeded: hash) << UInt32(bits) | (number + 1), ordering: .releasing)
    }
}
