import Foundation
import TestSupport
import Testing

@testable import LiveState

/// The plain model: every event kept, every count made anew.
private struct ActivityOracle {
    struct Event {
        var kind: ItemEventKind
        var item: UInt32
        var scenario: Int
        var seconds: UInt32
    }

    var events: [Event] = []
    let configuration: ItemActivityConfiguration

    func counts(item: UInt32?, scenario: Int, at now: UInt32) -> ItemCounts {
        var counts = ItemCounts()
        for event in events where scenario == 0 || event.scenario == scenario {
            if let item, event.item != item { continue }
            let age = Double(now) - Double(event.seconds)
            let slow = pow(0.5, age / configuration.slowHalfLife)
            if event.kind == .impression { counts.impressions += slow } else { counts.clicks += slow }
            if event.kind == .success { counts.clicksNow += pow(0.5, age / configuration.fastHalfLife) }
        }
        return counts
    }
}

private func isClose(_ one: Double, _ other: Double) -> Bool {
    abs(one - other) <= 1e-4 * max(1, abs(one), abs(other))
}

private func isClose(_ one: ItemCounts, _ other: ItemCounts) -> Bool {
    isClose(one.impressions, other.impressions) && isClose(one.clicks, other.clicks)
        && isClose(one.clicksNow, other.clicksNow)
}

@Suite("Activity of items", .ownThreads)
struct ItemActivityTests {
    private func configuration() -> ItemActivityConfiguration {
        var configuration = ItemActivityConfiguration()
        configuration.fastHalfLife = 600
        configuration.slowHalfLife = 7200
        return configuration
    }

    @Test(
        "counts are those of all events, each by its age, whatever shards, merges and late events do", arguments: 0..<6)
    func decayedCounts(run: Int) throws {
        var generator = SeededGenerator(seed: UInt64(9100 + run))
        print("activity of items: seed \(9100 + run)")
        var activity = try ItemActivity(configuration(), scenarios: ["default", "home", "cart"])
        let deltas = (0..<3).map { _ in activity.makeDelta() }
        var oracle = ActivityOracle(configuration: activity.configuration)
        var now: UInt32 = 1_700_000_000
        let items = UInt32(run % 2 == 0 ? 400 : 20)
        for _ in 0..<60 {
            for _ in 0..<Int.random(in: 0...80, using: &generator) {
                let kind: ItemEventKind = .random(in: 0...3, using: &generator) == 0 ? .success : .impression
                var seconds = now
                switch Int.random(in: 0...9, using: &generator) {
                case 0: seconds -= .random(in: 0...20_000, using: &generator)
                // From the future: taken as of now.
                case 1: seconds += .random(in: 1...500, using: &generator)
                // So old that it changes nothing.
                case 2: seconds -= 72_001
                default: break
                }
                let item = UInt32.random(in: 0..<items, using: &generator)
                let scenario = Int.random(in: 0...3, using: &generator)
                deltas[.random(in: 0...2, using: &generator)].count(
                    kind, item: item, scenario: scenario, seconds: seconds, now: now)
                if now >= seconds, now - seconds > 72_000 { continue }
                oracle.events.append(.init(kind: kind, item: item, scenario: scenario, seconds: min(now, seconds)))
                now += UInt32.random(in: 0...20, using: &generator) == 0 ? 1 : 0
            }
            activity.mergeAndRank(deltas.shuffled(using: &generator), now: now)
            for delta in deltas { delta.clear() }
            now += .random(in: 0...300, using: &generator)
        }
        let view = activity.makeView(now: now, uptime: 0)
        for scenario in 0...3 {
            let totals = oracle.counts(item: nil, scenario: scenario, at: now)
            #expect(isClose(view.counts(scenario: scenario), totals))
            for item in 0..<items {
                let expected = oracle.counts(item: item, scenario: scenario, at: now)
                let values = view.values(of: item, scenario: scenario)
                #expect(isClose(values.impressions, expected.impressions) && isClose(values.clicks, expected.clicks))
                let shown = max(expected.impressions, expected.clicks)
                let rate = totals.clicks / max(totals.impressions, totals.clicks)
                #expect(isClose(values.clickRate, (expected.clicks + 50 * rate) / (shown + 50)))
                let usual = expected.clicks / 12 * view.rates(scenario: scenario).rise
                #expect(isClose(values.trend, (expected.clicksNow - usual) / (usual + 1).squareRoot()))
                #expect(activity.values(of: item, scenario: scenario, now: now) == values)
            }
        }
        #expect(activity.statistics.dropped == 0 && activity.statistics.outdated > 0)
    }

