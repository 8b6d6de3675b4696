import Simulation
import Testing

@Suite("PolicyComparison", .ownThreads)
struct PolicyComparisonTests {
    private var base: SimulationConfiguration {
        var base = SimulationConfiguration()
        base.rate = 60
        base.workers = 1
        base.cluster.callsMax = 512
        return base
    }

    @Test("a row for each policy, in a table")
    func table() {
        let comparison = PolicyComparison(
            .slowNode, policies: [.roundRobin, .ownerAll], seeds: 1...2, base: base)
        #expect(comparison.rows.map(\.policy) == [.roundRobin, .ownerAll])
        #expect(comparison.rows.allSatisfy { $0.wrongEnds == 0 })
        #expect(comparison.rows[0].p99 > 2 * comparison.rows[1].p99)
        #expect(comparison.table.split(separator: "\n").count == 5)
        #expect(comparison.table.contains("| owner+hedge+eject |"))
    }

    @Test("a replay tells each second and each ejection")
    func replay() {
        let text = SimulationReplay(.slowNode, policy: .ownerAll, seed: 3, base: base).text
        #expect(text.contains("| 11 |") && text.contains("ejects node 1, latency"))
        #expect(text == SimulationReplay(.slowNode, policy: .ownerAll, seed: 3, base: base).text)
    }
}
