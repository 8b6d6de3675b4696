import Vocabulary

/// The users of a slot as bytes. Damage is found, but not all: whoever stores them adds a checksum. Little-endian.
///
/// ```
///  0  "MLUS"   4  u16 version, 1   6  u16 slot
///  8  u64  XXH64 of the names of the event types (`EventTypes.digest`)
/// 16  u32  how many event types
/// 20  u32  users
/// 24  of each user: u32 bytes, these included; then what stands in `UserBlob` from byte 4 on
/// ```
extension UserStates {
    private static let mark: UInt32 = 0x5355_4C4D
    private static let version: UInt16 = 1
    private static let headerBytes = 24

    /// Appends the users of a slot to `bytes`.
    ///
    /// - Complexity: O(bytes): a copy of each user's memory.
    package func serialise(_ slot: Slot, into bytes: inout [UInt8]) {
        var users = 0
        var total = Self.headerBytes
        forEachBlob(slot) { blob in
            users += 1
            total += blob.usedBytes
        }
        let start = bytes.count
        bytes.reserveCapacity(start + total)
        func append(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(Self.mark)
        append(Self.version)
        append(slot.value)
        append(types.digest(types.count))
        append(UInt32(types.count))
        append(UInt32(users))
        forEachBlob(slot) { blob in
            append(UInt32(blob.usedBytes))
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: blob.base + 4, count: blob.usedBytes - 4))
        }
    }

    /// The users of a slot as bytes.
    package func serialise(_ slot: Slot) -> [UInt8] {
        var bytes: [UInt8] = []
        serialise(slot, into: &bytes)
        return bytes
    }

    /// Takes the users of a slot from bytes of `serialise`, in the place of those that are there. Users above `bytesMax`
    /// are evicted.
    ///
    /// - Parameter itemCount: How many items have numbers; a user with another item is refused.
    /// - Returns: The slot, and how many users it has in the bytes.
    /// - Throws: `malformed`, `newerFormat`, `typesChanged`; nothing is changed then.
    /// - Complexity: O(bytes) time and memory, whatever they hold.
    @discardableResult
    package func load(
        _ bytes: UnsafeRawBufferPointer, itemCount: UInt64 = 1 << 32
    ) throws(LiveStateError) -> (slot: Slot, users: Int) {
        let (slot, rules, users) = try header(bytes, itemCount: itemCount)
        // Decoding looks a few bytes further than what it decodes.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 64, alignment: 16)
        defer { copy.deallocate() }
        copy.copyMemory(from: bytes)
        guard let base = copy.baseAddress else { throw Self.malformed(slot, "no bytes") }
        var found: [(blob: UserBlob, hash: UInt64)] = []
        found.reserveCapacity(min(users, bytes.count / UserBlob.headerBytes))
        var place = Self.headerBytes
        for number in 0..<users {
            let rest = bytes.count - place
            guard rest >= UserBlob.headerBytes else { throw Self.malformed(slot, "it ends before user \(number)") }
            let blob = UserBlob(base + place, nil)
            let size = Int(blob.capacity)
            guard size <= rest else { throw Self.malformed(slot, "it ends within user \(number)") }
            if let fault = blob.fault(bytes: size, rules) { throw Self.malformed(slot, "user \(number): \(fault)") }
            let hash = XXH64.hash(blob.id)
            guard hash % UInt64(Slot.count) == UInt64(slot.value) else {
                throw Self.malformed(slot, "user \(number) belongs to slot \(hash % UInt64(Slot.count))")
            }
            found.append((blob, hash))
            place += size
        }
        guard place == bytes.count else { throw Self.malformed(slot, "\(bytes.count - place) bytes are left over") }
        try checkDistinct(found, slot)
        replace(slot, with: found)
        return (slot, users)
    }

    /// The same, from an array.
    @discardableResult
    package func load(_ bytes: [UInt8], itemCount: UInt64 = 1 << 32) throws(LiveStateError) -> (slot: Slot, users: Int)
    {
        let result = bytes.withUnsafeBytes { bytes -> Result<(slot: Slot, users: Int), LiveStateError> in
            do throws(LiveStateError) { return .success(try load(bytes, itemCount: itemCount)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func header(
        _ bytes: UnsafeRawBufferPointer, itemCount: UInt64
    ) throws(LiveStateError) -> (Slot, BlobRules, users: Int) {
        guard bytes.count >= Self.headerBytes, bytes.loadUnaligned(as: UInt32.self) == Self.mark else {
            throw LiveStateError(.malformed, "these are not users of a slot")
        }
        let version = bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        guard version <= Self.version else {
            throw LiveStateError(
                .newerFormat, "users of version \(version); this program reads version \(Self.version)")
        }
        let number = bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        guard version == Self.version, slots.contains(Int(number)) else {
            throw LiveStateError(
                .malformed,
                "users of slot \(number), version \(version); wanted: slots \(slots), version \(Self.version)")
        }
        let typeCount = bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
        guard typeCount >= 1, typeCount <= UInt32(types.count),
            bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == types.digest(Int(typeCount))
        else {
            throw LiveStateError(
                .typesChanged,
                "slot \(number) was stored with \(typeCount) event types of other names or order; give the names that were"
                    + " stored beside it to the table of event types")
        }
        let users = Int(bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
        guard users <= (bytes.count - Self.headerBytes) / UserBlob.headerBytes else {
            throw LiveStateError(.malformed, "slot \(number): too few bytes for \(users) users")
        }
        return (Slot(number), BlobRules(typeCount: Int(typeCount), itemCount: itemCount), users)
    }

    private func checkDistinct(_ found: [(blob: UserBlob, hash: UInt64)], _ slot: Slot) throws(LiveStateError) {
        let order = found.indices.sorted { found[$0].hash < found[$1].hash }
        for (one, other) in zip(order, order.dropFirst()) where found[one].hash == found[other].hash {
            // Different users of one hash are next to impossible, and not worth a comparison of each with each.
            if found[one].blob.id.elementsEqual(found[other].blob.id) {
                throw Self.malformed(slot, "users \(min(one, other)) and \(max(one, other)) are the same")
            }
        }
    }

    private static func malformed(_ slot: Slot, _ fault: String) -> LiveStateError {
        LiveStateError(.malformed, "slot \(slot): \(fault)")
    }
}
