import Vocabulary

/// Numbers of items as bytes. Damage is found, but not all: whoever stores them adds a checksum. Little-endian.
///
/// ```
///  0  "MLIN"   4  u32 version, 1   8  u32 number of the first   12  u32 how many
/// 16  of each, by number: u8 bytes of the ID, the ID
/// ```
extension ItemNumbers {
    private static let mark: UInt32 = 0x4E49_4C4D
    private static let version: UInt32 = 1
    private static let headerBytes = 16

    /// Appends the items from a number on to `bytes`: everything, or what has come since an earlier call.
    ///
    /// - Parameter end: Behind the last number; nil: all that there are.
    /// - Returns: Behind the last number that was written.
    @discardableResult
    package func serialise(from first: Int = 0, to end: Int? = nil, into bytes: inout [UInt8]) -> Int {
        let end = min(count, end ?? .max)
        let first = min(max(0, first), end)
        for number in [Self.mark, Self.version, UInt32(first), UInt32(end - first)] {
            withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
        }
        for number in first..<end {
            guard let id = id(UInt32(number)) else { preconditionFailure("item \(number) of \(end) has no ID") }
            bytes.append(UInt8(id.count))
            bytes.append(contentsOf: id)
        }
        return end
    }

    /// Gives numbers to the items of `serialise`, which must begin where the numbers end.
    ///
    /// - Returns: How many items came.
    /// - Throws: `malformed`, `newerFormat`, and `full` where there are more than `countMax`. Items in front of the fault
    ///   stay; whoever reads damaged bytes throws the object away.
    /// - Complexity: O(bytes).
    @discardableResult
    package func load(_ bytes: UnsafeRawBufferPointer) throws(LiveStateError) -> Int {
        guard bytes.count >= Self.headerBytes, bytes.loadUnaligned(as: UInt32.self) == Self.mark else {
            throw LiveStateError(.malformed, "these are not numbers of items")
        }
        func field(_ offset: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        guard field(4) <= Int(Self.version) else {
            throw LiveStateError(
                .newerFormat, "numbers of items of version \(field(4)); this program reads version \(Self.version)")
        }
        let (first, wanted) = (field(8), field(12))
        guard field(4) == Int(Self.version), first == count else {
            throw LiveStateError(
                .malformed, "numbers of items of version \(field(4)) from \(first) on; wanted: 1, from \(count) on")
        }
        var place = Self.headerBytes
        for number in first..<(first + wanted) {
            guard place < bytes.count, place + 1 + Int(bytes[place]) <= bytes.count else {
                throw LiveStateError(.malformed, "the bytes end at item \(number) of \(first + wanted)")
            }
            let id = UnsafeRawBufferPointer(rebasing: bytes[(place + 1)..<(place + 1 + Int(bytes[place]))])
            guard !id.isEmpty, id.isUTF8 else {
                throw LiveStateError(.malformed, "item \(number) has an ID that is not 1 to 255 bytes of UTF-8")
            }
            guard let given = numberAdding(id) else {
                throw LiveStateError(
                    .full, "item \(number) is one too many: there may be \(countMax) items; allow more")
            }
            guard given == UInt32(number) else {
                throw LiveStateError(.malformed, "items \(given) and \(number) have the same ID")
            }
            place += 1 + id.count
        }
        guard place == bytes.count else {
            throw LiveStateError(.malformed, "\(bytes.count - place) bytes are left over behind the items")
        }
        return wanted
    }

    /// The same, from an array.
    @discardableResult
    package func load(_ bytes: [UInt8]) throws(LiveStateError) -> Int {
        let result = bytes.withUnsafeBytes { bytes -> Result<Int, LiveStateError> in
            do throws(LiveStateError) { return .success(try load(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
