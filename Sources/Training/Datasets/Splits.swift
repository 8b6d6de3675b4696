import Vocabulary

/// How held-out interactions are chosen.
package enum SplitMethod: String, CaseIterable, Sendable {
    /// The last item of every user with at least two.
    case leaveLastOut = "leave-last-out"
    /// A share of each user's items, at random; every user keeps at least one.
    case random
    /// A share of each user's items, the last ones; every user keeps at least one.
    case latest
    /// What happened after a point in time, the same for all users.
    case temporal

    package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// A cut of interactions into a part to learn from and a part to be asked about, under the same rows.
package struct Split: Sendable {
    package let training: Interactions
    package let test: Interactions
}

extension Interactions {
    /// Cuts the interactions in two. The same input, method, share and seed give the same cut.
    ///
    /// - Parameters:
    ///   - share: The part to hold out, `0 < share < 1`. `leaveLastOut` takes no notice of it.
    ///   - seed: For `random`: each user is cut by a stream of its own, from the seed and the user's ID, so that the cut of a
    ///     user does not depend on the order of the file or on other users.
    /// - Throws: `DatasetError` when `temporal` finds no times, or nothing would be left on one side.
    package func split(_ method: SplitMethod, share: Double = 0.2, seed: UInt64 = 1) throws(DatasetError) -> Split {
        precondition(share > 0 && share < 1, "share \(share) is not between 0 and 1")
        var isTest = [Bool](repeating: false, count: count)
        switch method {
        case .leaveLastOut:
            for user in 0..<userCount where range(of: user).count >= 2 { isTest[offsets[user + 1] - 1] = true }
        case .random:
            for user in 0..<userCount { markRandom(user, share, seed, &isTest) }
        case .latest:
            for user in 0..<userCount {
                let range = range(of: user)
                let kept = max(1, range.count - Int((Double(range.count) * share).rounded()))
                for place in range.dropFirst(kept) { isTest[place] = true }
            }
        case .temporal:
            guard let times else {
                throw DatasetError(
                    .empty, "a temporal split needs timestamps, and the file has none; use leave-last-out or random")
            }
            let ordered = times.sorted()
            let cut = ordered[min(ordered.count - 1, Int((Double(ordered.count) * (1 - share)).rounded(.up)))]
            for place in 0..<count { isTest[place] = times[place] >= cut }
        }
        let split = Split(training: subset(isTest.map { !$0 }), test: subset(isTest))
        guard split.training.count > 0, split.test.count > 0 else {
            throw DatasetError(
                .empty,
                "the \(method.rawValue) split leaves \(split.training.count.counted("interaction")) to learn from and "
                    + "\(split.test.count) to test with; there are too few")
        }
        return split
    }

    private func markRandom(_ user: Int, _ share: Double, _ seed: UInt64, _ isTest: inout [Bool]) {
        let range = range(of: user)
        // Rounded by chance, so that users with few items are cut too, at the right rate on the whole.
        var random = SplitMix64(seed: seed &+ users.hash(UInt32(user)))
        let exact = Double(range.count) * share
        var wanted = Int(exact)
        if random.unit() < exact - Double(wanted) { wanted += 1 }
        wanted = min(wanted, range.count - 1)
        guard wanted > 0 else { return }
        // Drawn among the items in the order of their IDs, which does not depend on the order of the file.
        var places = range.sorted { items.precedes(itemRows[$0], itemRows[$1]) }
        for drawn in 0..<wanted {
            let other = drawn + Int(random.next() % UInt64(places.count - drawn))
            places.swapAt(drawn, other)
            isTest[places[drawn]] = true
        }
    }
}

/// A small random stream with a fixed definition, so that a seed means the same everywhere.
///
/// Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// In `0..<1`.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
