import LoadBalancing

/// One seed, second by second.
package struct SimulationReplay: Sendable {
    package let text: String

    package init(_ scenario: Scenario, policy: PolicyChoice, seed: UInt64, base: SimulationConfiguration) {
        var configuration = base
        scenario.apply(to: &configuration)
        policy.apply(to: &configuration)
        var simulation = ClusterSimulation(configuration, seed: seed)
        let result = simulation.run()
        var lines = [
            "\(scenario.rawValue) with \(policy.rawValue), seed \(seed): \(scenario.summary)", "",
            "| second | calls | p50 ms | p99 ms | unanswered | extra load |", "|---|---|---|---|---|---|",
        ]
        for second in 0..<Int(configuration.duration.rounded(.up)) {
            let (from, until) = (Double(second), Double(second + 1))
            let calls = result.calls.count { Double($0.start) / 1e9 >= from && Double($0.start) / 1e9 < until }
            lines.append(
                "| \(second) | \(calls) | \(PolicyComparison.ms(result.quantile(0.5, from: from, until: until))) "
                    + "| \(PolicyComparison.ms(result.quantile(0.99, from: from, until: until))) "
                    + "| \(result.unanswered(from: from, until: until)) "
                    + "| \(PolicyComparison.percent(result.extraLoad(from: from, until: until))) |")
        }
        lines.append("")
        for ejection in result.ejections.prefix(100) {
            let at = (ejection.at * 1000).rounded() / 1000
            lines.append("\(at) s: client \(ejection.client) ejects node \(ejection.node), \(ejection.reason.rawValue)")
        }
        if result.ejections.count > 100 { lines.append("and \(result.ejections.count - 100) ejections more") }
        let shares = result.firstSendings.map(String.init).joined(separator: ", ")
        lines.append("first sendings by node: \(shares); \(result.attempts) sendings for \(result.calls.count) calls")
        text = lines.joined(separator: "\n")
    }
}
