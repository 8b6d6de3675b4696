import Glibc

/// Counts of an item, or of all, as of one second: each event counts `2^-(age / half-life)`.
package struct ItemCounts: Sendable, Equatable {
    /// By the slow half-life.
    package var impressions: Double
    /// By the slow half-life.
    package var clicks: Double
    /// By the fast half-life.
    package var clicksNow: Double

    package init(impressions: Double = 0, clicks: Double = 0, clicksNow: Double = 0) {
        self.impressions = impressions
        self.clicks = clicks
        self.clicksNow = clicksNow
    }

    package static func + (one: ItemCounts, other: ItemCounts) -> ItemCounts {
        ItemCounts(
            impressions: one.impressions + other.impressions, clicks: one.clicks + other.clicks,
            clicksNow: one.clicksNow + other.clicksNow)
    }

    /// One event, as of a moment that many seconds after it; before it, where negative.
    init(_ kind: ItemEventKind, age: Double, _ configuration: ItemActivityConfiguration) {
        self.init()
        if age == 0 {
            (impressions, clicks, clicksNow) = kind == .impression ? (1, 0, 0) : (0, 1, 1)
            return
        }
        let slow = exp2(-age / configuration.slowHalfLife)
        switch kind {
        case .impression: impressions = slow
        case .success:
            clicks = slow
            clicksNow = exp2(-age / configuration.fastHalfLife)
        }
    }

    /// The same counts, `seconds` later; earlier, where negative.
    func decayed(by seconds: Double, _ configuration: ItemActivityConfiguration) -> ItemCounts {
        if seconds == 0 { return self }
        let slow = exp2(-seconds / configuration.slowHalfLife)
        let fast = clicksNow == 0 ? 0 : exp2(-seconds / configuration.fastHalfLife)
        return ItemCounts(impressions: impressions * slow, clicks: clicks * slow, clicksNow: clicksNow * fast)
    }

    /// Of two items the one with less of it is forgotten first.
    var activity: Double { impressions + clicks }
}

/// What is stored of an item: its counts as of some second. 20 bytes.
struct ItemActivityEntry: Sendable, Equatable {
    var item: UInt32
    /// Since 1970.
    var seconds: UInt32
    var impressions: Float
    var clicks: Float
    var clicksNow: Float

    init(item: UInt32, seconds: UInt32, _ counts: ItemCounts) {
        self.item = item
        self.seconds = seconds
        // What is not finite could never decay.
        impressions = Float(min(counts.impressions, 1e30))
        clicks = Float(min(counts.clicks, 1e30))
        clicksNow = Float(min(counts.clicksNow, 1e30))
    }

    /// As of `now`, which may be before `seconds` where a clock was set back: then the counts stay as they are.
    func counts(at now: UInt32, _ configuration: ItemActivityConfiguration) -> ItemCounts {
        ItemCounts(impressions: Double(impressions), clicks: Double(clicks), clicksNow: Double(clicksNow))
            .decayed(by: now > seconds ? Double(now - seconds) : 0, configuration)
    }
}

/// All events of a scenario, as of some second.
package struct ScenarioTotals: Sendable, Equatable {
    package var counts = ItemCounts()
    /// Since 1970.
    var seconds: UInt32 = 0
    /// When its first event was; `UInt32.max`: there was none.
    var began = UInt32.max

    func counts(at now: UInt32, _ configuration: ItemActivityConfiguration) -> ItemCounts {
        counts.decayed(by: now > seconds ? Double(now - seconds) : 0, configuration)
    }

    mutating func add(_ more: ItemCounts, at now: UInt32, began: UInt32, _ configuration: ItemActivityConfiguration) {
        counts = counts(at: now, configuration) + more
        seconds = max(seconds, now)
        self.began = min(self.began, began)
    }
}

/// What stands against an item's counts at one moment: its scenario's, as a rate and as a rhythm.
package struct ScenarioRates: Sendable, Equatable {
    /// Clicks of an impression, 0 to 1.
    package let rate: Double
    /// How much more happens than usual, 1/4 to 4: days have their hours, and a rise of everything is no item's trend.
    package let rise: Double

    /// Clicks that a rise is shrunk towards 1 by.
    private static let riseInertia = 10.0

    init(_ totals: ScenarioTotals, at now: UInt32, _ configuration: ItemActivityConfiguration) {
        let counts = totals.counts(at: now, configuration)
        let shown = max(counts.impressions, counts.clicks)
        rate = shown > 0 ? counts.clicks / shown : 0
        guard totals.began != .max else {
            rise = 1
            return
        }
        // A scenario that is young has not had all the events that a half-life has room for.
        let age = max(1, Double(now) - Double(totals.began))
        func room(_ halfLife: Double) -> Double { halfLife * -expm1(-age / halfLife * M_LN2) }
        let expected = counts.clicks * room(configuration.fastHalfLife) / room(configuration.slowHalfLife)
        rise = min(4, max(0.25, (counts.clicksNow + Self.riseInertia) / (expected + Self.riseInertia)))
    }
}

/// What is told of an item's activity, as of one moment.
package struct ItemActivityValues: Sendable, Equatable {
    /// Decayed by the slow half-life.
    package var impressions: Double
    /// The same.
    package var clicks: Double
    /// Clicks of an impression, 0 to 1, shrunk towards the scenario's own rate where impressions are few.
    package var clickRate: Double
    /// Clicks lately above those to be expected, in standard deviations; negative: below.
    package var trend: Double

    /// - Note: the rate as the mean of a Beta posterior over decayed counts: Wang, Li, Cui, Zhang & Mao 2011, "Click-Through
    ///   Rate Estimation for Rare Events in Online Advertising". The trend as in SigniTrend (Schubert, Weiler & Kriegel,
    ///   KDD 2014): distance from an exponentially weighted mean in standard deviations, with a floor against noise; counts
    ///   of clicks being of Poisson's kind, their variance is their mean.
    package init(_ counts: ItemCounts, _ rates: ScenarioRates, _ configuration: ItemActivityConfiguration) {
        impressions = counts.impressions
        clicks = counts.clicks
        // What was clicked was shown, told or not.
        let shown = max(counts.impressions, counts.clicks)
        let weight = shown + configuration.priorImpressions
        clickRate = weight > 0 ? (counts.clicks + configuration.priorImpressions * rates.rate) / weight : rates.rate
        trend = Self.trend(counts, rates, configuration)
    }

    @inline(__always)
    static func trend(_ counts: ItemCounts, _ rates: ScenarioRates, _ configuration: ItemActivityConfiguration)
        -> Double
    {
        let expected = counts.clicks * configuration.fastHalfLife / configuration.slowHalfLife * rates.rise
        return (counts.clicksNow - expected) / (expected + configuration.noise).squareRoot()
    }
}
