import ArgumentParser
import Simulation

/// `martlet-bench simulate`
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Compares ways to choose between nodes of a cluster in which something goes wrong, in virtual time.",
        discussion: """
            Clients with the client library's own decisions, before nodes with workers, queues and faults; no sockets, no clocks:
            a seed gives the same run on every machine of one kind. What goes wrong begins after three seconds.
            Scenarios: \(Scenario.allCases.map { "\($0.rawValue) (\($0.summary))" }.joined(separator: ", ")).
            """)

    @Option(help: "What goes wrong: \(Scenario.allCases.map(\.rawValue).joined(separator: ", ")); or all.")
    var scenario = "slow-node"
    @Option(parsing: .unconditional, help: "Seeds of each policy, from 1 on, 1 to 100000.") var seeds = 20
    @Option(parsing: .unconditional, help: "Replays this one seed of --policy, second by second.") var seed: UInt64?
    @Option(
        help:
            "The ways to choose: \(PolicyChoice.allCases.map(\.rawValue).joined(separator: ", ")); separated by commas."
    )
    var policy: String?
    @Option(parsing: .unconditional, help: "Nodes, 1 to 100.") var nodes = 5
    @Option(parsing: .unconditional, help: "Clients, 1 to 100.") var clients = 3
    @Option(parsing: .unconditional, help: "Calls a second of each client, above 0 to 100000.") var rate = 300.0
    @Option(parsing: .unconditional, help: "Seconds of virtual time, 9 to 3600.") var duration = 12.0
    @Option(parsing: .unconditional, help: "Calls that a node works on at once, 1 to 1000.") var workers = 3

    func validate() throws {
        func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("--seeds", Double(seeds), 1...100_000)
        try check("--nodes", Double(nodes), 1...100)
        try check("--clients", Double(clients), 1...100)
        try check("--rate", rate, 0.001...100_000)
        try check("--duration", duration, 9...3600)
        try check("--workers", Double(workers), 1...1000)
        _ = try scenarios()
        _ = try policies()
    }

    private func scenarios() throws -> [Scenario] {
        if scenario == "all" { return Scenario.allCases }
        guard let one = Scenario(rawValue: scenario) else {
            let known = Scenario.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--scenario is \(scenario); allowed: \(known), all")
        }
        return [one]
    }

    private func policies() throws -> [PolicyChoice] {
        guard let policy else { return seed == nil ? PolicyChoice.allCases : [.ownerAll] }
        return try policy.split(separator: ",").map { name in
            guard let choice = PolicyChoice(rawValue: String(name)) else {
                let known = PolicyChoice.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--policy names \(name); allowed: \(known)")
            }
            return choice
        }
    }

    func run() throws {
        var base = SimulationConfiguration()
        base.nodes = nodes
        base.clients = clients
        base.rate = rate
        base.duration = duration
        base.workers = workers
        for scenario in try scenarios() {
            if let seed {
                for policy in try policies() {
                    Terminal.say(SimulationReplay(scenario, policy: policy, seed: seed, base: base).text + "\n")
                }
                continue
            }
            let comparison = PolicyComparison(scenario, policies: try policies(), seeds: 1...UInt64(seeds), base: base)
            Terminal.say(comparison.table + "\n")
            if comparison.rows.contains(where: { $0.wrongEnds > 0 }) { throw ExitCode(1) }
        }
    }
}
