/// The payload of a record of one slate.
///
/// ```
/// u8 version, 1 or 2   u8 marks   u8 fallback   degraded   varint milliseconds since 1970   varint generation
/// texts: request ID, user, scenario, arm, model, original
/// varint context entries, for each: key, value          varint sources, for each: name
/// varint shown   varint other candidates   varint candidates in all   varint best   varint drawn among   varint protected
/// for each item: ID      f32 scores      u32 sources      u32 places      of the shown: f32 propensities   u8 marks
/// u8 1 where features follow:
///   text schema   varint rows   varint numbers   varint categorical fields   varint multi-valued fields
///   u32 items   f32 numbers, column by column   u32 categories, column by column
///   for each multi-valued field, for each row: varint values, for each: varint
/// ```
/// Texts and varints as in `EventRecord`; fixed numbers little-endian. Degraded is a u8 in version 1 and a varint in version 2,
/// which is written only where it has a bit above the eighth.
package enum SlateRecord {
    private static let what = "a slate"
    /// Columns of features at most, for readers that are given nonsense.
    private static let columnsMax: UInt64 = 4096

    package static func encode(_ slate: LoggedSlate) -> [UInt8] {
        let count = slate.items.count
        precondition(
            slate.scores.count == count && slate.itemSources.count == count && slate.places.count == count
                && slate.propensities.count == slate.shownCount && slate.itemMarks.count == slate.shownCount
                && slate.shownCount <= count, "columns of different lengths")
        var bytes: [UInt8] = [slate.degraded > 0xFF ? 2 : 1, slate.marks.rawValue, slate.fallback]
        bytes.reserveCapacity(512 + count * 40 + (slate.features?.cellCount ?? 0) * 4)
        if slate.degraded > 0xFF {
            bytes.append(varint: UInt64(slate.degraded))
        } else {
            bytes.append(UInt8(slate.degraded))
        }
        bytes.append(varint: slate.timeMilliseconds)
        bytes.append(varint: slate.generation)
        for text in [slate.requestID, slate.user, slate.scenario, slate.arm, slate.model, slate.original] {
            bytes.append(text: text)
        }
        bytes.append(varint: UInt64(slate.context.count))
        for (key, value) in slate.context.sorted(by: { $0.key < $1.key }) {
            bytes.append(text: key)
            bytes.append(text: value)
        }
        bytes.append(varint: UInt64(slate.sources.count))
        for source in slate.sources { bytes.append(text: source) }
        for number in [
            slate.shownCount, count - slate.shownCount, slate.candidateCount, slate.bestCount, slate.drawnAmong,
            slate.protectedPlaces,
        ] { bytes.append(varint: UInt64(number)) }
        for item in slate.items { bytes.append(text: item) }
        bytes.append(column: slate.scores)
        bytes.append(column: slate.itemSources)
        bytes.append(column: slate.places)
        bytes.append(column: slate.propensities)
        for marks in slate.itemMarks { bytes.append(marks.rawValue) }
        bytes.append(slate.features == nil ? 0 : 1)
        if let features = slate.features { append(features, to: &bytes) }
        return bytes
    }

    private static func append(_ features: LoggedFeatures, to bytes: inout [UInt8]) {
        bytes.append(text: features.schema)
        for number in [
            features.items.count, features.numbers.count, features.categories.count, features.lists.count,
        ] { bytes.append(varint: UInt64(number)) }
        bytes.append(column: features.items)
        for column in features.numbers { bytes.append(column: column) }
        for column in features.categories { bytes.append(column: column) }
        for column in features.lists {
            for list in column {
                bytes.append(varint: UInt64(list.count))
                for value in list { bytes.append(varint: UInt64(value)) }
            }
        }
    }

    /// - Throws: `malformed`, `newerFormat`, when the bytes are not such a payload.
    package static func decode(_ bytes: ArraySlice<UInt8>) throws(LogError) -> LoggedSlate {
        var reader = RecordReader(rest: bytes, what: what)
        let version = try reader.byte()
        if version > 2 { throw LogError(.newerFormat, path: what, "version \(version); this program reads 1 and 2") }
        guard version > 0 else { throw reader.fault }
        var slate = LoggedSlate(requestID: "", user: "")
        slate.marks = LoggedSlate.Marks(rawValue: try reader.byte())
        slate.fallback = try reader.byte()
        if version == 1 {
            slate.degraded = UInt32(try reader.byte())
        } else {
            guard let bits = UInt32(exactly: try reader.number()) else { throw reader.fault }
            slate.degraded = bits
        }
        slate.timeMilliseconds = try reader.number()
        slate.generation = try reader.number()
        slate.requestID = try reader.text()
        slate.user = try reader.text()
        slate.scenario = try reader.text()
        slate.arm = try reader.text()
        slate.model = try reader.text()
        slate.original = try reader.text()
        for _ in 0..<(try reader.count(each: 2)) {
            let key = try reader.text()
            slate.context[key] = try reader.text()
        }
        for _ in 0..<(try reader.count(each: 1)) { slate.sources.append(try reader.text()) }
        slate.shownCount = try reader.count(each: 1)
        let others = try reader.count(each: 1)
        slate.candidateCount = try reader.whole()
        slate.bestCount = try reader.whole()
        slate.drawnAmong = try reader.whole()
        slate.protectedPlaces = try reader.whole()
        let count = slate.shownCount + others
        guard slate.bestCount <= others, count <= reader.rest.count else { throw reader.fault }
        for _ in 0..<count { slate.items.append(try reader.text()) }
        slate.scores = try reader.floats(count)
        slate.itemSources = try reader.column(count)
        slate.places = try reader.column(count)
        slate.propensities = try reader.floats(slate.shownCount)
        for _ in 0..<slate.shownCount { slate.itemMarks.append(LoggedSlate.ItemMarks(rawValue: try reader.byte())) }
        switch try reader.byte() {
        case 0: break
        case 1: slate.features = try features(&reader, items: count)
        default: throw reader.fault
        }
        guard reader.rest.isEmpty else { throw reader.fault }
        return slate
    }

    private static func features(
        _ reader: inout RecordReader, items: Int
    ) throws(LogError) -> LoggedFeatures {
        var features = LoggedFeatures(schema: try reader.text())
        let rows = try reader.count(each: 4)
        var columns: [Int] = []
        for _ in 0..<3 {
            let count = try reader.number()
            guard count <= columnsMax else { throw reader.fault }
            columns.append(Int(count))
        }
        features.items = try reader.column(rows)
        // Ascending, each once, and each an item of the slate.
        for (place, item) in features.items.enumerated() {
            guard item < items, place == 0 || features.items[place - 1] < item else { throw reader.fault }
        }
        for _ in 0..<columns[0] { features.numbers.append(try reader.floats(rows)) }
        for _ in 0..<columns[1] { features.categories.append(try reader.column(rows)) }
        for _ in 0..<columns[2] {
            var column: [[UInt32]] = []
            for _ in 0..<rows {
                var list: [UInt32] = []
                for _ in 0..<(try reader.count(each: 1)) {
                    guard let value = UInt32(exactly: try reader.number()) else { throw reader.fault }
                    list.append(value)
                }
                column.append(list)
            }
            features.lists.append(column)
        }
        return features
    }
}

extension RecordReader {
    /// A number that is no length, of at most 31 bits.
    fileprivate mutating func whole() throws(LogError) -> Int {
        let number = try number()
        guard number <= UInt64(Int32.max) else { throw fault }
        return Int(number)
    }
}

extension LoggedFeatures {
    /// Fixed numbers of the columns.
    var cellCount: Int { items.count * (1 + numbers.count + categories.count) }
}
