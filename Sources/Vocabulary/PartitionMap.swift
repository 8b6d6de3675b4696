/// One of the 16384 shares that users are dealt into.
public struct Slot: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// How many slots there are.
    public static let count = 16384

    /// `0..<Slot.count`.
    public let value: UInt16

    /// - Precondition: `value < Slot.count`.
    @inlinable
    public init(_ value: UInt16) {
        precondition(value < UInt16(Slot.count), "slot \(value) is not below \(Slot.count)")
        self.value = value
    }

    /// The slot of a user: `XXH64(userID, seed 0) % 16384`. The tenant takes no part.
    public init(user: UnsafeRawBufferPointer) {
        self.value = UInt16(XXH64.hash(user) % UInt64(Slot.count))
    }

    /// The slot of a user.
    public init(user: String) {
        self.value = UInt16(XXH64.hash(user) % UInt64(Slot.count))
    }

    public static func < (a: Slot, b: Slot) -> Bool { a.value < b.value }

    public var description: String { String(value) }
}

/// Which shard of a node owns which slots: contiguous ranges, as even as they can be.
///
/// Client, server and trainer use this one function. Its `version` travels in the hello and the welcome,
/// so that two sides that would disagree find out before the first call.
public struct PartitionMap: Hashable, Sendable {
    /// Changes when the way from a user to a slot, or from a slot to a shard, changes.
    public static let version: UInt32 = 1

    /// `1...Slot.count`.
    public let shardCount: Int

    /// - Precondition: `shardCount` is in `1...Slot.count`.
    public init(shardCount: Int) {
        precondition((1...Slot.count).contains(shardCount), "\(shardCount) shards; allowed: 1...\(Slot.count)")
        self.shardCount = shardCount
    }

    /// The shard that owns `slot`, in `0..<shardCount`.
    @inlinable
    public func shard(of slot: Slot) -> Int {
        Int(slot.value) * shardCount / Slot.count
    }

    /// The slots that `shard` owns.
    public func slots(of shard: Int) -> Range<Int> {
        precondition((0..<shardCount).contains(shard), "shard \(shard) of \(shardCount)")
        let lower = (shard * Slot.count + shardCount - 1) / shardCount
        let upper = ((shard + 1) * Slot.count + shardCount - 1) / shardCount
        return lower..<upper
    }
}
