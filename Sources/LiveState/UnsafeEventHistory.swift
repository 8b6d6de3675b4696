/// An event as it stands in a history. At most 14 bytes, 5 or 6 for most.
///
/// ```
/// u8   bits 0-2 type | 3-4 bytes of the item, less one | 5-6 bytes of the pause, 0 to 3 | 7: one more such byte follows
/// u8   bits 0-1 type, its upper bits | 2-3 kind of the value | 4: four more bytes of pause | 5-7 zero
///      item number    pause: seconds since the event before    value
/// ```
/// Kinds of values: 0 none; 1 one byte, eighths; 2 two bytes, the upper half of a Float32; 3 a Float32. A value has the
/// first kind that holds it exactly. Lengths stand in front, and not in each byte as in varints, so that decoding most
/// events does not branch.
struct PackedEvent {
    var item: UInt32
    var pause: UInt32
    var type: UInt8
    var valueKind: UInt8
    /// The value's bytes.
    var valueBits: UInt32

    static let bytesMax = 14

    /// Bytes of an event without a value, on average, where it may be of any of so many items and comes some hours or days
    /// after the one before: type and lengths, about two bytes of seconds, the item.
    static func bytes(items: Int) -> Double {
        guard items > 1 else { return 2.83 }
        let count = Double(items)
        var item = 0.0
        for bytes in 1...4 {
            // Those whose number is as long, as a share.
            let from = bytes == 1 ? 0 : Double(1 << (8 * (bytes - 1)))
            item += Double(bytes) * max(0, min(count, Double(1 << (8 * bytes))) - from) / count
        }
        return 1 + 1.83 + item
    }

    @inline(__always)
    init(_ event: HistoryEvent, pause: UInt32) {
        item = event.item
        self.pause = pause
        type = event.type & 31
        guard let value = event.value, value.isFinite else {
            (valueKind, valueBits) = (0, 0)
            return
        }
        let eighths = value * 8
        if eighths >= 0, eighths <= 255, eighths == eighths.rounded(), !(value == 0 && value.sign == .minus) {
            (valueKind, valueBits) = (1, UInt32(eighths))
        } else if value.bitPattern & 0xFFFF == 0 {
            (valueKind, valueBits) = (2, value.bitPattern >> 16)
        } else {
            (valueKind, valueBits) = (3, value.bitPattern)
        }
    }

    var value: Float? {
        switch valueKind {
        case 0: nil
        case 1: Float(valueBits) / 8
        case 2: Float(bitPattern: valueBits << 16)
        default: Float(bitPattern: valueBits)
        }
    }

    /// Reads the event at `place` and moves `place` behind it. Loads up to 4 bytes more than the event has.
    @inline(__always)
    init(reading place: inout UnsafeRawPointer) {
        let control = place.load(as: UInt8.self)
        place += 1
        let itemBytes = Int(control >> 3 & 3) + 1
        var pauseBytes = Int(control >> 5 & 3)
        type = control & 7
        valueKind = 0
        if control & 0x80 != 0 {
            let more = place.load(as: UInt8.self)
            place += 1
            type |= (more & 3) << 3
            valueKind = more >> 2 & 3
            pauseBytes += Int(more >> 2 & 4)
        }
        item = Self.load(place, itemBytes)
        pause = Self.load(place + itemBytes, pauseBytes)
        place += itemBytes + pauseBytes
        valueBits = 0
        if valueKind != 0 {
            let valueBytes = Int(valueKind) + (valueKind == 3 ? 1 : 0)
            valueBits = Self.load(place, valueBytes)
            place += valueBytes
        }
    }

    @inline(__always)
    static func load(_ place: UnsafeRawPointer, _ bytes: Int) -> UInt32 {
        place.loadUnaligned(as: UInt32.self) & UInt32(truncatingIfNeeded: (UInt64(1) << UInt64(bytes * 8)) &- 1)
    }

    @inline(__always)
    static func byteCount(_ number: UInt32) -> Int { (32 - number.leadingZeroBitCount + 7) >> 3 }

