import Artifacts
import Glibc
import Vocabulary

/// IDs and their rows, both ways; used straight from a mapped file.
///
/// Row to ID is an array. ID to row is an open-addressing table with linear probing, at most half full:
/// ```
/// bits     log2(places);  rowBits = number of bits of count
/// r        XXH64(ID, seed 0) rotated right by 14 bits: the slot comes first, so users sorted by slot fill the table
///          front to back and a shard's lookups stay in its part of it
/// place    r >> (64 - bits), then the next ones, wrapping around
/// entry    fingerprint << rowBits | (row + 1); 0 = free.  fingerprint = lowest 32 - rowBits bits of r
/// ```
/// `Sendable`: nothing changes after `init`.
package final class IDDictionary: Sendable {
    private let texts: TextColumn
    private let table: Column<UInt32>
    private let geometry: IDTableGeometry

    /// The largest number of IDs.
    package static let countMax = Int(Int32.max)

    package var count: Int { texts.count }

    /// What is written to a file.
    var columns: (texts: TextColumn, table: Column<UInt32>) { (texts, table) }

    /// Bytes that the dictionary takes, mapped or not.
    package var byteCount: Int { texts.bytes.count + texts.offsets.count * 4 + table.count * 4 }

    /// The same, of so many IDs of so many bytes each.
    package static func byteCount(count: Int, idBytes: Double) -> Int {
        Int((Double(count) * idBytes).rounded()) + (count + 1) * 4 + (IDTableGeometry(count: count).mask + 1) * 4
    }

    /// Adopts IDs and a table, checking that each ID is found in its own row.
    init(_ texts: TextColumn, table: Column<UInt32>, what: String, path: String) throws(ArtifactError) {
        self.texts = texts
        self.table = table
        guard let geometry = IDTableGeometry(places: table.count, count: texts.count) else {
            throw ArtifactError(
                .invalidContent, path: path,
                "the \(what) table has \(table.count) places for \(texts.count) rows; a power of two above is needed"
            )
        }
        self.geometry = geometry
        guard geometry.fits(table.values) else {
            throw ArtifactError(
                .invalidContent, path: path, "the \(what) table is damaged: it names rows that do not exist")
        }
        try checkEachRowIsFound(what: what, path: path)
    }

    /// Makes the table.
    ///
    /// - Throws: `invalidContent` when an ID occurs twice or there are too many.
    convenience init(_ texts: TextColumn, what: String, path: String) throws(ArtifactError) {
        guard texts.count <= Self.countMax else {
            throw ArtifactError(.invalidContent, path: path, "\(texts.count) \(what)s; at most \(Self.countMax)")
        }
        let table = IDTableGeometry(count: texts.count).makeTable(texts)
        try self.init(texts, table: Column(table), what: what, path: path)
    }

    /// The row of an ID given as UTF-8 bytes.
    ///
    /// - Complexity: O(1): two cache misses in a large dictionary, three when the ID is there.
    package func row(of id: UnsafeRawBufferPointer) -> UInt32? {
        row(of: id, hash: XXH64.hash(id))
    }

    /// The row of an ID whose `XXH64.hash` is known already.
    package func row(of id: UnsafeRawBufferPointer, hash: UInt64) -> UInt32? {
        guard let base = id.baseAddress else { return nil }
        let rotated = geometry.rotated(hash)
        let fingerprint = geometry.fingerprint(rotated)
        var place = geometry.place(rotated)
        while true {
            let entry = table[place]
            if entry == 0 { return nil }
            if geometry.fingerprint(of: entry) == fingerprint {
                let row = geometry.row(of: entry)
                let candidate = texts[Int(row)]
                if candidate.count == id.count, let address = candidate.baseAddress,
                    memcmp(address, base, id.count) == 0
                {
                    return row
                }
            }
            place = (place + 1) & geometry.mask
        }
    }

    /// The row of an ID.
    package func row(of id: String) -> UInt32? {
        var id = id
        return id.withUTF8 { row(of: UnsafeRawBufferPointer($0)) }
    }

    /// The ID of a row. - Precondition: `row < count`.
    package func string(_ row: UInt32) -> String { texts.string(Int(row)) }

    /// The UTF-8 bytes of a row's ID; valid while the dictionary lives. - Precondition: `row < count`.
    package func bytes(_ row: UInt32) -> UnsafeRawBufferPointer { texts[Int(row)] }

    /// Looks every ID up. Finds duplicates and damage, and bounds the work on a table made to be slow.
    private func checkEachRowIsFound(what: String, path: String) throws(ArtifactError) {
        var probesLeft = 64 * count + (1 << 20)
        for row in 0..<count {
            let id = texts[row]
            let rotated = geometry.rotated(XXH64.hash(id))
            let wanted = geometry.entry(row: row, rotated)
            var place = geometry.place(rotated)
            while table[place] != wanted {
                probesLeft -= 1
                guard table[place] != 0, probesLeft > 0 else {
                    throw ArtifactError(
                        .invalidContent, path: path, "the \(what) table is damaged: it does not lead to row \(row)")
                }
                if let twin = geometry.candidate(table[place], rotated), twin != row, texts[twin].elementsEqual(id) {
                    throw ArtifactError(
                        .invalidContent, path: path,
                        "the \(what) \"\(texts.string(row))\" stands in rows \(min(row, twin)) and \(max(row, twin))"
                    )
                }
                place = (place + 1) & geometry.mask
            }
        }
    }
}

