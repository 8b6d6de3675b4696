/// An item of a list of those that trend.
package struct TrendingItem: Sendable, Equatable {
    package let item: UInt32
    /// As `ItemActivityValues.trend`.
    package var trend: Float
}

/// Trends change with every second, of items without events too, but these fall, as what happens now fades before the
/// usual does. So a list is made of its leaders and of the items that had events since; now and then all items are looked
/// at, as some fall slower than others, and slower still where a whole scenario's rise ends.
extension ItemActivity {
    /// Leaders that are kept for each that is listed.
    private static let leadersPerItem = 4
    /// Merges after which all items are looked at.
    private static let mergesPerFullPass = 60

    /// Merges and finds what trends.
    ///
    /// - Complexity: O(changed * log changed), and once in sixty calls O(items).
    package mutating func mergeAndRank(_ deltas: [ItemActivityDelta], now: UInt32) {
        let changed = merge(deltas, now: now)
        let isFull = mergesSinceFullPass >= Self.mergesPerFullPass
        for scenario in tables.indices { rank(scenario, changed: isFull ? nil : changed[scenario], now: now) }
        mergesSinceFullPass = isFull ? 0 : mergesSinceFullPass + 1
    }

    /// Looks at all items.
    package mutating func rankAll(now: UInt32) {
        for scenario in tables.indices { rank(scenario, changed: nil, now: now) }
        mergesSinceFullPass = 0
    }

    /// - Parameter changed: Items that had events; nil: all may have.
    private mutating func rank(_ scenario: Int, changed: [UInt32]?, now: UInt32) {
        if changed?.isEmpty == true, leaders[scenario].isEmpty { return }
        let rates = ScenarioRates(totals[scenario], at: now, configuration)
        var best = BestTrends(max: configuration.trendingMax * Self.leadersPerItem, trendMin: configuration.trendMin)
        let table = tables[scenario]
        // Fewer clicks are not enough even where none is to be expected.
        let clicksMin = Float(configuration.trendMin * configuration.noise.squareRoot() * 0.999)
        func offer(_ entry: ItemActivityEntry) {
            guard entry.clicksNow >= clicksMin else { return }
            let counts = entry.counts(at: now, configuration)
            best.offer(entry.item, Float(ItemActivityValues.trend(counts, rates, configuration)))
        }
        var looked = 0
        if let changed {
            for leader in leaders[scenario] { if let entry = table.entry(of: leader.item) { offer(entry) } }
            for item in changed { if let entry = table.entry(of: item) { offer(entry) } }
            looked = leaders[scenario].count + changed.count
        } else {
            for chunk in table.chunks { for entry in chunk { offer(entry) } }
            looked = table.count
        }
        noteTrendsOf(looked)
        leaders[scenario] = best.finish()
    }
}

/// The items with the highest trends, each once, highest first, then ascending by item.
struct BestTrends {
    private let max: Int
    private var items: [TrendingItem] = []
    private var lowest: Float

    init(max: Int, trendMin: Double) {
        self.max = max
        lowest = Float(trendMin)
    }

    mutating func offer(_ item: UInt32, _ trend: Float) {
        guard trend >= lowest, trend > 0 else { return }
        items.append(TrendingItem(item: item, trend: trend))
        if items.count >= 4 * max {
            cut()
            if items.count == max { lowest = items[max - 1].trend }
        }
    }

    private mutating func cut() {
        items.sort { ($1.trend, $0.item) < ($0.trend, $1.item) }
        var kept: [TrendingItem] = []
        kept.reserveCapacity(Swift.min(max, items.count))
        // Whoever was offered twice stands beside itself.
        for item in items where kept.last?.item != item.item {
            if kept.count == max { break }
            kept.append(item)
        }
        items = kept
    }

    mutating func finish() -> [TrendingItem] {
        cut()
        return items
    }
}
