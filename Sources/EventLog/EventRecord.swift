import Vocabulary

/// What the payloads of a log's records are.
package enum RecordKind: UInt8, Sendable, CaseIterable {
    /// `EventRecord`.
    case events = 1
    /// `ItemChangeRecord`.
    case itemChanges = 2
    /// `SlateRecord`, in a log of its own.
    case slates = 3
    /// `SharedItemsRecord`.
    case sharedItems = 4
}

/// The payload of a record of events.
///
/// ```
/// u8 version, 1   varint number of events, then for each:
///   u8 what follows: 1 value, 2 scenario, 4 request ID, 8 event ID
///   varint milliseconds since 1970     user, item, type     [f32 value] [scenario] [request ID] [event ID]
/// ```
/// A text is its bytes' number as a varint, then the bytes. Varints are LEB128, as in protobuf.
package enum EventRecord {
    package static func encode(_ events: [UserEvent]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 + events.count * 64)
        bytes.append(1)
        bytes.append(varint: UInt64(events.count))
        for event in events {
            var fields: UInt8 = 0
            if event.value != nil { fields |= 1 }
            if !event.scenario.isEmpty { fields |= 2 }
            if !event.requestID.isEmpty { fields |= 4 }
            if !event.id.isEmpty { fields |= 8 }
            bytes.append(fields)
            bytes.append(varint: event.timeMilliseconds)
            bytes.append(text: event.user)
            bytes.append(text: event.item)
            bytes.append(text: event.type)
            if let value = event.value { bytes.append(bits: value.bitPattern) }
            for text in [event.scenario, event.requestID, event.id] where !text.isEmpty { bytes.append(text: text) }
        }
        return bytes
    }

    /// - Throws: `malformed`, `newerFormat`, when the bytes are not such a payload.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(LogError) -> [UserEvent] {
        var reader = RecordReader(rest: bytes, what: "events")
        let version = try reader.byte()
        if version > 1 { throw LogError(.newerFormat, path: "events", "version \(version); this program reads 1") }
        let count = try reader.number()
        // An event has more than eight bytes, so that no number makes the array outgrow its payload by much.
        guard version == 1, count <= UInt64(bytes.count / 8 + 1) else { throw reader.fault }
        var events: [UserEvent] = []
        events.reserveCapacity(Int(count))
        for _ in 0..<count {
            let fields = try reader.byte()
            let time = try reader.number()
            var event = UserEvent(user: try reader.text(), item: try reader.text(), type: try reader.text())
            event.timeMilliseconds = time
            if fields & 1 != 0 { event.value = Float(bitPattern: try reader.bits32()) }
            if fields & 2 != 0 { event.scenario = try reader.text() }
            if fields & 4 != 0 { event.requestID = try reader.text() }
            if fields & 8 != 0 { event.id = try reader.text() }
            events.append(event)
        }
        guard reader.rest.isEmpty else { throw reader.fault }
        return events
    }
}
