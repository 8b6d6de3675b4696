/// The activity of all items of a node: decayed counts by scenario and over all of them, and what trends.
///
/// Deltas of the shards are merged into it, and views of it are handed out. Belongs to one owner: the merger of a node, or
/// a trainer that replays events in the order of their times. Times are seconds since 1970 and come from the caller.
package struct ItemActivity: Sendable {
    package let configuration: ItemActivityConfiguration
    package let scenarios: ScenarioNumbers

    /// By a scenario's number.
    var tables: [ItemActivityTable]
    var totals: [ScenarioTotals]
    /// By a scenario's number: the items with the highest trends, some more than are listed.
    var leaders: [[TrendingItem]]
    /// Merges since all trends were looked at.
    var mergesSinceFullPass = 0
    private var counts = ItemActivityStatistics()

    /// - Throws: `invalidConfiguration`.
    package init(_ configuration: ItemActivityConfiguration, scenarios: [String]) throws(LiveStateError) {
        try configuration.validate()
        self.configuration = configuration
        self.scenarios = ScenarioNumbers(scenarios)
        let count = self.scenarios.count
        tables = Array(repeating: ItemActivityTable(), count: count)
        totals = Array(repeating: ScenarioTotals(), count: count)
        leaders = Array(repeating: [], count: count)
    }

    package var statistics: ItemActivityStatistics {
        var counts = counts
        counts.items = tables[0].count
        counts.entries = tables.reduce(0) { $0 + $1.count }
        counts.bytes = bytes
        return counts
    }

    private var bytes: Int { tables.reduce(0) { $0 + $1.bytes } }

    /// About what so many items take that had events in one scenario: they are counted there, and over all.
    package static func byteCount(items: Int) -> Int { 2 * ItemActivityTable.byteCount(items: items) }

    /// A delta for a shard.
    package func makeDelta() -> ItemActivityDelta {
        ItemActivityDelta(configuration, scenarios: scenarios)
    }

    /// Forgets everything.
    package mutating func removeAll() {
        for scenario in tables.indices {
            tables[scenario] = ItemActivityTable()
            totals[scenario] = ScenarioTotals()
            leaders[scenario] = []
        }
    }

    // MARK: Counting

    /// Adds what shards have counted; the same whatever their order, but for rounding.
    ///
    /// - Parameter now: The present second.
    /// - Returns: By a scenario's number, the items that had events.
    /// - Complexity: O(changed * log changed), and a copy of the references to the chunks of the scenarios that changed.
    @discardableResult
    package mutating func merge(_ deltas: [ItemActivityDelta], now: UInt32) -> [[UInt32]] {
        var changes: [[(item: UInt32, counts: ItemCounts)]] = Array(repeating: [], count: tables.count)
        changes[0].reserveCapacity(deltas.reduce(0) { $0 + $1.count })
        for delta in deltas {
            counts.dropped += delta.dropped
            counts.outdated += delta.outdated
            let age = Double(now) - Double(delta.base)
            for entry in delta.entries {
                // A clock that was set back leaves the counts as they are.
                let change = (entry.item, entry.counts.decayed(by: max(0, age), configuration))
                changes[0].append(change)
                if entry.scenario > 0 { changes[Int(entry.scenario)].append(change) }
            }
            for (scenario, began) in delta.began.enumerated() where began != .max {
                totals[0].began = min(totals[0].began, began)
                totals[scenario].began = min(totals[scenario].began, began)
            }
        }
        for scenario in tables.indices where !changes[scenario].isEmpty {
            var sum = ItemCounts()
            for change in changes[scenario] { sum = sum + change.counts }
            totals[scenario].add(sum, at: now, began: .max, configuration)
            tables[scenario].add(&changes[scenario], at: now, configuration)
        }
        evict(now: now)
        return changes.map { $0.map(\.item) }
    }

    /// Counts one event at once, for replays in the order of time.
    ///
    /// - Parameters:
    ///   - scenario: Of `scenarios`.
    ///   - seconds: The second of the event; that of no event before is later.
    package mutating func count(_ kind: ItemEventKind, item: UInt32, scenario: Int, seconds: UInt32) {
        let one = ItemCounts(kind, age: 0, configuration)
        for number in scenario == 0 ? [0] : [0, scenario] {
            totals[number].add(one, at: seconds, began: seconds, configuration)
            var changes = [(item: item, counts: one)]
            tables[number].add(&changes, at: seconds, configuration)
        }
        evict(now: seconds)
    }

    // MARK: Reading

    /// What is known of an item as of `now`; zeroes and the scenario's own rate where nothing is.
    package func values(of item: UInt32, scenario: Int, now: UInt32) -> ItemActivityValues {
        ItemActivityValues(
            tables[scenario].entry(of: item)?.counts(at: now, configuration) ?? ItemCounts(),
            ScenarioRates(totals[scenario], at: now, configuration), configuration)
    }

    /// Everything as it is now.
    ///
    /// - Parameters:
    ///   - now: The second that its values are of.
    ///   - uptime: Of the same moment, in nanoseconds, by which its age is told.
    package func makeView(now: UInt32, uptime: UInt64) -> ItemActivityView {
        ItemActivityView(self, seconds: now, uptime: uptime)
    }

    // MARK: Bounds

    private static let samplesMax = 4096

    /// Lets the least active items go until an eighth of the room is free.
    private mutating func evict(now: UInt32) {
        guard bytes > configuration.bytesMax else { return }
        for _ in 0..<64 where bytes > configuration.bytesMax / 8 * 7 {
            let threshold = sample(now: now)
            let before = tables.reduce(0) { $0 + $1.count }
            let configuration = configuration
            for scenario in tables.indices {
                tables[scenario].removeAll { Self.rank($0, now, configuration) <= threshold }
            }
            counts.evicted += UInt64(before - tables.reduce(0) { $0 + $1.count })
            if tables.allSatisfy({ $0.count == 0 }) { break }
        }
        // Tables keep the places of their chunks; where those alone are too many, the bound is too small for any items.
        mergesSinceFullPass = .max
    }

    /// What an entry has to lose against; those of equal activity by their hashes, in no order that a client could choose.
    private static func rank(
        _ entry: ItemActivityEntry, _ now: UInt32, _ configuration: ItemActivityConfiguration
    ) -> (Double, UInt32) {
        (entry.counts(at: now, configuration).activity, ItemActivityTable.hash(entry.item))
    }

    /// The rank below which a sixth of the entries lie, by a sample of them.
    private func sample(now: UInt32) -> (Double, UInt32) {
        let entries = tables.reduce(0) { $0 + $1.count }
        let step = max(1, entries / Self.samplesMax)
        var ranks: [(Double, UInt32)] = []
        var position = 0
        for table in tables {
            for chunk in table.chunks {
                for entry in chunk {
                    if position % step == 0 { ranks.append(Self.rank(entry, now, configuration)) }
                    position += 1
                }
            }
        }
        ranks.sort { $0 < $1 }
        return ranks.isEmpty ? (0, 0) : ranks[ranks.count / 6]
    }

    mutating func noteTrendsOf(_ count: Int) { counts.trendsLookedAt += UInt64(count) }
}

/// Figures of the activity of items.
package struct ItemActivityStatistics: Sendable, Equatable {
    /// Items with counts over all scenarios.
    package var items = 0
    /// Counts kept, by scenario and over all.
    package var entries = 0
    package var bytes = 0
    /// Counts that went because there was no room.
    package var evicted: UInt64 = 0
    /// Events that a full delta did not count.
    package var dropped: UInt64 = 0
    /// Events that were too old to count.
    package var outdated: UInt64 = 0
    /// Items whose trends were computed.
    package var trendsLookedAt: UInt64 = 0

    package init() {}
}
