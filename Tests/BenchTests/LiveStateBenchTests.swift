import LiveStateBench
import TestSupport
import Testing

@Suite(.ownThreads) struct LiveStateBenchTests {
    @Test("A tiny run measures memory, events, readings and snapshots")
    func tinyRun() throws {
        var bench = try LiveStateBench(users: 500, events: 12, items: 1000, historyMax: 10)
        var figures: [LiveStateBench.Figure] = []
        bench.run { figures.append($0) }
        #expect(figures.count == 21)
        #expect(figures.map(\.name).contains("reading all slots"))
        #expect(figures[0].value > 50)
    }

    @Test("A tiny run measures events, merges and looks at items")
    func items() throws {
        var configuration = ItemActivityBench.Configuration()
        configuration.items = 300
        configuration.scenarios = 2
        configuration.eventsPerMerge = 500
        configuration.merges = 3
        var bench = try ItemActivityBench(configuration)
        var figures: [LiveStateBench.Figure] = []
        bench.run { figures.append($0) }
        #expect(figures.count == 23 && figures[0].value == 900)
        #expect(figures[1].value >= 20 && figures[1].value < 200)
    }
}
