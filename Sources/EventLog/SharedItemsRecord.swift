import Vocabulary

/// Changes of items that nodes share, as one of them writes them down: the payload of a record and of a snapshot's section.
///
/// ```
/// u8 version, 1   u64 author   u64 history   u64, u64 heard through   varint number of changes, then for each:
///   u64, u64 version: milliseconds, sequence     u64 token     varint bytes, and so many of an ItemChangeRecord of one change
/// ```
/// A change without a version (0, 0) is this node's own and not known to be written; a token of 0 is another's, or settled.
package struct SharedItemsRecord: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var version: ItemVersion
        package var token: UInt64
        package var change: ItemChange

        package init(version: ItemVersion, token: UInt64, change: ItemChange) {
            self.version = version
            self.token = token
            self.change = change
        }
    }

    /// The name of this node among those who share.
    package var author: UInt64
    /// Of the stream that is followed; 0: none, or not all of it is known.
    package var history: UInt64
    /// The last entry of the stream that is known, and all before it.
    package var heard: ItemVersion
    package var entries: [Entry]

    private static let what = "shared changes of items"

    package init(author: UInt64, history: UInt64 = 0, heard: ItemVersion = .zero, entries: [Entry] = []) {
        self.author = author
        self.history = history
        self.heard = heard
        self.entries = entries
    }

    package var encoded: [UInt8] {
        var bytes: [UInt8] = [1]
        for word in [author, history, heard.milliseconds, heard.sequence] { bytes.append(bits: word) }
        bytes.append(varint: UInt64(entries.count))
        for entry in entries {
            for word in [entry.version.milliseconds, entry.version.sequence, entry.token] { bytes.append(bits: word) }
            let change = ItemChangeRecord.encode(CollectionOfOne(entry.change))
            bytes.append(varint: UInt64(change.count))
            bytes += change
        }
        return bytes
    }

    /// - Throws: `malformed`, `newerFormat`, when the bytes are not such a payload.
    package init(decoding bytes: ArraySlice<UInt8>) throws(LogError) {
        var reader = RecordReader(rest: bytes, what: Self.what)
        let version = try reader.byte()
        if version > 1 {
            throw LogError(.newerFormat, path: Self.what, "version \(version); this program reads 1")
        }
        guard version == 1 else { throw reader.fault }
        author = try reader.bits64()
        history = try reader.bits64()
        heard = ItemVersion(try reader.bits64(), try reader.bits64())
        entries = []
        let count = try reader.count(each: 27)
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let version = ItemVersion(try reader.bits64(), try reader.bits64())
            let token = try reader.bits64()
            let size = try reader.count(each: 1)
            let changes = try ItemChangeRecord.decode(reader.rest.prefix(size))
            reader.rest = reader.rest.dropFirst(size)
            guard changes.count == 1 else { throw reader.fault }
            entries.append(Entry(version: version, token: token, change: changes[0]))
        }
        guard reader.rest.isEmpty else { throw reader.fault }
    }
}
