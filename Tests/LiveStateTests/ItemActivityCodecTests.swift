import TestSupport
import Testing

@testable import LiveState

@Suite("Activity of items as bytes", .ownThreads)
struct ItemActivityCodecTests {
    private func filled(_ scenarios: [String], items: UInt32 = 900) throws -> ItemActivity {
        var generator = SeededGenerator(seed: 9500)
        var activity = try ItemActivity(ItemActivityConfiguration(), scenarios: scenarios)
        let delta = activity.makeDelta()
        for step in 0..<UInt32(30) {
            for _ in 0..<400 {
                delta.count(
                    Bool.random(using: &generator) ? .impression : .success,
                    item: .random(in: 0..<items, using: &generator),
                    scenario: .random(in: 0...scenarios.count, using: &generator),
                    seconds: 1_700_000_000 + step * 60, now: 1_700_000_000 + step * 60)
            }
            activity.mergeAndRank([delta], now: 1_700_000_000 + step * 60)
            delta.clear()
        }
        return activity
    }

    private func load(_ parts: [[UInt8]], into activity: inout ItemActivity, items: Int = 900) throws
        -> [ItemActivity.Knowledge]
    {
        var loader = ItemActivityLoader()
        for part in parts { try loader.take(part[...], itemCount: items, into: &activity) }
        return loader.known
    }

    @Test("what is written comes back, and what it knows of")
    func roundTrip() throws {
        let before = try filled(["default", "home"])
        let known = [
            ItemActivity.Knowledge(slots: 0..<8000, through: 12), .init(slots: 8000..<16_384, through: 1 << 40),
        ]
        var after = try ItemActivity(ItemActivityConfiguration(), scenarios: ["default", "home"])
        #expect(try load(before.serialise(knowing: known), into: &after) == known)
        let (one, other) = (
            before.makeView(now: 1_700_009_000, uptime: 0), after.makeView(now: 1_700_009_000, uptime: 0)
        )
        for scenario in 0...2 {
            #expect(one.counts(scenario: scenario) == other.counts(scenario: scenario))
            for item in 0..<UInt32(900) {
                #expect(one.values(of: item, scenario: scenario) == other.values(of: item, scenario: scenario))
            }
        }
        #expect(before.statistics.entries == after.statistics.entries)
        after.rankAll(now: 1_700_009_000)
        #expect(!after.leaders[1].isEmpty)
    }

    @Test("scenarios are found by their names; one that is gone is left out")
    func otherScenarios() throws {
        let before = try filled(["default", "home", "cart"])
        var after = try ItemActivity(ItemActivityConfiguration(), scenarios: ["default", "new", "cart"])
        _ = try load(before.serialise(knowing: []), into: &after)
        for item in 0..<UInt32(900) {
            for (old, new) in [(0, 0), (1, 1), (3, 3)] {
                let now: UInt32 = 1_700_002_000
                #expect(
                    before.values(of: item, scenario: old, now: now) == after.values(of: item, scenario: new, now: now))
            }
        }
        #expect(after.tables[2].count == 0 && after.totals[2] == ScenarioTotals())
    }

    @Test("counts of other half-lives are not taken, and nothing is known then")
    func otherHalfLives() throws {
        let before = try filled(["default"])
        var configuration = ItemActivityConfiguration()
        configuration.fastHalfLife = 60
        var after = try ItemActivity(configuration, scenarios: ["default"])
        let known = [ItemActivity.Knowledge(slots: 0..<16_384, through: 12)]
        #expect(try load(before.serialise(knowing: known), into: &after) == [])
        #expect(after.statistics.entries == 0 && after.totals[0] == ScenarioTotals())
    }

    @Test("damaged bytes are refused or read as others, and never crash", arguments: 0..<4)
    func damage(run: Int) throws {
        var generator = SeededGenerator(seed: UInt64(9600 + run))
        print("activity of items, damaged: seed \(9600 + run)")
        let parts = try filled(["default", "home"], items: 40)
            .serialise(knowing: [ItemActivity.Knowledge(slots: 0..<16_384, through: 12)])
        for part in parts.indices {
            for _ in 0..<300 {
                var damaged = parts
                switch Int.random(in: 0...2, using: &generator) {
                case 0: damaged[part].removeLast(.random(in: 1...damaged[part].count, using: &generator))
                case 1: damaged[part].append(.random(in: 0...255, using: &generator))
                default:
                    for _ in 0..<3 {
                        let place = Int.random(in: 0..<damaged[part].count, using: &generator)
                        damaged[part][place] = .random(in: 0...255, using: &generator)
                    }
                }
                var after = try ItemActivity(ItemActivityConfiguration(), scenarios: ["default", "home"])
                do {
                    _ = try load(damaged, into: &after, items: 40)
                    for item in 0..<UInt32(40) {
                        let values = after.values(of: item, scenario: 1, now: 1_700_009_000)
                        #expect(values.clicks.isFinite && values.clickRate.isFinite && values.trend.isFinite)
                    }
                } catch let error as LiveStateError {
                    #expect([.malformed, .newerFormat].contains(error.code))
                }
            }
        }
        var after = try ItemActivity(ItemActivityConfiguration(), scenarios: ["default"])
        var loader = ItemActivityLoader()
        #expect(throws: LiveStateError.self) { try loader.take(parts[1][...], itemCount: 40, into: &after) }
        #expect(throws: LiveStateError.self) { try loader.take([], itemCount: 40, into: &after) }
        // Items that have no numbers.
        #expect(throws: LiveStateError.self) { try load(parts, into: &after, items: 1) }
    }
}
