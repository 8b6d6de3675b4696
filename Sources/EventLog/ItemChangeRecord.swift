import Vocabulary

/// The payload of a record of item changes, and of a snapshot's section of them.
///
/// ```
/// u8 version, 1   varint number of changes, then for each:
///   u8 kind: 0 upsert, 1 delete, 2 window, 3 restore     item
///   upsert  u8 what follows: 1 title, 2 tags, 4 attributes, 8 vector, 16 from, 32 until
///           [title] [n, n texts] [n, for each: name, u8 1 if a number follows, n, n texts, [f64]] [n, n x f32] [i64] [i64]
///   window  u8 what follows: 1 hidden, which has no bytes, 16 from, 32 until   [i64] [i64]
/// ```
/// Texts and numbers as in `EventRecord`; fixed numbers little-endian.
package enum ItemChangeRecord {
    private static let what = "item changes"

    private struct Fields: OptionSet {
        let rawValue: UInt8
        static let title = Fields(rawValue: 1)
        static let hidden = Fields(rawValue: 1)
        static let tags = Fields(rawValue: 2)
        static let attributes = Fields(rawValue: 4)
        static let vector = Fields(rawValue: 8)
        static let from = Fields(rawValue: 16)
        static let until = Fields(rawValue: 32)
    }

    package static func encode(_ changes: some Collection<ItemChange>) -> [UInt8] {
        var bytes: [UInt8] = [1]
        bytes.append(varint: UInt64(changes.count))
        for change in changes {
            switch change {
            case .upsert(let description):
                bytes.append(0)
                bytes.append(text: description.item)
                append(description, to: &bytes)
            case .delete(let item):
                bytes.append(1)
                bytes.append(text: item)
            case .window(let window):
                bytes.append(2)
                bytes.append(text: window.item)
                var fields: Fields = window.isHidden ? .hidden : []
                if window.fromSeconds != nil { fields.insert(.from) }
                if window.untilSeconds != nil { fields.insert(.until) }
                bytes.append(fields.rawValue)
                for seconds in [window.fromSeconds, window.untilSeconds] {
                    if let seconds { bytes.append(bits: UInt64(bitPattern: seconds)) }
                }
            case .restore(let item):
                bytes.append(3)
                bytes.append(text: item)
            }
        }
        return bytes
    }

    private static func append(_ description: ItemDescription, to bytes: inout [UInt8]) {
        var fields: Fields = []
        if !description.title.isEmpty { fields.insert(.title) }
        if !description.tags.isEmpty { fields.insert(.tags) }
        if !description.attributes.isEmpty { fields.insert(.attributes) }
        if !description.vector.isEmpty { fields.insert(.vector) }
        if description.fromSeconds != nil { fields.insert(.from) }
        if description.untilSeconds != nil { fields.insert(.until) }
        bytes.append(fields.rawValue)
        if fields.contains(.title) { bytes.append(text: description.title) }
        if fields.contains(.tags) { append(description.tags, to: &bytes) }
        if fields.contains(.attributes) {
            bytes.append(varint: UInt64(description.attributes.count))
            for value in description.attributes {
                bytes.append(text: value.attribute)
                bytes.append(value.number == nil ? 0 : 1)
                append(value.texts, to: &bytes)
                if let number = value.number { bytes.append(bits: number.bitPattern) }
            }
        }
        if fields.contains(.vector) {
            bytes.append(varint: UInt64(description.vector.count))
            for value in description.vector { bytes.append(bits: value.bitPattern) }
        }
        for seconds in [description.fromSeconds, description.untilSeconds] {
            if let seconds { bytes.append(bits: UInt64(bitPattern: seconds)) }
        }
    }

    private static func append(_ texts: [String], to bytes: inout [UInt8]) {
        bytes.append(varint: UInt64(texts.count))
        for text in texts { bytes.append(text: text) }
    }

    /// - Throws: `malformed`, `newerFormat`, when the bytes are not such a payload.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(LogError) -> [ItemChange] {
        var reader = RecordReader(rest: bytes, what: what)
        let version = try reader.byte()
        if version > 1 { throw LogError(.newerFormat, path: what, "version \(version); this program reads 1") }
        guard version == 1 else { throw reader.fault }
        let count = try reader.count(each: 2)
        var changes: [ItemChange] = []
        changes.reserveCapacity(count)
        for _ in 0..<count {
            let kind = try reader.byte()
            let item = try reader.text()
            switch kind {
            case 0: changes.append(.upsert(try description(item, &reader)))
            case 1: changes.append(.delete(item))
            case 2:
                let fields = Fields(rawValue: try reader.byte())
                var window = ItemWindow(item: item, isHidden: fields.contains(.hidden))
                if fields.contains(.from) { window.fromSeconds = Int64(bitPattern: try reader.bits64()) }
                if fields.contains(.until) { window.untilSeconds = Int64(bitPattern: try reader.bits64()) }
                changes.append(.window(window))
            case 3: changes.append(.restore(item))
            default: throw reader.fault
            }
        }
        guard reader.rest.isEmpty else { throw reader.fault }
        return changes
    }

    private static func description(
        _ item: String, _ reader: inout RecordReader
    ) throws(LogError) -> ItemDescription {
        var description = ItemDescription(item: item)
        let fields = Fields(rawValue: try reader.byte())
        if fields.contains(.title) { description.title = try reader.text() }
        if fields.contains(.tags) { description.tags = try texts(&reader) }
        if fields.contains(.attributes) {
            for _ in 0..<(try reader.count(each: 3)) {
                var value = ItemAttributeValue(try reader.text())
                let hasNumber = try reader.byte() & 1 != 0
                value.texts = try texts(&reader)
                if hasNumber { value.number = Double(bitPattern: try reader.bits64()) }
                description.attributes.append(value)
            }
        }
        if fields.contains(.vector) {
            let count = try reader.count(each: 4)
            description.vector.reserveCapacity(count)
            for _ in 0..<count { description.vector.append(Float(bitPattern: try reader.bits32())) }
        }
        if fields.contains(.from) { description.fromSeconds = Int64(bitPattern: try reader.bits64()) }
        if fields.contains(.until) { description.untilSeconds = Int64(bitPattern: try reader.bits64()) }
        return description
    }

    private static func texts(_ reader: inout RecordReader) throws(LogError) -> [String] {
        var texts: [String] = []
        for _ in 0..<(try reader.count(each: 1)) { texts.append(try reader.text()) }
        return texts
    }
}
