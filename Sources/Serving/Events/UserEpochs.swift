import Vocabulary

/// When a user's slates last became void: what makes kept answers of before unfit, without looking for them.
///
/// Users share counters: one user's event may void another's kept answers, one in so many. Bounded, never wrong.
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

    /// - Parameter count: Counters, 4 bytes each; rounded up to a power of two.
    package init(count: Int) {
        var size = 1
        while size < count { size *= 2 }
        counters = Array(repeating: 0, count: size)
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
        // The low bits say which shard the user is of: all of them alike here.
        Int(truncatingIfNeeded: XXH64.hash(user) >> 32) & (counters.count - 1)
    }

    package func stamp(of user: String) -> Stamp {
        if user.isEmpty { return .nobody }
        let place = place(of: user)
        return Stamp(place: UInt32(place), epoch: counters[place])
    }

    /// Makes all stamps of the user's unfit.
    package func bump(_ user: String) { counters[place(of: user)] &+= 1 }

    @inline(__always)
    package func isFit(_ stamp: Stamp) -> Bool {
        stamp.place == .max || counters[Int(stamp.place)] == stamp.epoch
    }
}
