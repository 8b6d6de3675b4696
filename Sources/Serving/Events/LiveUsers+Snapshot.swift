import LiveState
import Vocabulary

/// What is known of users as bytes, for snapshots: some slots at a time, so that a loop is never held up for long.
///
/// ```
/// u16 first slot   u16 behind the last one   then of each slot that has users: u32 bytes, the bytes of `UserStates.serialise`
/// ```
extension LiveUsers {
    /// The users of the shard's next slots.
    ///
    /// - Parameters:
    ///   - slot: Where to begin; of this shard.
    ///   - bytesMax: Goes on to another slot only below.
    ///   - clock: Uptime in nanoseconds; goes on to another slot only before `until`.
    /// - Returns: The slots, and their users.
    package func usersAsBytes(
        from slot: Int, bytesMax: Int, until: UInt64, clock: () -> UInt64
    ) -> (slots: Range<Int>, bytes: [UInt8]) {
        var bytes: [UInt8] = [0, 0, 0, 0]
        var end = slot
        repeat {
            let number = Slot(UInt16(end))
            if states.userCount(number) > 0 {
                let start = bytes.count
                bytes += [0, 0, 0, 0]
                states.serialise(number, into: &bytes)
                Self.put(UInt32(bytes.count - start - 4), 4, at: start, in: &bytes)
            }
            end += 1
            // The clock costs as much as an empty slot.
        } while end < states.slots.upperBound && bytes.count < bytesMax && (end % 16 != 0 || clock() < until)
        Self.put(UInt32(slot), 2, at: 0, in: &bytes)
        Self.put(UInt32(end), 2, at: 2, in: &bytes)
        return (slot..<end, bytes)
    }

    private static func put(_ value: UInt32, _ count: Int, at place: Int, in bytes: inout [UInt8]) {
        for byte in 0..<count { bytes[place + byte] = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte)) }
    }

    private static func number(_ count: Int, at place: Int, in bytes: ArraySlice<UInt8>) -> Int {
        (0..<count).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) }
    }

    /// Takes the IDs of late events that shards knew: this one's, or, where there were others, those of all.
    ///
    /// - Throws: `LiveStateError`.
    package func load(repeats: [[UInt8]]) throws(LiveStateError) {
        guard let first = repeats.first else { return }
        if repeats.count == 1 { return try recent.load(first) }
        // Which of them are this shard's cannot be told, so there must be room for all.
        let larger = try RecentEvents(
            capacity: recent.capacity + repeats.reduce(0) { $0 + $1.count / 8 }, seed: recent.seed)
        try larger.load(first)
        for other in repeats.dropFirst() { try larger.add(other) }
        recent = larger
    }

    /// Forgets all users.
    package func removeAll() {
        for slot in states.slots { states.removeAll(Slot(UInt16(slot))) }
    }

    /// The slots that such bytes speak of, and for each that has users their bytes.
    ///
    /// - Throws: `LiveStateError` for bytes that are no such.
    package static func slots(
        in bytes: ArraySlice<UInt8>
    ) throws(LiveStateError) -> (slots: Range<Int>, users: [ArraySlice<UInt8>]) {
        let fault = LiveStateError(.malformed, "these are not users of slots")
        guard bytes.count >= 4 else { throw fault }
        let (first, end) = (
            number(2, at: bytes.startIndex, in: bytes), number(2, at: bytes.startIndex + 2, in: bytes)
        )
        guard first < end, end <= Slot.count else { throw fault }
        var users: [ArraySlice<UInt8>] = []
        var place = bytes.startIndex + 4
        while place < bytes.endIndex {
            guard bytes.endIndex - place >= 8 else { throw fault }
            let count = number(4, at: place, in: bytes)
            // The slot's number stands behind mark and version.
            guard count >= 8, count <= bytes.endIndex - place - 4 else { throw fault }
            users.append(bytes[(place + 4)..<(place + 4 + count)])
            place += 4 + count
        }
        return (first..<end, users)
    }
}
