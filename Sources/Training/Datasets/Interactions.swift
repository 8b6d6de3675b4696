/// Who did what with which item, when: one entry per user and item, grouped by user, oldest first.
///
/// ```
/// offsets  [0, 3, 5, ...]      the entries of user row u are offsets[u]..<offsets[u + 1]
/// items    [7, 2, 9, 2, 1 ...] item rows, in the order of time; in the order of the file where there are no times
/// ```
/// A user or an item may have no entry (a split leaves some empty); an import has none such.
package struct Interactions: Sendable, Equatable {
    package var users: IDTable
    package var items: IDTable
    package var offsets: [Int]
    package var itemRows: [UInt32]
    /// The value (rating, weight) of the last time; 1 where the file has none.
    package var values: [Float]
    /// Milliseconds since 1970-01-01 UTC; nil when the file has no times.
    package var times: [Int64]?
    /// How often the pair stood in the file; nil when no pair stood there twice.
    package var repeats: [UInt32]?

    package var count: Int { itemRows.count }
    package var userCount: Int { users.count }
    package var itemCount: Int { items.count }

    /// The places of the entries of `user` in the columns.
    package func range(of user: Int) -> Range<Int> { offsets[user]..<offsets[user + 1] }

    /// How many users have each item.
    package func itemCounts() -> [Int] {
        var counts = [Int](repeating: 0, count: itemCount)
        for item in itemRows { counts[Int(item)] += 1 }
        return counts
    }

    /// The entries at `kept` only (ascending places), under the same user and item rows.
    package func subset(_ kept: [Bool]) -> Interactions {
        precondition(kept.count == count, "\(kept.count) marks for \(count) interactions")
        var offsets = [0]
        offsets.reserveCapacity(self.offsets.count)
        var places: [Int] = []
        for user in 0..<userCount {
            for place in range(of: user) where kept[place] { places.append(place) }
            offsets.append(places.count)
        }
        return Interactions(
            users: users, items: items, offsets: offsets,
            itemRows: places.map { itemRows[$0] }, values: places.map { values[$0] },
            times: times.map { times in places.map { times[$0] } },
            repeats: repeats.map { repeats in places.map { repeats[$0] } })
    }
}

/// What an import found, for the person who asked for it.
package struct ImportReport: Sendable, Equatable {
    package var files: [String] = []
    package var format: InteractionFormat = .csv
    /// Lines with something in them, the header not counted.
    package var lines = 0
    /// User and item pairs read, before duplicates are merged.
    package var pairs = 0
    /// Pairs that stood in the file before.
    package var duplicates = 0
    /// Pairs left out because their value is below the minimum (or not above zero, without one).
    package var belowMinimum = 0
    /// Lines left out because they could not be read; only with `skipBadLines`.
    package var badLines = 0
    /// The first few of them, with the reason.
    package var badLineSamples: [String] = []
    package var hasValues = false
    package var hasTimes = false
}
