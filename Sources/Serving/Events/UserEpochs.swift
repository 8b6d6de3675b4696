import Vocabulary

/// When a user's slates last became void: what makes kept answers of before unfit, without looking for them.
///
/// Users share counters: one user's event may void another's kept answers, one in so many. Bounded, never wrong. Users of a slot
/// have counters of their own, side by side, so that the answers of all of them can be voided without knowing who they are.
/// Belongs to a shard.
package final class UserEpochs {
    private var counters: [UInt32]

    /// A user's epoch as it was at some time.
    package struct Stamp: Sendable, Equatable {
        fileprivate var place: UInt32
        fileprivate var epoch: UInt32

        /// Of an answer that no event of a user can void.
        package static let nobody = Stamp(place: .max, epoch: 0)
    }

    private let slots: Range<Int>
    /// Counters of a slot, a power of two.
    private let width: Int

    /// - Parameters:
    ///   - count: Counters, 4 bytes each; rounded up, by up to the double and one for each slot.
    ///   - slots: Of the users; all of them.
    package init(count: Int, slots: Range<Int> = 0..<Slot.count) {
        var width = 1
        while width * slots.count < count { width *= 2 }
        self.width = width
        self.slots = slots
        counters = Array(repeating: 0, count: width * slots.count)
    }

    package var byteCount: Int { counters.count * 4 }

    /// Counters of a shard, so that all shards together have room for four million users.
    package static func count(shards: Int) -> Int { max(1 << 16, (1 << 22) / max(1, shards)) }

    /// Bytes of all shards' counters.
    package static func byteCount(shards: Int) -> Int {
        var size = 1
        while size < count(shards: shards) { size *= 2 }
        return shards * size * 4
    }

    private func place(of user: String) -> Int {
        let hash = XXH64.hash(user)
        // Nobody asks here for users of other slots; should somebody, they share counters with these.
        let slot = (Int(hash % UInt64(Slot.count)) - slots.lowerBound + Slot.count) % slots.count
        // The low bits say which slot the user is of: all of them alike here.
        return slot * width + Int(truncatingIfNeeded: hash >> 32) & (width - 1)
    }

    package func stamp(of user: String) -> Stamp {
        if user.isEmpty { return .nobody }
        let place = place(of: user)
        return Stamp(place: UInt32(place), epoch: counters[place])
    }

    /// Makes all stamps of the user's unfit.
    package func bump(_ user: String) { counters[place(of: user)] &+= 1 }

    /// Makes all stamps of a slot's users unfit.
    ///
    /// - Complexity: O(counters of a slot), a few hundred.
    package func bumpAll(_ slot: Int) {
        guard slots.contains(slot) else { return }
        let start = (slot - slots.lowerBound) * width
        for place in start..<(start + width) { counters[place] &+= 1 }
    }

    @inline(__always)
    package func isFit(_ stamp: Stamp) -> Bool {
        stamp.place == .max || counters[Int(stamp.place)] == stamp.epoch
    }
}
