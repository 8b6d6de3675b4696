import Vocabulary

/// The activity of items as bytes, in parts. Little-endian; whoever stores them adds a checksum.
///
/// ```
/// every part    u32 "MLIA"   u16 version, 1   u16 0: the first part, 1: entries
/// first part    f64 fast, f64 slow half-life in seconds   u16 ranges of slots   of each: u16 first, u16 last, u64 record
///               u16 scenarios, the one of all together included   of each: u8 length and name ("" for all together),
///               f64 impressions, clicks, clicks now, u32 second, u32 first second
/// entries       u16 scenario, u16 0, u32 count   of each: u32 item, u32 second, f32 impressions, clicks, clicks now
/// ```
extension ItemActivity {
    static let mark: UInt32 = 0x4149_4C4D
    static let version: UInt16 = 1
    private static let entriesPerPart = 400_000
    static let entryBytes = 20

    /// What the counts know of: slots, and the last record of their users' events.
    package struct Knowledge: Sendable, Equatable {
        package var slots: Range<Int>
        package var through: UInt64

        package init(slots: Range<Int>, through: UInt64) {
            self.slots = slots
            self.through = through
        }
    }

    /// - Complexity: O(entries); each part has at most 8 MB.
    package func serialise(knowing known: [Knowledge]) -> [[UInt8]] {
        var first = Self.head(0)
        Self.put(configuration.fastHalfLife.bitPattern, &first)
        Self.put(configuration.slowHalfLife.bitPattern, &first)
        Self.put(UInt16(clamping: known.count), &first)
        for known in known {
            Self.put(UInt16(clamping: known.slots.lowerBound), &first)
            Self.put(UInt16(clamping: known.slots.upperBound - 1), &first)
            Self.put(known.through, &first)
        }
        Self.put(UInt16(clamping: totals.count), &first)
        for (name, total) in zip([""] + scenarios.names, totals) {
            first.append(UInt8(clamping: name.utf8.count))
            first += name.utf8.prefix(255)
            for value in [total.counts.impressions, total.counts.clicks, total.counts.clicksNow] {
                Self.put(value.bitPattern, &first)
            }
            Self.put(total.seconds, &first)
            Self.put(total.began, &first)
        }
        var parts = [first]
        for (scenario, table) in tables.enumerated() {
            var left = table.count
            var room = 0
            for chunk in table.chunks {
                for entry in chunk {
                    if room == 0 {
                        room = min(left, Self.entriesPerPart)
                        var part = Self.head(1)
                        part.reserveCapacity(16 + room * Self.entryBytes)
                        Self.put(UInt16(scenario), &part)
                        Self.put(UInt16(0), &part)
                        Self.put(UInt32(room), &part)
                        parts.append(part)
                    }
                    let last = parts.count - 1
                    Self.put(entry.item, &parts[last])
                    Self.put(entry.seconds, &parts[last])
                    for value in [entry.impressions, entry.clicks, entry.clicksNow] {
                        Self.put(value.bitPattern, &parts[last])
                    }
                    room -= 1
                    left -= 1
                }
            }
        }
        return parts
    }

    private static func head(_ kind: UInt16) -> [UInt8] {
        var bytes: [UInt8] = []
        put(mark, &bytes)
        put(version, &bytes)
        put(kind, &bytes)
        return bytes
    }

    private static func put(_ value: some FixedWidthInteger & UnsignedInteger, _ bytes: inout [UInt8]) {
        var value = value
        for _ in 0..<(value.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: value))
            value >>= 8
        }
    }
}