    @Test("shards merged in any order, or all at once, or event by event give the same")
    func order() throws {
        var generator = SeededGenerator(seed: 9200)
        let empty = try ItemActivity(configuration(), scenarios: ["default"])
        let now: UInt32 = 1_700_000_000
        let deltas = (0..<4).map { _ in empty.makeDelta() }
        let events = (0..<3000).map { place in
            (
                kind: ItemEventKind(rawValue: UInt8.random(in: 0...1, using: &generator)) ?? .success,
                item: UInt32.random(in: 0..<200, using: &generator), scenario: Int.random(in: 0...1, using: &generator),
                seconds: now - 3000 + UInt32(place)
            )
        }
        for event in events {
            deltas[.random(in: 0...3, using: &generator)].count(
                event.kind, item: event.item, scenario: event.scenario, seconds: event.seconds, now: now)
        }
        var (one, other, apart, single) = (empty, empty, empty, empty)
        one.mergeAndRank(deltas, now: now)
        other.mergeAndRank(deltas.reversed(), now: now)
        for delta in deltas { apart.mergeAndRank([delta], now: now) }
        for event in events {
            single.count(event.kind, item: event.item, scenario: event.scenario, seconds: event.seconds)
        }
        single.rankAll(now: now)
        let views = [one, other, apart, single].map { $0.makeView(now: now, uptime: 7) }
        for scenario in 0...1 {
            for item in 0..<UInt32(210) {
                let values = views.map { $0.values(of: item, scenario: scenario) }
                for value in values.dropFirst() {
                    #expect(isClose(value.clicks, values[0].clicks) && isClose(value.trend, values[0].trend))
                    #expect(isClose(value.impressions, values[0].impressions))
                    #expect(isClose(value.clickRate, values[0].clickRate))
                }
            }
            let lists = views.map { $0.trending(scenario: scenario) }
            for list in lists { #expect(Set(list.map(\.item)) == Set(lists[0].map(\.item))) }
        }
    }

    @Test("what trends is what all items' trends say, though not all are looked at", arguments: 0..<4)
    func trending(run: Int) throws {
        var generator = SeededGenerator(seed: UInt64(9300 + run))
        print("trending: seed \(9300 + run)")
        var configuration = configuration()
        configuration.trendingMax = 20
        var activity = try ItemActivity(configuration, scenarios: ["default", "home"])
        let delta = activity.makeDelta()
        var now: UInt32 = 1_700_000_000
        for step in 0..<150 {
            for _ in 0..<100 {
                // Some items are always popular; every now and then another has its hour.
                let burst = UInt32(step / 20 * 37 % 1000)
                let item = Bool.random(using: &generator) ? burst : UInt32.random(in: 0..<1000, using: &generator) / 7
                delta.count(
                    .success, item: item, scenario: .random(in: 0...2, using: &generator), seconds: now, now: now)
            }
            activity.mergeAndRank([delta], now: now)
            delta.clear()
            let view = activity.makeView(now: now, uptime: 0)
            for scenario in 0...2 {
                let all = (0..<UInt32(1000)).map {
                    TrendingItem(item: $0, trend: Float(view.values(of: $0, scenario: scenario).trend))
                }.filter { $0.trend >= 1.5 }.sorted { ($1.trend, $0.item) < ($0.trend, $1.item) }.prefix(20)
                #expect(view.trending(scenario: scenario) == Array(all))
            }
            now += 30
        }
        #expect(activity.statistics.trendsLookedAt > 0)
    }

    @Test("an item trends by a burst beside popular ones, and no longer when it is over")
    func burst() throws {
        var activity = try ItemActivity(configuration(), scenarios: ["default"])
        let delta = activity.makeDelta()
        var now: UInt32 = 1_700_000_000
        func pass(_ minutes: Int, burst: Bool) {
            for _ in 0..<minutes {
                for item in 0..<UInt32(50) {
                    for _ in 0..<(50 - item) / 5 {
                        delta.count(.success, item: item, scenario: 1, seconds: now, now: now)
                    }
                }
                if burst { for _ in 0..<5 { delta.count(.success, item: 999, scenario: 1, seconds: now, now: now) } }
                activity.mergeAndRank([delta], now: now)
                delta.clear()
                now += 60
            }
        }
        pass(1500, burst: false)
        #expect(activity.makeView(now: now, uptime: 0).trending(scenario: 1).isEmpty)
        pass(10, burst: true)
        #expect(activity.makeView(now: now, uptime: 0).trending(scenario: 1).map(\.item) == [999])
        pass(240, burst: false)
        #expect(activity.makeView(now: now, uptime: 0).trending(scenario: 1).isEmpty)
    }

    @Test("a view does not change, whatever is merged after it")
    func immutable() throws {
        var generator = SeededGenerator(seed: 9400)
        var activity = try ItemActivity(configuration(), scenarios: [])
        let delta = activity.makeDelta()
        var views: [(view: ItemActivityView, values: [ItemActivityValues])] = []
        for step in 0..<20 {
            for _ in 0..<500 {
                delta.count(
                    .success, item: .random(in: 0..<3000, using: &generator), scenario: 0, seconds: 1_000_000,
                    now: 1_000_000)
            }
            activity.mergeAndRank([delta], now: 1_000_000)
            delta.clear()
            let view = activity.makeView(now: 1_000_000 + UInt32(step), uptime: 0)
            views.append((view, (0..<3000).map { view.values(of: $0, scenario: 0) }))
        }
        for (view, values) in views { #expect((0..<3000).map { view.values(of: $0, scenario: 0) } == values) }
    }

    @Test("the least active items go when the bytes are too many, and the bound holds")
    func eviction() throws {
        var configuration = configuration()
        configuration.bytesMax = 256 << 10
        var activity = try ItemActivity(configuration, scenarios: ["default"])
        let delta = activity.makeDelta()
        let now: UInt32 = 1_700_000_000
        for round in 0..<40 {
            // A hundred items that are shown often, and ever new ones that are shown once.
            for item in 0..<UInt32(100) {
                for _ in 0..<3 { delta.count(.impression, item: item, scenario: 1, seconds: now, now: now) }
            }
            for item in 0..<UInt32(1000) {
                delta.count(.impression, item: 1000 + UInt32(round) * 1000 + item, scenario: 1, seconds: now, now: now)
            }
            activity.mergeAndRank([delta], now: now)
            delta.clear()
            #expect(activity.statistics.bytes <= configuration.bytesMax)
        }
        #expect(activity.statistics.evicted > 10_000)
        for item in 0..<UInt32(100) { #expect(activity.values(of: item, scenario: 1, now: now).impressions == 120) }
    }

    @Test("a full delta goes on counting the items that it has, and says what it did not count")
    func fullDelta() throws {
        var configuration = configuration()
        configuration.deltaCountMax = 10
        var activity = try ItemActivity(configuration, scenarios: ["default"])
        let delta = activity.makeDelta()
        for _ in 0..<3 {
            for item in 0..<UInt32(20) { delta.count(.success, item: item, scenario: 1, seconds: 5, now: 5) }
        }
        #expect(delta.count == 10 && delta.dropped == 30 && delta.isHalfFull)
        activity.mergeAndRank([delta], now: 5)
        delta.clear()
        #expect(delta.count == 0 && delta.dropped == 0)
        #expect(activity.statistics.dropped == 30 && activity.statistics.items == 10)
        #expect(activity.values(of: 3, scenario: 1, now: 5).clicks == 3)
    }

    @Test("a clock that is set back, and a merge that comes very late, leave counts finite")
    func clocks() throws {
        var activity = try ItemActivity(configuration(), scenarios: ["default"])
        let delta = activity.makeDelta()
        delta.count(.success, item: 1, scenario: 1, seconds: 1_700_000_000, now: 1_700_000_000)
        // Nobody merges for two years.
        delta.count(.success, item: 1, scenario: 1, seconds: 1_763_000_000, now: 1_763_000_000)
        activity.mergeAndRank([delta], now: 1_763_000_000)
        delta.clear()
        delta.count(.success, item: 1, scenario: 1, seconds: 1_700_000_000, now: 1_700_000_000)
        activity.mergeAndRank([delta], now: 1_700_000_000)
        for now in [UInt32(1_700_000_000), 1_763_000_000, .max] {
            let values = activity.values(of: 1, scenario: 1, now: now)
            #expect(values.clicks.isFinite && values.clicks >= 0 && values.trend.isFinite)
        }
    }

    @Test("a scenario is known by its name, the default one also by none, and others count over all")
    func scenarios() {
        let numbers = ScenarioNumbers(["default", "home"])
        #expect(numbers["default"] == 1 && numbers[""] == 1 && numbers["home"] == 2 && numbers["other"] == 0)
        #expect(ScenarioNumbers((0..<300).map { "s\($0)" }).count == 256)
    }

    @Test("configurations that make no sense are refused")
    func configurations() {
        for change: (inout ItemActivityConfiguration) -> Void in [
            { $0.fastHalfLife = 0 }, { $0.slowHalfLife = 60 }, { $0.slowHalfLife = .nan }, { $0.bytesMax = 10 },
            { $0.trendingMax = 0 }, { $0.priorImpressions = -1 }, { $0.noise = 0 }, { $0.deltaCountMax = 0 },
        ] {
            var configuration = ItemActivityConfiguration()
            change(&configuration)
            #expect(throws: LiveStateError.self) { try ItemActivity(configuration, scenarios: []) }
        }
    }
}
