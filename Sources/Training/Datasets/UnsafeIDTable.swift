import Vocabulary

/// IDs numbered in order of first appearance: records in one arena, found through an open-addressing table.
///
/// ```
/// arena   row u32 | length u8 | bytes ...   one record per ID, one after the other
/// starts  [0, 7, ...]                       where the record of a row starts
/// slots   tag (24 bits) | record + 1 (40 bits), 2^n places, at most half of them taken; 0 = free
/// ```
/// A lookup touches one slot and one record: two cache misses where the table is larger than the cache, not three.
package struct IDTable: Sendable {
    private var arena: [UInt8] = []
    private var starts: [Int] = []
    private var slots = [UInt64](repeating: 0, count: 1 << 10)

    private static let headerBytes = 5
    private static let recordBits: UInt64 = 40
    private static let recordMask: UInt64 = (1 << 40) - 1

    /// The largest number of IDs: rows are `UInt32`, and row + 1 has to fit too.
    package static let countMax = Int(UInt32.max) - 1

    package init() {}

    /// How many IDs there are: rows are `0..<count`.
    package var count: Int { starts.count }

    /// The row of `id`, which is added when it is new.
    ///
    /// - Returns: The row, or nil when `admit` turned the new ID away or the table is full.
    @inline(__always)
    mutating func intern(
        _ id: UnsafeBufferPointer<UInt8>, admit: (UnsafeBufferPointer<UInt8>) -> Bool
    ) -> UInt32? {
        let hash = XXH64.hash(UnsafeRawBufferPointer(id))
        let (found, place) = find(id, hash)
        if let found { return found }
        guard count < IDTable.countMax, admit(id) else { return nil }
        return append(id, hash, place)
    }

    /// The row of `id`, which is added when it is new. For IDs known to be good.
    package mutating func intern(_ id: String) -> UInt32 {
        var id = id
        let row = id.withUTF8 { bytes in intern(bytes) { _ in true } }
        precondition(row != nil, "more than \(IDTable.countMax) IDs")
        return row ?? 0
    }

    /// The row of `id`, or nil when it is not in the table.
    package func row(of id: UnsafeBufferPointer<UInt8>) -> UInt32? {
        find(id, XXH64.hash(UnsafeRawBufferPointer(id))).row
    }

    /// The row of `id`, or nil when it is not in the table.
    package func row(of id: String) -> UInt32? {
        var id = id
        return id.withUTF8 { row(of: $0) }
    }

    /// The ID of `row` as text.
    package func string(_ row: UInt32) -> String {
        withBytes(of: row) { String(decoding: $0, as: UTF8.self) }
    }

    /// Calls `body` with the bytes of the ID of `row`, which are valid only inside.
    package func withBytes<R>(of row: UInt32, _ body: (UnsafeBufferPointer<UInt8>) throws -> R) rethrows -> R {
        let start = starts[Int(row)]
        return try arena.withUnsafeBufferPointer { arena in
            let first = start + IDTable.headerBytes
            return try body(UnsafeBufferPointer(rebasing: arena[first..<first + Int(arena[start + 4])]))
        }
    }

    /// XXH64 of the ID of `row`: the same wherever and whenever the ID is met.
    package func hash(_ row: UInt32) -> UInt64 {
        withBytes(of: row) { XXH64.hash(UnsafeRawBufferPointer($0)) }
    }

    /// Whether the ID of row `a` comes before the ID of row `b` in byte order.
    package func precedes(_ a: UInt32, _ b: UInt32) -> Bool {
        withBytes(of: a) { a in
            withBytes(of: b) { b in
                for i in 0..<min(a.count, b.count) where a[i] != b[i] { return a[i] < b[i] }
                return a.count < b.count
            }
        }
    }

    @inline(__always)
    private func find(_ id: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> (row: UInt32?, place: Int) {
        let mask = slots.count - 1
        let tag = hash >> IDTable.recordBits
        var place = Int(truncatingIfNeeded: hash) & mask
        return slots.withUnsafeBufferPointer { slots in
            arena.withUnsafeBytes { arena in
                while true {
                    let entry = slots[place]
                    if entry == 0 { return (nil, place) }
                    if entry >> IDTable.recordBits == tag,
                        let row = IDTable.row(arena, Int(entry & IDTable.recordMask) - 1, id)
                    {
                        return (row, place)
                    }
                    place = (place + 1) & mask
                }
            }
        }
    }

    /// The row in the record at `start` if it is that of `id`.
    @inline(__always)
    private static func row(
        _ arena: UnsafeRawBufferPointer, _ start: Int, _ id: UnsafeBufferPointer<UInt8>
    ) -> UInt32? {
        guard Int(arena[start + 4]) == id.count else { return nil }
        let first = start + headerBytes
        for i in 0..<id.count where arena[first + i] != id[i] { return nil }
        return arena.loadUnaligned(fromByteOffset: start, as: UInt32.self)
    }

    private mutating func append(_ id: UnsafeBufferPointer<UInt8>, _ hash: UInt64, _ place: Int) -> UInt32 {
        precondition(id.count <= Identity.bytesMax, "an ID of \(id.count) bytes")
        let row = UInt32(count)
        let start = arena.count
        withUnsafeBytes(of: row) { arena.append(contentsOf: $0) }
        arena.append(UInt8(id.count))
        arena.append(contentsOf: id)
        starts.append(start)
        slots[place] = (hash & ~IDTable.recordMask) | UInt64(start + 1)
        if count * 2 > slots.count { grow() }
        return row
    }

    private mutating func grow() {
        var larger = [UInt64](repeating: 0, count: slots.count * 2)
        let mask = larger.count - 1
        for (row, start) in starts.enumerated() {
            let hash = hash(UInt32(row))
            var place = Int(truncatingIfNeeded: hash) & mask
            while larger[place] != 0 { place = (place + 1) & mask }
            larger[place] = (hash & ~IDTable.recordMask) | UInt64(start + 1)
        }
        slots = larger
    }
}

extension IDTable: Equatable {
    /// The same IDs in the same rows.
    package static func == (a: IDTable, b: IDTable) -> Bool { a.starts == b.starts && a.arena == b.arena }
}
