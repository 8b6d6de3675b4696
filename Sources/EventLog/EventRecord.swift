import Vocabulary

/// What the payloads of a log's records are.
package enum RecordKind: UInt8, Sendable, CaseIterable {
    /// `EventRecord`.
    case events = 1
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
        append(UInt64(events.count), to: &bytes)
        for event in events {
            var fields: UInt8 = 0
            if event.value != nil { fields |= 1 }
            if !event.scenario.isEmpty { fields |= 2 }
            if !event.requestID.isEmpty { fields |= 4 }
            if !event.id.isEmpty { fields |= 8 }
            bytes.append(fields)
            append(event.timeMilliseconds, to: &bytes)
            append(event.user, to: &bytes)
            append(event.item, to: &bytes)
            append(event.type, to: &bytes)
            if let value = event.value {
                for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift)) }
            }
            for text in [event.scenario, event.requestID, event.id] where !text.isEmpty { append(text, to: &bytes) }
        }
        return bytes
    }

    /// - Throws: `malformed`, `newerFormat`, when the bytes are not such a payload.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(LogError) -> [UserEvent] {
        var reader = Reader(rest: bytes)
        let version = try reader.byte()
        if version > 1 { throw LogError(.newerFormat, path: "events", "version \(version); this program reads 1") }
        let count = try reader.number()
        // An event has more than eight bytes, so that no number makes the array outgrow its payload by much.
        guard version == 1, count <= UInt64(bytes.count / 8 + 1) else { throw Reader.fault }
        var events: [UserEvent] = []
        events.reserveCapacity(Int(count))
        for _ in 0..<count {
            let fields = try reader.byte()
            let time = try reader.number()
            var event = UserEvent(user: try reader.text(), item: try reader.text(), type: try reader.text())
            event.timeMilliseconds = time
            if fields & 1 != 0 { event.value = try reader.float() }
            if fields & 2 != 0 { event.scenario = try reader.text() }
            if fields & 4 != 0 { event.requestID = try reader.text() }
            if fields & 8 != 0 { event.id = try reader.text() }
            events.append(event)
        }
        guard reader.rest.isEmpty else { throw Reader.fault }
        return events
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>

        static let fault = LogError(.malformed, path: "events", "the bytes are no record of events")

        mutating func byte() throws(LogError) -> UInt8 {
            guard let byte = rest.popFirst() else { throw Self.fault }
            return byte
        }

        mutating func number() throws(LogError) -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 64, by: 7) {
                let byte = try byte()
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
            }
            throw Self.fault
        }

        mutating func float() throws(LogError) -> Float {
            var bits: UInt32 = 0
            for shift in [UInt32(0), 8, 16, 24] { bits |= UInt32(try byte()) << shift }
            return Float(bitPattern: bits)
        }

        mutating func text() throws(LogError) -> String {
            let count = try number()
            guard count <= UInt64(rest.count) else { throw Self.fault }
            defer { rest = rest.dropFirst(Int(count)) }
            return String(decoding: rest.prefix(Int(count)), as: UTF8.self)
        }
    }
}
