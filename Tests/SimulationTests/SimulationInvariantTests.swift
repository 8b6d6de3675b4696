import LoadBalancing
import Overload
import Simulation
import TestSupport
import Testing

/// A cluster of five nodes at a fifth of what it can do, and what must hold whatever befalls it.
///
/// `MARTLET_SEED=n` replays one seed. `martlet-bench simulate` runs the same scenarios with more calls.
@Suite("ClusterSimulation", .ownThreads)
struct SimulationInvariantTests {
    static let workload = Workload(users: 2000, skew: 0.9)
    static let seeds = Seeds.chosen(30)

    private func run(
        _ scenario: Scenario, _ policy: PolicyChoice = .ownerAll, seed: UInt64,
        _ change: (inout SimulationConfiguration) -> Void = { _ in }
    ) -> SimulationResult {
        var configuration = SimulationConfiguration()
        configuration.rate = 150
        configuration.workers = 2
        configuration.duration = 10
        configuration.cluster.callsMax = 1024
        scenario.apply(to: &configuration)
        policy.apply(to: &configuration)
        change(&configuration)
        var simulation = ClusterSimulation(configuration, workload: Self.workload, seed: seed)
        let result = simulation.run()
        // What holds in any scenario.
        #expect(result.endedTwice == 0, "seed \(seed)")
        #expect(result.endedLate == 0, "seed \(seed)")
        #expect(result.count(.open) == 0, "seed \(seed): calls that never ended")
        #expect(result.ejectedLast == 0, "seed \(seed)")
        for counts in result.counts { #expect(counts.amplification <= 1.205, "seed \(seed): \(counts)") }
        return result
    }

    @Test("a healthy cluster answers everything, ejects nobody and is within 2 % of extra load", arguments: seeds)
    func healthy(seed: UInt64) {
        let result = run(.healthy, seed: seed)
        #expect(result.unanswered() == 0)
        #expect(result.ejections.isEmpty, "seed \(seed): \(result.ejections)")
        #expect(result.extraLoad() <= 0.0205, "seed \(seed): \(result.extraLoad())")
    }

    @Test("one node ten times slower is ejected within two seconds, and nobody notices after five", arguments: seeds)
    func slowNode(seed: UInt64) {
        let healthy = run(.healthy, seed: seed)
        for scenario in [Scenario.slowNode, .degradedNode] {
            let result = run(scenario, seed: seed)
            #expect(result.unanswered() == 0, "seed \(seed)")
            let first = result.firstEjected[1].map { Double($0) / 1e9 } ?? .infinity
            #expect(first <= Scenario.onset + 2, "seed \(seed): \(first)")
            // The tail of few calls is a matter of chance: the healthy one is that of the whole run.
            let usual = healthy.quantile(0.99)
            let now = result.quantile(0.99, from: Scenario.onset + 5)
            #expect(now <= 1.5 * usual, "seed \(seed), \(scenario): \(now), healthy \(usual)")
            #expect(result.extraLoad() <= 0.0205, "seed \(seed): \(result.extraLoad())")
        }
    }

    @Test("no read fails when a node is killed, paused, flaps or swallows calls", arguments: seeds)
    func lostNode(seed: UInt64) {
        for scenario in [Scenario.killedNode, .pausedNode, .flappingNode, .blackHole] {
            let result = run(scenario, seed: seed)
            #expect(result.unanswered() == 0, "seed \(seed), \(scenario): \(result.unanswered())")
        }
    }

    @Test("a killed node costs at most a thousandth of the writes, for at most a second", arguments: seeds)
    func writes(seed: UInt64) {
        let result = run(.killedNode, seed: seed) { $0.repeatableShare = 0 }
        #expect(
            Double(result.unanswered()) <= 0.001 * Double(result.calls.count), "seed \(seed): \(result.unanswered())")
        #expect(result.unanswered(from: Scenario.onset + 1) == 0, "seed \(seed)")
    }

    @Test("a retry storm is at most 1.2 times the calls", arguments: seeds)
    func retryStorm(seed: UInt64) {
        let result = run(.retryStorm, seed: seed)
        let amplification = Double(result.attempts) / Double(result.calls.count)
        #expect(amplification <= 1.2, "seed \(seed): \(amplification)")
    }

    @Test("too many calls eject nobody, and leave nothing behind", arguments: seeds.prefix(10))
    func overload(seed: UInt64) {
        let result = run(.overload, seed: seed) { $0.duration = 9 }
        #expect(result.ejections.isEmpty, "seed \(seed): \(result.ejections)")
        #expect(result.unanswered(from: Scenario.onset + 5) == 0, "seed \(seed)")
    }

    @Test(
        "a step to three times the load costs no throughput and no critical call, and those let in are in time",
        arguments: seeds.prefix(10))
    func waitBound(seed: UInt64) {
        var base = SimulationConfiguration()
        base.workers = 2
        let result = run(.overload, seed: seed) {
            $0.overload = .waitBound
            $0.duration = 9
        }
        let from = Scenario.onset + 2
        let good = result.calls.count { call in
            call.ending == .good && Double(call.end) / 1e9 >= from && Double(call.end) / 1e9 < from + 2
        }
        #expect(Double(good) >= 0.95 * 2 * base.capacity, "seed \(seed): \(good) in 2 s, of \(2 * base.capacity)")
        let p99 = result.quantile(0.99, from: from, until: from + 2)
        #expect(p99 <= 0.06, "seed \(seed): \(p99)")
        let critical = result.calls.filter { $0.priority == .critical }
        #expect(
            critical.allSatisfy { $0.ending == .good },
            "seed \(seed): \(critical.count { $0.ending != .good }) critical")
    }

    @Test("random faults at random times leave every call ended, once and in time", arguments: Seeds.chosen(100))
    func randomFaults(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let policy = PolicyChoice.allCases.randomElement(using: &random) ?? .ownerAll
        let faults = (0..<Int.random(in: 1...5, using: &random)).map { _ in
            let from = Double.random(in: 0.2...3, using: &random)
            let kinds: [Fault.Kind] = [
                .delayed(20), .degraded(5), .killed, .paused, .blackHole, .flapping(0.6), .refusing(0.7), .failing(0.5),
                .load(4),
            ]
            return Fault(
                kinds.randomElement(using: &random) ?? .killed,
                node: Int.random(in: -1..<5, using: &random) < 0 ? nil : Int.random(in: 0..<5, using: &random),
                from: from, until: from + Double.random(in: 0.1...2, using: &random))
        }
        let result = run(.healthy, policy, seed: seed) {
            $0.faults = faults
            $0.duration = 4
            $0.repeatableShare = 0.8
            $0.deadline = 0.3
        }
        #expect(result.calls.count > 500, "seed \(seed): \(faults)")
    }

    @Test("the same seed gives the same run")
    func determinism() {
        let once = run(.flappingNode, seed: 7)
        let again = run(.flappingNode, seed: 7)
        #expect(once.attemptTimes == again.attemptTimes && once.counts == again.counts)
    }
}