    /// Writes the event and moves `place` behind it. Needs room for `bytesMax`.
    @inline(__always)
    func write(to place: inout UnsafeMutableRawPointer) {
        let itemBytes = max(1, Self.byteCount(item))
        let pauseBytes = Self.byteCount(pause)
        let more = type >> 3 | valueKind << 2 | UInt8(pauseBytes & 4) << 2
        let control = type & 7 | UInt8(itemBytes - 1) << 3 | UInt8(pauseBytes & 3) << 5
        place.storeBytes(of: more == 0 ? control : control | 0x80, as: UInt8.self)
        place.storeBytes(of: more, toByteOffset: 1, as: UInt8.self)
        place += more == 0 ? 1 : 2
        place.storeBytes(of: item, as: UInt32.self)
        place.storeBytes(of: pause, toByteOffset: itemBytes, as: UInt32.self)
        place += itemBytes + pauseBytes
        place.storeBytes(of: valueBits, as: UInt32.self)
        place += Int(valueKind) + (valueKind == 3 ? 1 : 0)
    }
}

/// Room for the bytes of two events, on the stack.
typealias EventBytes = (UInt64, UInt64, UInt64, UInt64, UInt64)

extension UserBlob {
    /// Calls `body` with each event of the history, oldest first.
    @inline(__always)
    func forEachEvent(_ body: (PackedEvent, _ seconds: UInt32) -> Void) {
        var place = UnsafeRawPointer(base + historyOffset)
        var seconds = historyBase
        for _ in 0..<historyCount {
            let event = PackedEvent(reading: &place)
            seconds &+= event.pause
            body(event, seconds)
        }
    }

    /// The oldest event of the history. - Precondition: there is one.
    var oldestEvent: (event: PackedEvent, seconds: UInt32, bytes: Int) {
        let start = UnsafeRawPointer(base + historyOffset)
        var place = start
        let event = PackedEvent(reading: &place)
        return (event, historyBase &+ event.pause, place - start)
    }

    /// Puts an event at its time, behind others of the same second.
    ///
    /// - Complexity: O(1) for the newest, O(events) else.
    mutating func insert(_ event: HistoryEvent) {
        if historyCount == 0 {
            historyBase = event.seconds
            historyLast = event.seconds
        }
        if event.seconds >= historyLast {
            append(event)
        } else {
            insertBetween(event)
        }
        historyCount += 1
    }

    @inline(__always)
    private mutating func append(_ event: HistoryEvent) {
        let offset = usedBytes
        if offset + PackedEvent.bytesMax + Self.slackBytes <= Int(capacity) {
            var place = base + offset
            PackedEvent(event, pause: event.seconds - historyLast).write(to: &place)
            historyBytes += place - (base + offset)
        } else {
            appendMoving(event, at: offset)
        }
        historyLast = event.seconds
    }

    private mutating func appendMoving(_ event: HistoryEvent, at offset: Int) {
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            PackedEvent(event, pause: event.seconds - historyLast).write(to: &place)
            replace(at: offset, 0, with: start, place - start)
            return place - start
        }
        historyBytes += count
    }

    /// Puts an event in front of the first that is later: both are written anew. - Precondition: one is later.
    private mutating func insertBetween(_ event: HistoryEvent) {
        if event.seconds < historyBase {
            lowerBase(to: event.seconds)
        }
        let start = UnsafeRawPointer(base + historyOffset)
        var place = start
        var before = historyBase
        var next = PackedEvent(reading: &place)
        var nextStart = start
        while before &+ next.pause <= event.seconds {
            before &+= next.pause
            nextStart = place
            next = PackedEvent(reading: &place)
        }
        let removed = place - nextStart
        let offset = nextStart - UnsafeRawPointer(base)
        next.pause -= event.seconds - before
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            PackedEvent(event, pause: event.seconds - before).write(to: &place)
            next.write(to: &place)
            replace(at: offset, removed, with: start, place - start)
            return place - start
        }
        historyBytes += count - removed
    }

    /// Lets the first event count from an earlier second.
    private mutating func lowerBase(to seconds: UInt32) {
        var (first, _, removed) = oldestEvent
        first.pause += historyBase - seconds
        var bytes: EventBytes = (0, 0, 0, 0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            var place = start
            first.write(to: &place)
            replace(at: historyOffset, removed, with: start, place - start)
            return place - start
        }
        historyBytes += count - removed
        historyBase = seconds
    }

    /// Takes the oldest event out; its item becomes one that was lately seen where `seen` has its type.
    ///
    /// - Precondition: There is an event, and room among the lately seen.
    mutating func removeOldest(seen: EventTypeSet) {
        let (event, seconds, removed) = oldestEvent
        if seen.contains(event.type) {
            replaceWithLatelySeen(
                SetEntry(item: event.item, seconds: seconds, type: event.type), at: historyOffset, removed)
        } else {
            var nothing: UInt8 = 0
            replace(at: historyOffset, removed, with: &nothing, 0)
        }
        historyBytes -= removed
        historyCount -= 1
        historyBase = seconds
    }
}
