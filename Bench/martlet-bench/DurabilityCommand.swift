import ArgumentParser
import LiveBench
import LoadGenerator

/// `martlet-bench durability`
struct DurabilityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "durability",
        abstract: "Kills a node under load, again and again: is every event that it acknowledged there, once?",
        discussion: """
            Starts `martlet serve` on a free loopback port with an event log of its own, sends events from several
            connections, kills the process (SIGKILL) at a random moment, starts it again on the same log and looks: the log
            must hold each acknowledged event exactly once, slates must not show what was clicked, and what is sent again
            under its ID must not count again. The node takes a snapshot each second, so that kills fall into them. Exit
            code 1 when anything was lost, doubled or shown.
            """)

    @OptionGroup var options: NodeOptions
    @Option(parsing: .unconditional, help: "Kills, 1 to 100000.") var rounds = 10
    @Option(help: "events.sync of the node: always, interval or never.") var sync = "always"
    @Flag(help: "After each kill, take away what was not synced, as if the machine had lost its power.")
    var dropUnsynced = false
    @Option(parsing: .unconditional, help: "Users of the bundle, 40 to 1000000.") var users = 2000
    @Option(help: "Names of users.") var userPattern = "u#######"
    @Option(parsing: .unconditional, help: "Items of the bundle, 100 to 1000000.") var items = 2000
    @Option(help: "Names of items.") var itemPattern = "i######"
    @Option(parsing: .unconditional, help: "Connections, 1 to 64.") var connections = 4
    @Option(parsing: .unconditional, help: "Calls in flight on each, 1 to 256.") var inFlight = 8
    @Option(parsing: .unconditional, help: "Number that decides all chance.") var seed: UInt64 = 1

    func validate() throws {
        for (name, value, range) in [
            ("--rounds", rounds, 1...100_000), ("--users", users, 40...1_000_000), ("--items", items, 100...1_000_000),
            ("--connections", connections, 1...64), ("--in-flight", inFlight, 1...256),
        ] where !range.contains(value) {
            throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
        }
        guard ["always", "interval", "never"].contains(sync) else {
            throw ValidationError("--sync is always, interval or never, not '\(sync)'")
        }
    }

    func run() async throws {
        MachineLoad.tell()
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        var report = DurabilityReport(mayLose: false)
        try await options.withEvents { folder in
            var configuration = DurabilityRun.Configuration(node: options.node, events: folder)
            configuration.rounds = rounds
            configuration.sync = sync
            configuration.dropsUnsynced = dropUnsynced
            configuration.users = .pattern(userPattern, count: users)
            configuration.items = .pattern(itemPattern, count: items)
            configuration.connections = connections
            configuration.inFlight = inFlight
            configuration.seed = seed
            report = DurabilityReport(mayLose: configuration.mayLose)
            Terminal.say(
                "events.sync \(sync), \(dropUnsynced ? "power cut" : "process killed"), seed \(seed)\n"
                    + DurabilityReport.header)
            try await DurabilityRun(configuration).run(stop: stop) { round in
                report.add(round)
                Terminal.say(report.line(round))
            }
        }
        Terminal.say(report.total)
        if report.isBad { throw ExitCode(1) }
        if stop.wasSet { throw ExitCode(interrupts.exitCode) }
    }
}
