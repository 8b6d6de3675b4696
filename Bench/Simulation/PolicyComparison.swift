import LoadBalancing

/// What policies make of a scenario, over many seeds.
package struct PolicyComparison: Sendable {
    package struct Row: Sendable {
        package var policy: PolicyChoice
        /// Medians and worst over the seeds, in seconds: of calls from five seconds after the onset on.
        package var p50 = 0.0
        package var p99 = 0.0
        package var p99Worst = 0.0
        /// The same quantile of the calls of the first five seconds after the onset.
        package var p99Onset = 0.0
        /// Share of calls since the onset that had no answer.
        package var unanswered = 0.0
        /// The most of any seed, from five seconds after the onset on.
        package var unansweredLater = 0.0
        /// Sendings beyond one for each call, as a share, over all seeds and the whole run.
        package var extraLoad = 0.0
        package var toOwner = 0.0
        /// First sendings of a node, least and most of any seed, as shares of an even one.
        package var least = Double.infinity
        package var most = 0.0
        package var ejections = 0
        /// Ends that must never be: twice, late, never.
        package var wrongEnds = 0
    }

    package let scenario: Scenario
    package let seeds: ClosedRange<UInt64>
    package private(set) var rows: [Row] = []
    /// Median p99 of the best policy without a fault, for comparison.
    package private(set) var healthyP99 = 0.0

    /// Runs everything; `progress` is told of each policy that is done.
    package init(
        _ scenario: Scenario, policies: [PolicyChoice], seeds: ClosedRange<UInt64>, base: SimulationConfiguration,
        progress: (PolicyChoice) -> Void = { _ in }
    ) {
        self.scenario = scenario
        self.seeds = seeds
        let workload = Workload(users: base.users, skew: base.skew)
        healthyP99 = Self.row(.ownerAll, .healthy, seeds, base, workload).p99
        for policy in policies {
            rows.append(Self.row(policy, scenario, seeds, base, workload))
            progress(policy)
        }
    }

    private static func row(
        _ policy: PolicyChoice, _ scenario: Scenario, _ seeds: ClosedRange<UInt64>, _ base: SimulationConfiguration,
        _ workload: Workload
    ) -> Row {
        var configuration = base
        scenario.apply(to: &configuration)
        policy.apply(to: &configuration)
        var row = Row(policy: policy)
        var p50: [Double] = []
        var p99: [Double] = []
        var onset: [Double] = []
        var calls = 0
        var since = 0
        var unanswered = 0
        var attempts = 0
        for seed in seeds {
            var simulation = ClusterSimulation(configuration, workload: workload, seed: seed)
            let result = simulation.run()
            let later = Scenario.onset + 5
            p50.append(result.quantile(0.5, from: later))
            p99.append(result.quantile(0.99, from: later))
            onset.append(result.quantile(0.99, from: Scenario.onset, until: later))
            calls += result.calls.count
            attempts += result.attempts
            row.toOwner += Double(result.toOwner)
            let begun = result.calls.count { Double($0.start) / 1e9 >= Scenario.onset }
            since += begun
            unanswered += result.unanswered(from: Scenario.onset)
            let laterCalls = result.calls.count { Double($0.start) / 1e9 >= later }
            row.unansweredLater = max(
                row.unansweredLater, Double(result.unanswered(from: later)) / Double(max(1, laterCalls)))
            row.least = min(row.least, result.fairness.least)
            row.most = max(row.most, result.fairness.most)
            row.ejections += result.ejections.count
            row.wrongEnds += result.endedTwice + result.endedLate + result.count(.open) + result.ejectedLast
        }
        row.p50 = median(p50)
        row.p99 = median(p99)
        row.p99Worst = p99.max() ?? .nan
        row.p99Onset = median(onset)
        row.unanswered = Double(unanswered) / Double(max(1, since))
        row.extraLoad = Double(attempts) / Double(max(1, calls)) - 1
        row.toOwner /= Double(max(1, calls))
        return row
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.sorted()[values.count / 2]
    }

    /// A table in Markdown.
    package var table: String {
        var lines = [
            "\(scenario.rawValue): \(scenario.summary). \(seeds.count) seeds; times in ms; healthy p99 \(Self.ms(healthyP99)).",
            "",
            "| policy | p99, first 5 s | p50 after | p99 after | worst seed | unanswered | extra load | to owner | least / most | ejections |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in rows {
            lines.append(
                "| \(row.policy.rawValue) | \(Self.ms(row.p99Onset)) | \(Self.ms(row.p50)) | \(Self.ms(row.p99)) "
                    + "| \(Self.ms(row.p99Worst)) | \(Self.percent(row.unanswered)) | \(Self.percent(row.extraLoad)) "
                    + "| \(Self.percent(row.toOwner)) | \(Self.number(row.least)) / \(Self.number(row.most)) "
                    + "| \(row.ejections) |" + (row.wrongEnds > 0 ? " \(row.wrongEnds) WRONG ENDS" : ""))
        }
        return lines.joined(separator: "\n")
    }

    static func ms(_ seconds: Double) -> String {
        seconds.isNaN ? "-" : "\((seconds * 10_000).rounded() / 10)"
    }
    static func percent(_ share: Double) -> String { "\((share * 10_000).rounded() / 100) %" }
    static func number(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