/// Takes the parts of `ItemActivity.serialise` one after the other.
package struct ItemActivityLoader {
    /// What the counts know of. Empty where they were made with other half-lives: then nothing is taken.
    package private(set) var known: [ItemActivity.Knowledge] = []
    /// By a scenario's number in the bytes its number now; nil: it is there no more.
    private var scenarios: [Int?] = []
    private var hasFirst = false

    package init() {}

    /// - Parameter itemCount: Items that have numbers.
    /// - Throws: `malformed`, `newerFormat`; what was taken by then is to be thrown away.
    package mutating func take(
        _ bytes: ArraySlice<UInt8>, itemCount: Int, into activity: inout ItemActivity
    ) throws(LiveStateError) {
        var reader = Reader(bytes)
        guard try reader.u32() == ItemActivity.mark else {
            throw LiveStateError(.malformed, "this is no activity of items")
        }
        let version = try reader.u16()
        guard version == ItemActivity.version else {
            throw LiveStateError(
                version > ItemActivity.version ? .newerFormat : .malformed,
                "activity of items of version \(version); this program reads version \(ItemActivity.version)")
        }
        switch try reader.u16() {
        case 0: try takeFirst(&reader, &activity)
        case 1: try takeEntries(&reader, itemCount, &activity)
        case let kind: throw LiveStateError(.malformed, "activity of items has a part of kind \(kind)")
        }
        guard reader.isAtEnd else { throw LiveStateError(.malformed, "activity of items is longer than it says") }
    }

    private mutating func takeFirst(_ reader: inout Reader, _ activity: inout ItemActivity) throws(LiveStateError) {
        let fast = Double(bitPattern: try reader.u64())
        let slow = Double(bitPattern: try reader.u64())
        let isOurs = fast == activity.configuration.fastHalfLife && slow == activity.configuration.slowHalfLife
        known = []
        for _ in 0..<Int(try reader.u16()) {
            let (first, last) = (Int(try reader.u16()), Int(try reader.u16()))
            let through = try reader.u64()
            guard first <= last, last < Slot.count else {
                throw LiveStateError(.malformed, "activity of items knows of slots \(first) to \(last)")
            }
            if isOurs { known.append(ItemActivity.Knowledge(slots: first..<last + 1, through: through)) }
        }
        scenarios = []
        for number in 0..<Int(try reader.u16()) {
            let name = String(decoding: try reader.bytes(Int(try reader.u8())), as: UTF8.self)
            var total = ScenarioTotals()
            total.counts = ItemCounts(
                impressions: try reader.count64(), clicks: try reader.count64(), clicksNow: try reader.count64())
            (total.seconds, total.began) = (try reader.u32(), try reader.u32())
            var now: Int? = number == 0 ? 0 : activity.scenarios[name]
            if !isOurs || (number > 0 && now == 0) { now = nil }
            scenarios.append(now)
            if let now { activity.totals[now] = total }
        }
        hasFirst = true
    }

    private func takeEntries(
        _ reader: inout Reader, _ itemCount: Int, _ activity: inout ItemActivity
    ) throws(LiveStateError) {
        let (scenario, _, count) = (Int(try reader.u16()), try reader.u16(), Int(try reader.u32()))
        guard hasFirst, scenario < scenarios.count else {
            throw LiveStateError(.malformed, "activity of items has a scenario \(scenario) of \(scenarios.count)")
        }
        guard reader.left == count * ItemActivity.entryBytes else {
            throw LiveStateError(.malformed, "\(reader.left) bytes for \(count) items' activity")
        }
        guard let now = scenarios[scenario] else { return reader.skip() }
        for _ in 0..<count {
            let (item, seconds) = (try reader.u32(), try reader.u32())
            guard Int(item) < itemCount else {
                throw LiveStateError(.malformed, "activity of item \(item) of \(itemCount)")
            }
            let counts = ItemCounts(
                impressions: try reader.count32(), clicks: try reader.count32(), clicksNow: try reader.count32())
            activity.tables[now].insert(ItemActivityEntry(item: item, seconds: seconds, counts))
        }
    }

    private struct Reader {
        private let all: ArraySlice<UInt8>
        private var place: Int

        init(_ bytes: ArraySlice<UInt8>) {
            all = bytes
            place = bytes.startIndex
        }

        var left: Int { all.endIndex - place }
        var isAtEnd: Bool { left == 0 }
        mutating func skip() { place = all.endIndex }

        mutating func bytes(_ count: Int) throws(LiveStateError) -> ArraySlice<UInt8> {
            guard count <= left else { throw LiveStateError(.malformed, "activity of items ends too early") }
            defer { place += count }
            return all[place..<place + count]
        }

        private mutating func number<N: FixedWidthInteger & UnsignedInteger>(
            _: N.Type
        ) throws(LiveStateError) -> N {
            let count = N.bitWidth / 8
            guard count <= left else { throw LiveStateError(.malformed, "activity of items ends too early") }
            var value: N = 0
            for byte in 0..<count { value |= N(truncatingIfNeeded: all[place + byte]) << N(8 * byte) }
            place += count
            return value
        }

        mutating func u8() throws(LiveStateError) -> UInt8 { try number(UInt8.self) }
        mutating func u16() throws(LiveStateError) -> UInt16 { try number(UInt16.self) }
        mutating func u32() throws(LiveStateError) -> UInt32 { try number(UInt32.self) }
        mutating func u64() throws(LiveStateError) -> UInt64 { try number(UInt64.self) }

        private func checked(_ count: Double) throws(LiveStateError) -> Double {
            guard count >= 0, count <= 1e30 else { throw LiveStateError(.malformed, "an item's count is \(count)") }
            return count
        }
        mutating func count64() throws(LiveStateError) -> Double { try checked(Double(bitPattern: try u64())) }
        mutating func count32() throws(LiveStateError) -> Double {
            try checked(Double(Float(bitPattern: try u32())))
        }
    }
}
