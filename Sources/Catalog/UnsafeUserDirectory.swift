import Artifacts
import Vocabulary

/// The users of a generation: their IDs, and the items each of them had, oldest first.
///
/// Users stand in the order of their slot, then of their ID's bytes, so that a range of slots is a range of rows.
/// `Sendable`: nothing changes after `init`.
package final class UserDirectory: Sendable {
    package let ids: IDDictionary
    private let offsets: Column<UInt64>
    private let items: Column<UInt32>
    private let times: Column<Int64>?

    package var count: Int { ids.count }
    /// Entries of all histories together.
    package var interactionCount: Int { items.count }
    package var hasTimes: Bool { times != nil }
    /// Bytes of the histories, mapped or not.
    package var historyByteCount: Int {
        Self.historyByteCount(users: count, entries: items.count, hasTimes: times != nil)
    }

    package static func historyByteCount(users: Int, entries: Int, hasTimes: Bool) -> Int {
        (users + 1) * 8 + entries * (hasTimes ? 12 : 4)
    }

    init(
        ids: IDDictionary, offsets: Column<UInt64>, items: Column<UInt32>, times: Column<Int64>?, itemCount: Int,
        path: String
    ) throws(ArtifactError) {
        guard offsets.count == ids.count + 1, RangeChecks.areOffsets(offsets.values, end: items.count) else {
            throw ArtifactError(
                .invalidContent, path: path,
                "history.offsets is damaged: \(ids.count + 1) ascending numbers from 0 to \(items.count) are needed")
        }
        guard RangeChecks.areBelow(itemCount, items.values) else {
            throw ArtifactError(
                .invalidContent, path: path, "history.items names a row past the \(itemCount) items of the bundle")
        }
        if let times, times.count != items.count {
            throw ArtifactError(
                .invalidContent, path: path, "history.times has \(times.count) entries for \(items.count) items")
        }
        try Self.checkOrder(ids, path: path)
        self.ids = ids
        self.offsets = offsets
        self.items = items
        self.times = times
    }

    /// Makes a directory in memory.
    ///
    /// - Parameters:
    ///   - ids: In the order of slot, then ID bytes.
    ///   - offsets: The history of row `u` is `items[offsets[u]..<offsets[u + 1]]`.
    ///   - items: Item rows, oldest first, each at most once a user.
    ///   - times: Milliseconds since 1970-01-01 UTC of each entry, where known.
    ///   - itemCount: Items of the catalogue.
    package convenience init(
        ids: IDDictionary, offsets: [UInt64], items: [UInt32], times: [Int64]? = nil, itemCount: Int
    ) throws(ArtifactError) {
        try self.init(
            ids: ids, offsets: Column(offsets), items: Column(items), times: times.map { Column($0) },
            itemCount: itemCount, path: "users")
    }

    package func row(of user: String) -> UInt32? { ids.row(of: user) }
    package func row(of user: UnsafeRawBufferPointer) -> UInt32? { ids.row(of: user) }
    /// The user's ID. - Precondition: `row < count`.
    package func name(_ row: UInt32) -> String { ids.string(row) }

    /// Item rows of a user, oldest first; valid while the directory lives. - Precondition: `row < count`.
    package func history(of row: UInt32) -> UnsafeBufferPointer<UInt32> {
        UnsafeBufferPointer(rebasing: items.values[range(row)])
    }

    /// Milliseconds since 1970-01-01 UTC of each entry of the history, where the bundle has them.
    package func historyTimes(of row: UInt32) -> UnsafeBufferPointer<Int64>? {
        times.map { UnsafeBufferPointer(rebasing: $0.values[range(row)]) }
    }

    /// The rows of the users whose slots are in `slots`.
    ///
    /// - Complexity: O(log users).
    package func rows(inSlots slots: Range<Int>) -> Range<UInt32> {
        firstRow(fromSlot: slots.lowerBound)..<firstRow(fromSlot: slots.upperBound)
    }

    private func range(_ row: UInt32) -> Range<Int> { Int(offsets[Int(row)])..<Int(offsets[Int(row) + 1]) }

    private func firstRow(fromSlot slot: Int) -> UInt32 {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if Int(Slot(user: ids.bytes(UInt32(middle))).value) < slot { low = middle + 1 } else { high = middle }
        }
        return UInt32(low)
    }

    private static func checkOrder(_ ids: IDDictionary, path: String) throws(ArtifactError) {
        var slot: Slot?
        for row in 0..<UInt32(ids.count) {
            let id = ids.bytes(row)
            let next = Slot(user: id)
            if let last = slot, last > next || (last == next && !ids.bytes(row - 1).lexicographicallyPrecedes(id)) {
                throw ArtifactError(
                    .invalidContent, path: path,
                    "user \"\(ids.string(row))\" of row \(row) is out of order; users stand by slot, then ID bytes"
                )
            }
            slot = next
        }
    }

    /// The order of users in a bundle: by slot, then by the bytes of the ID.
    package static func precedes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        let slots = (Slot(user: a), Slot(user: b))
        return slots.0 == slots.1 ? a.lexicographicallyPrecedes(b) : slots.0 < slots.1
    }
}

extension UserDirectory {
    private static let fileName = "users"

    /// Reads and checks the users of a bundle.
    ///
    /// - Complexity: O(users + history entries), about 0.1 s for a million users with 50 entries each.
    package convenience init(bundle: Bundle) throws(ArtifactError) {
        let file = try bundle.file(Self.fileName)
        let counts = bundle.manifest.counts
        let ids = try IDDictionary(file, "ids", count: counts.users, what: "user ID")
        let items = Column<UInt32>(try file.tensor("history.items", .u32, shape: [nil]))
        let times =
            file.has("history.times")
            ? Column<Int64>(try file.tensor("history.times", .i64, shape: [items.count])) : nil
        try self.init(
            ids: ids, offsets: Column(try file.tensor("history.offsets", .u64, shape: [counts.users + 1])),
            items: items,
            times: times, itemCount: counts.items, path: file.path)
    }

    /// Writes `users.safetensors`.
    package func write(to bundle: BundleWriter) throws(ArtifactError) {
        let writer = try bundle.file(Self.fileName)
        ids.declare("ids", in: writer)
        writer.declare("history.offsets", .u64, shape: [offsets.count])
        writer.declare("history.items", .u32, shape: [items.count])
        if let times { writer.declare("history.times", .i64, shape: [times.count]) }
        try ids.write("ids", to: writer)
        try writer.append(offsets.values, to: "history.offsets")
        try writer.append(items.values, to: "history.items")
        if let times { try writer.append(times.values, to: "history.times") }
        try writer.finish()
    }
}
