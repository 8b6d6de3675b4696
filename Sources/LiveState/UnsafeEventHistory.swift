/// An event as it stands in a history. At most 14 bytes.
///
/// ```
/// u16  bits 0-4 type | 5-6 bytes of the item, less one | 7-9 bytes of the pause, 0 to 4 | 10-11 kind of the value
///      item number    pause: seconds since the event before    value
/// ```
/// Kinds of values: 0 none; 1 one byte, eighths; 2 two bytes, the upper half of a Float32; 3 a Float32. A value has the
/// first kind that holds it exactly. Lengths stand in front, and not in each byte as in varints, so that decoding an event
/// does not branch.
struct PackedEvent {
    var item: UInt32
    var pause: UInt32
    var type: UInt8
    var valueKind: UInt8
    /// The value's bytes.
    var valueBits: UInt32

    static let bytesMax = 14

    @inline(__always)
    init(_ event: UserEvent, pause: UInt32) {
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
        let control = place.loadUnaligned(as: UInt16.self)
        place += 2
        let itemBytes = Int(control >> 5 & 3) + 1
        let pauseBytes = Int(control >> 7 & 7)
        type = UInt8(control & 31)
        valueKind = UInt8(control >> 10 & 3)
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
        let control =
            UInt16(type) | UInt16(itemBytes - 1) << 5 | UInt16(pauseBytes) << 7 | UInt16(valueKind) << 10
        place.storeBytes(of: control, as: UInt16.self)
        place.storeBytes(of: item, toByteOffset: 2, as: UInt32.self)
        place.storeBytes(of: pause, toByteOffset: 2 + itemBytes, as: UInt32.self)
        place += 2 + itemBytes + pauseBytes
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
    mutating func insert(_ event: UserEvent) {
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
    private mutating func append(_ event: UserEvent) {
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

    private mutating func appendMoving(_ event: UserEvent, at offset: Int) {
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
    private mutating func insertBetween(_ event: UserEvent) {
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