/// Where an ID's row stands in a table of a given size.
struct IDTableGeometry: Sendable {
    let count: Int
    let mask: Int
    private let shift: UInt64
    private let rowBits: UInt32
    private let rowMask: UInt32
    private let fingerprintMask: UInt32

    /// The geometry of a table of `places`; nil when `count` rows cannot be in it.
    init?(places: Int, count: Int) {
        guard places >= 2, places & (places - 1) == 0, count < places, count <= IDDictionary.countMax else {
            return nil
        }
        self.count = count
        mask = places - 1
        shift = UInt64(64 - places.trailingZeroBitCount)
        rowBits = UInt32(Int.bitWidth - count.leadingZeroBitCount)
        rowMask = (1 << rowBits) - 1
        fingerprintMask = UInt32(truncatingIfNeeded: (UInt64(1) << UInt64(32 - rowBits)) - 1)
    }

    /// The smallest table that is at most half full.
    init(count: Int) {
        var places = 2
        while places < 2 * count { places *= 2 }
        guard let geometry = IDTableGeometry(places: places, count: count) else {
            preconditionFailure("\(count) IDs; at most \(IDDictionary.countMax)")
        }
        self = geometry
    }

    func rotated(_ hash: UInt64) -> UInt64 { hash >> 14 | hash << 50 }
    func place(_ rotated: UInt64) -> Int { Int(truncatingIfNeeded: rotated >> shift) }
    func fingerprint(_ rotated: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: rotated) & fingerprintMask }
    func fingerprint(of entry: UInt32) -> UInt32 { entry >> rowBits }
    func row(of entry: UInt32) -> UInt32 { (entry & rowMask) &- 1 }
    func entry(row: Int, _ rotated: UInt64) -> UInt32 { fingerprint(rotated) << rowBits | UInt32(row + 1) }

    /// The row of an entry whose fingerprint fits.
    func candidate(_ entry: UInt32, _ rotated: UInt64) -> Int? {
        entry != 0 && fingerprint(of: entry) == fingerprint(rotated) ? Int(row(of: entry)) : nil
    }

    /// Whether every entry is free or names a row, and exactly `count` do: lookups then stay inside and end.
    func fits(_ table: UnsafeBufferPointer<UInt32>) -> Bool {
        var taken = 0
        var faults = 0
        let last = UInt32(count)
        for entry in table {
            let row = entry & rowMask
            taken += entry != 0 ? 1 : 0
            faults |= (entry != 0 && (row == 0 || row > last)) ? 1 : 0
        }
        return faults == 0 && taken == count
    }

    func makeTable(_ texts: TextColumn) -> [UInt32] {
        var table = [UInt32](repeating: 0, count: mask + 1)
        table.withUnsafeMutableBufferPointer { table in
            for row in 0..<count {
                let rotated = rotated(XXH64.hash(texts[row]))
                var place = place(rotated)
                while table[place] != 0 { place = (place + 1) & mask }
                table[place] = entry(row: row, rotated)
            }
        }
        return table
    }
}
