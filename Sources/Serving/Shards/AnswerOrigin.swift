import Vocabulary

/// What an answer depends on beside the bytes of its request: two shards with equal origins give equal answers.
///
/// Epochs and numbers of items are a process's own, so this says what they stand for: a bundle by its checksums, a user by the
/// rows that count for and against it. Whoever finds an answer with an equal origin may show it, in whatever process it was made.
package struct AnswerOrigin: Sendable, Equatable {
    /// Who is answered.
    package var userID: String
    /// Of the bundle.
    package var bundle: UInt64
    /// Answers name it, and cursors in them.
    package var generation: UInt64
    /// Of what events tell of the user.
    package var user: UInt64
    /// For the cache of this shard.
    package var stamp: UserEpochs.Stamp

    package static func == (a: AnswerOrigin, b: AnswerOrigin) -> Bool {
        a.userID == b.userID && a.bundle == b.bundle && a.generation == b.generation && a.user == b.user
    }
}

extension LiveUsers.Knowledge {
    /// Equal for equal taste and equal items that are not to be shown, by rows of one bundle.
    ///
    /// - Complexity: O(events + seen items).
    package var fingerprint: UInt64 {
        guard isKnown else { return 0 }
        var hash: UInt64 = 1
        func mix(_ hash: UInt64, _ value: UInt64) -> UInt64 {
            var mixed = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
            mixed ^= mixed >> 29
            mixed &*= 0xBF58_476D_1CE4_E5B9
            return mixed ^ (mixed >> 32)
        }
        for (row, weight) in zip(liked, weights) { hash = mix(hash, UInt64(row) << 32 | UInt64(weight.bitPattern)) }
        // A set: its order says nothing, and is not the same everywhere; each row once, as seen and hidden may both name it.
        hash = mix(hash, UInt64(liked.count))
        var last: UInt32?
        for row in blocked.sorted() where row != last {
            hash = mix(hash, UInt64(row) | 1 << 32)
            last = row
        }
        return hash
    }
}
