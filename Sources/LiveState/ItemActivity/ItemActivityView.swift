/// The activity of a node's items as of one moment. Immutable; one for all shards, another one after each merge.
package final class ItemActivityView: Sendable {
    package let configuration: ItemActivityConfiguration
    package let scenarios: ScenarioNumbers
    /// The moment that all values are of, since 1970.
    package let seconds: UInt32
    /// The same moment as uptime in nanoseconds.
    package let uptime: UInt64

    private let tables: [ItemActivityTable]
    private let totals: [ScenarioTotals]
    private let rates: [ScenarioRates]
    /// By a scenario's number, highest first; 0: over all.
    private let trending: [[TrendingItem]]

    init(_ activity: ItemActivity, seconds: UInt32, uptime: UInt64) {
        configuration = activity.configuration
        scenarios = activity.scenarios
        self.seconds = seconds
        self.uptime = uptime
        tables = activity.tables
        totals = activity.totals
        let configuration = activity.configuration
        rates = activity.totals.map { ScenarioRates($0, at: seconds, configuration) }
        trending = activity.leaders.map { Array($0.prefix(configuration.trendingMax)) }
    }

    /// Nanoseconds since the moment.
    package func age(at uptime: UInt64) -> UInt64 { uptime > self.uptime ? uptime - self.uptime : 0 }

    /// What is known of an item; zeroes and the scenario's own rate where nothing is.
    ///
    /// - Complexity: O(1): two or three cache misses in a large table.
    package func values(of item: UInt32, scenario: Int) -> ItemActivityValues {
        ItemActivityValues(
            tables[scenario].entry(of: item)?.counts(at: seconds, configuration) ?? ItemCounts(), rates[scenario],
            configuration)
    }

    /// What trends in a scenario, highest first.
    package func trending(scenario: Int) -> [TrendingItem] { trending[scenario] }

    /// What trends for a request of a scenario: its own list, or that over all where its own has fewer than `itemsMin`.
    package func trending(scenario: Int, itemsMin: Int) -> (items: [TrendingItem], scenario: Int) {
        let own = trending[scenario]
        return own.count >= itemsMin || own.count >= trending[0].count ? (own, scenario) : (trending[0], 0)
    }

    /// Decayed counts of all events of a scenario.
    package func counts(scenario: Int) -> ItemCounts { totals[scenario].counts(at: seconds, configuration) }
    package func rates(scenario: Int) -> ScenarioRates { rates[scenario] }
    /// Items of a scenario that have counts.
    package func itemCount(scenario: Int) -> Int { tables[scenario].count }
}
