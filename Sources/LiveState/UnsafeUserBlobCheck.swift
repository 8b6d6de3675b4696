/// What stored bytes of a user may hold.
struct BlobRules {
    /// Codes of types are below.
    var typeCount: Int
    /// Numbers of items are below.
    var itemCount: UInt64
}

extension UserBlob {
    /// The fault of a blob that came from outside; nil where it is sound. All other code believes a blob.
    ///
    /// - Parameter bytes: Of the blob, with at least 16 readable bytes behind them.
    func fault(bytes: Int, _ rules: BlobRules) -> String? {
        guard bytes >= Self.headerBytes, usedBytes == bytes else { return "its sizes do not add up" }
        guard idBytes > 0, id.isUTF8 else { return "its ID is not 1 to 255 bytes of UTF-8" }
        guard epoch > 0 else { return "its epoch is 0" }
        guard latelyCount <= Self.latelyMax else { return "it has too many items lately seen" }
        guard Int(totalEvents) >= historyCount else { return "it has fewer events than its history" }
        return faultOfSet(seenOffset, seenBytes, seenCount, sorted: true, rules).map { "its seen items: \($0)" }
            ?? faultOfSet(hiddenOffset, hiddenBytes, hiddenCount, sorted: true, rules).map { "its hidden items: \($0)" }
            ?? faultOfSet(latelyOffset, latelyBytes, latelyCount, sorted: false, rules).map { "its seen items: \($0)" }
            ?? faultOfHistory(rules).map { "its history: \($0)" }
    }

    private func faultOfSet(_ offset: Int, _ bytes: Int, _ count: Int, sorted: Bool, _ rules: BlobRules) -> String? {
        var place = UnsafeRawPointer(base + offset)
        let end = place + bytes
        var previous: UInt32 = 0
        for number in 0..<count {
            guard place < end else { return "they end too early" }
            let entry = SetEntry(reading: &place, after: sorted ? previous : 0)
            guard place <= end else { return "they end too early" }
            if sorted, number > 0, entry.item <= previous { return "they are not in order" }
            guard UInt64(entry.item) < rules.itemCount else { return "item \(entry.item) has no name" }
            guard entry.types != 0, UInt64(entry.types) >> UInt64(rules.typeCount) == 0 else {
                return "item \(entry.item) has unknown types of events"
            }
            previous = entry.item
        }
        return place == end ? nil : "there are more bytes than items"
    }

    private func faultOfHistory(_ rules: BlobRules) -> String? {
        guard historyCount <= 4096 else { return "\(historyCount) events" }
        var place = UnsafeRawPointer(base + historyOffset)
        let end = place + historyBytes
        var seconds = historyBase
        for _ in 0..<historyCount {
            guard place < end else { return "it ends too early" }
            let (event, isSound) = PackedEvent.checked(&place)
            guard place <= end else { return "it ends too early" }
            let (later, hasWrapped) = seconds.addingReportingOverflow(event.pause)
            guard isSound, !hasWrapped else { return "an event is damaged" }
            guard Int(event.type) < rules.typeCount else { return "an event of unknown type \(event.type)" }
            guard UInt64(event.item) < rules.itemCount else { return "item \(event.item) has no name" }
            seconds = later
        }
        guard place == end else { return "there are more bytes than events" }
        guard historyCount == 0 || seconds == historyLast else { return "its times do not add up" }
        return nil
    }
}

extension PackedEvent {
    /// Reads an event that may be damaged.
    static func checked(_ place: inout UnsafeRawPointer) -> (PackedEvent, isSound: Bool) {
        let control = place.loadUnaligned(as: UInt16.self)
        let more = control & 0x80 == 0 ? 0 : control >> 8
        let event = PackedEvent(reading: &place)
        // A pause of four bytes has none of the other three.
        let isPlain = more >> 5 == 0 && (more & 16 == 0 || control >> 5 & 3 == 0)
        return (event, isPlain && event.value?.isFinite ?? true)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are UTF-8.
    var isUTF8: Bool {
        if allSatisfy({ $0 < 0x80 }) { return true }
        return withMemoryRebound(to: UInt8.self) { String(validating: $0, as: UTF8.self) != nil }
    }
}
