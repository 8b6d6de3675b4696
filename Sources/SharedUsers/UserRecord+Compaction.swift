import Vocabulary

/// What a record keeps, where it has become long.
package struct RecordBounds: Sendable, Equatable {
    /// The newest events that say something of the user.
    package var historyMax = 100
    /// The newest events that only say that an item was shown.
    package var shownMax = 32
    /// Of the record: beyond, it is compacted, to at most half of that.
    package var bytesMax = 64 << 10

    package init() {}
    /// A record of more bytes was written by nobody who keeps to these rules: it is not read, and is replaced.
    package var recordBytesMax: Int { 8 * bytesMax }
    /// Settings that can be lived with.
    package static let byteBounds = 4 << 10...1 << 20
}

extension UserRecord {
    /// The events that stay: the newest `historyMax`; of the others the newest of each item and type, which says that it was seen
    /// or hidden; the newest `shownMax` that were only shown; and of all these the newest that fit half of `bytesMax`, those that
    /// were only shown going first.
    ///
    /// Compacting the union of two records gives what compacting the one, and then the union with the other, gives: when and
    /// where it is done makes no difference, as long as no bytes bound.
    ///
    /// - Parameter isOnlyShown: Whether a type says no more than that an item was shown.
    package static func compacted(
        _ events: [UserEvent], _ bounds: RecordBounds, isOnlyShown: (String) -> Bool
    ) -> [UserEvent] {
        var kept: [UserEvent] = []
        var shown: [UserEvent] = []
        var classes: Set<Class> = []
        var history = 0
        var bytes = headerBytes
        for event in union(events).reversed() {
            if isOnlyShown(event.type) {
                if shown.count < bounds.shownMax { shown.append(event) }
                continue
            }
            // The newest of its item and type is always among those looked at first.
            let isNewest = classes.insert(Class(event)).inserted
            guard history < bounds.historyMax || isNewest else { continue }
            history += 1
            bytes += byteCount(event)
            if bytes > bounds.bytesMax / 2 { break }
            kept.append(event)
        }
        for event in shown {
            bytes += byteCount(event)
            if bytes > bounds.bytesMax / 2 { break }
            kept.append(event)
        }
        return kept.sorted(by: isBefore)
    }

    private struct Class: Hashable {
        let item: String
        let type: String

        init(_ event: UserEvent) {
            item = event.item
            type = event.type
        }
    }

    /// At most, in a piece.
    static func byteCount(_ event: UserEvent) -> Int {
        18 + event.item.utf8.count + event.type.utf8.count + event.id.utf8.count
    }
}
