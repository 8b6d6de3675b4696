import EventLog
import Vocabulary

/// What is known of a user, as it lies in Redis for all nodes: pieces, one behind the other, each of some events.
///
/// ```
///  piece    offset  bytes  little-endian
///                0      4  magic "MU", version 1, 0
///                4      4  bytes of the payload
///                8      8  XXH64 of the payload, its seed XXH64 of the user's ID
///               16      -  payload: `EventRecord`, the events without user, scenario and request ID
/// ```
/// Nodes append pieces and never change one, so two that write at the same time lose nothing. What a record says is the union
/// of its events, in no order and each once (`UserRecord.Identity`): pieces may come twice, and in any order.
/// Bytes that are no sound piece of this user are counted and passed over; the next sound piece counts.
package struct UserRecord: Sendable, Equatable {
    package static let headerBytes = 16
    private static let magic: [UInt8] = [0x4D, 0x55, 1, 0]
    /// Looks for a piece behind damage; further damage is not looked behind.
    private static let resyncsMax = 64

    /// Each once, oldest first.
    package var events: [UserEvent] = []
    /// Sound pieces.
    package var pieces = 0
    /// Places where bytes were passed over, and events that no node could have written.
    package var damages = 0

    /// The bytes of a piece.
    ///
    /// - Parameter events: All of `user`; at least one.
    package static func piece(_ events: [UserEvent], of user: String) -> [UInt8] {
        let payload = EventRecord.encode(
            events.map { event in
                var event = event
                (event.user, event.scenario, event.requestID) = ("", "", "")
                return event
            })
        var bytes: [UInt8] = []
        bytes.reserveCapacity(headerBytes + payload.count)
        bytes += magic
        append(UInt64(payload.count), 4, to: &bytes)
        append(checksum(payload[...], user), 8, to: &bytes)
        bytes += payload
        return bytes
    }

    /// Reads what lies in Redis of `user`; believes nothing of it.
    ///
    /// - Complexity: O(bytes), at most `resyncsMax` times as much where they are damaged.
    package init(_ bytes: [UInt8], of user: String) {
        var read: [UserEvent] = []
        var place = 0
        var resyncs = 0
        var isLost = false
        while place < bytes.count {
            if let end = Self.end(ofPieceAt: place, in: bytes) {
                let payload = bytes[(place + Self.headerBytes)..<end]
                if Self.word(bytes, place + 8, 8) == Self.checksum(payload, user),
                    let events = try? EventRecord.decode(payload)
                {
                    pieces += 1
                    for event in events where Self.sound(event, of: user) == nil { damages += 1 }
                    read += events.compactMap { Self.sound($0, of: user) }
                    place = end
                    isLost = false
                    continue
                }
                resyncs += 1
            }
            if !isLost {
                isLost = true
                damages += 1
            }
            if resyncs >= Self.resyncsMax { break }
            place += 1
        }
        events = Self.union(read)
    }

    package init(events: [UserEvent]) { self.events = Self.union(events) }

    /// The event, where a node could have written it.
    private static func sound(_ event: UserEvent, of user: String) -> UserEvent? {
        let sizes = 1...255
        guard sizes.contains(event.item.utf8.count), sizes.contains(event.type.utf8.count),
            event.id.utf8.count <= 255, event.value?.isFinite ?? true
        else { return nil }
        var event = event
        (event.user, event.scenario, event.requestID) = (user, "", "")
        return event
    }

    private static func end(ofPieceAt place: Int, in bytes: [UInt8]) -> Int? {
        guard bytes.count - place >= headerBytes, bytes[place..<(place + 4)].elementsEqual(magic) else { return nil }
        let count = Int(word(bytes, place + 4, 4))
        return count <= bytes.count - place - headerBytes ? place + headerBytes + count : nil
    }

    private static func checksum(_ payload: ArraySlice<UInt8>, _ user: String) -> UInt64 {
        payload.withUnsafeBytes { XXH64.hash($0, seed: XXH64.hash(user)) }
    }

    private static func word(_ bytes: [UInt8], _ place: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) }
    }

    private static func append(_ value: UInt64, _ count: Int, to bytes: inout [UInt8]) {
        for byte in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }
}

extension UserRecord {
    /// What makes two events of a user the same: item, type and second, as a history knows them.
    package struct Identity: Hashable, Sendable {
        package let item: String
        package let type: String
        package let seconds: UInt64

        package init(_ event: UserEvent) {
            item = event.item
            type = event.type
            seconds = event.timeMilliseconds / 1000
        }
    }

    /// The events, each once, oldest first. Of several that are the same the last counts, by a rule that knows no order of coming.
    package static func union(_ events: [UserEvent]) -> [UserEvent] {
        var kept: [Identity: UserEvent] = [:]
        kept.reserveCapacity(events.count)
        for event in events {
            let identity = Identity(event)
            if let old = kept[identity], !isBefore(old, event) { continue }
            kept[identity] = event
        }
        return kept.values.sorted(by: isBefore)
    }

    /// A total order over a user's events.
    static func isBefore(_ a: UserEvent, _ b: UserEvent) -> Bool {
        if a.timeMilliseconds != b.timeMilliseconds { return a.timeMilliseconds < b.timeMilliseconds }
        if a.item != b.item { return a.item < b.item }
        if a.type != b.type { return a.type < b.type }
        if a.id != b.id { return a.id < b.id }
        switch (a.value, b.value) {
        case (nil, nil): return false
        case (nil, _): return true
        case (_, nil): return false
        case (let a?, let b?): return a.bitPattern < b.bitPattern
        }
    }
}
