import Vocabulary

/// Events of items since the last merge, of one shard: added up on its loop without a lock and, once it has grown to what
/// comes between two merges, without an allocation.
///
/// ```
/// entries   in the order of their first event: scenario, item, counts as of `base`
/// table     2^k places of u32, at most half taken: place among the entries + 1; 0: free; linear probing
/// ```
/// `@unchecked Sendable`: belongs to one owner at a time. Its shard fills it, and hands it to the merger on the shard's loop;
/// the merger empties it and hands it back the same way.
package final class ItemActivityDelta: @unchecked Sendable {
    struct Entry {
        /// 0: no scenario that the node knows.
        var scenario: UInt16
        var item: UInt32
        /// As of the delta's `base`.
        var counts: ItemCounts
    }

    private(set) var entries: [Entry] = []
    /// The second that the counts are of.
    private(set) var base: UInt32 = 0
    /// Of the earliest event, by scenario.
    private(set) var began: [UInt32]
    /// Events that came when there was no room for their item.
    package private(set) var dropped: UInt64 = 0
    /// Events that were too old to count.
    package private(set) var outdated: UInt64 = 0

    private var table: [UInt32]
    private let configuration: ItemActivityConfiguration

    package let scenarios: ScenarioNumbers

    package init(_ configuration: ItemActivityConfiguration, scenarios: ScenarioNumbers) {
        self.configuration = configuration
        self.scenarios = scenarios
        table = [UInt32](repeating: 0, count: 1024)
        began = [UInt32](repeating: .max, count: scenarios.count)
    }

    /// Pairs of a scenario and an item.
    package var count: Int { entries.count }
    /// Whether it should be merged before it is full.
    package var isHalfFull: Bool { entries.count * 2 >= configuration.deltaCountMax }

    /// Counts an event.
    ///
    /// - Parameters:
    ///   - scenario: Its number among `scenarios`.
    ///   - seconds: When it was, since 1970; taken as `now` where it is later.
    /// - Complexity: O(1).
    package func count(_ kind: ItemEventKind, item: UInt32, scenario: Int, seconds: UInt32, now: UInt32) {
        let seconds = min(seconds, now)
        if Double(now - seconds) > configuration.ageMax {
            outdated += 1
            return
        }
        if entries.isEmpty { base = now }
        guard let place = place(of: item, UInt16(truncatingIfNeeded: scenario)) else {
            dropped += 1
            return
        }
        // A base that lies far back is one that nobody merged; its counts are to stay finite.
        let age = max(Double(base) - Double(seconds), -64 * configuration.fastHalfLife)
        entries[place].counts = entries[place].counts + ItemCounts(kind, age: age, configuration)
        if seconds < began[scenario] { began[scenario] = seconds }
    }

    private func place(of item: UInt32, _ scenario: UInt16) -> Int? {
        var place = home(item, scenario)
        while table[place] != 0 {
            let found = Int(table[place]) - 1
            if entries[found].item == item, entries[found].scenario == scenario { return found }
            place = (place + 1) & (table.count - 1)
        }
        guard entries.count < configuration.deltaCountMax else { return nil }
        entries.append(Entry(scenario: scenario, item: item, counts: ItemCounts()))
        if entries.count * 2 > table.count {
            grow()
        } else {
            table[place] = UInt32(entries.count)
        }
        return entries.count - 1
    }

    private func home(_ item: UInt32, _ scenario: UInt16) -> Int {
        let key = UInt64(item) | UInt64(scenario) << 32
        return Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & (table.count - 1)
    }

    private func grow() {
        table = [UInt32](repeating: 0, count: table.count * 2)
        for (index, entry) in entries.enumerated() {
            var place = home(entry.item, entry.scenario)
            while table[place] != 0 { place = (place + 1) & (table.count - 1) }
            table[place] = UInt32(index + 1)
        }
    }

    /// Makes it empty, and keeps its memory.
    package func clear() {
        guard !entries.isEmpty || dropped > 0 || outdated > 0 else { return }
        // Few entries in a large table are looked up one by one.
        if entries.count * 16 < table.count {
            for entry in entries {
                var place = home(entry.item, entry.scenario)
                while table[place] != 0 {
                    table[place] = 0
                    place = (place + 1) & (table.count - 1)
                }
            }
        } else {
            for place in table.indices { table[place] = 0 }
        }
        entries.removeAll(keepingCapacity: true)
        for scenario in began.indices { began[scenario] = .max }
        (dropped, outdated) = (0, 0)
    }
}
