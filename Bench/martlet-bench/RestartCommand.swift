import ArgumentParser
import LiveBench
import LoadGenerator

/// `martlet-bench restart`
struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Measures how soon a node serves again that has millions of events in its log.",
        discussion: """
            Writes a log of clicks of random users on random items, starts a node that replays all of it, has it stop (it
            takes a snapshot then), adds a tail, and starts, kills and starts it again.
            """)

    @OptionGroup var options: NodeOptions
    @Option(name: .customLong("count"), parsing: .unconditional, help: "Events of the log, 1000 to 1000000000.")
    var events = 10_000_000
    @Option(parsing: .unconditional, help: "Events behind the snapshot, 1 to 1000000000.") var tail = 100_000
    @Option(parsing: .unconditional, help: "Users, 1 to 50000000.") var users = 1_000_000
    @Option(help: "Names of users.") var userPattern = "u#######"
    @Option(parsing: .unconditional, help: "Items, 1 to 50000000.") var items = 100_000
    @Option(help: "Names of items.") var itemPattern = "i######"
    @Option(parsing: .unconditional, help: "Restarts from the snapshot, 1 to 1000.") var rounds = 3
    @Option(parsing: .unconditional, help: "Number that decides all chance.") var seed: UInt64 = 1

    func validate() throws {
        for (name, value, range) in [
            ("--count", events, 1000...1_000_000_000), ("--tail", tail, 1...1_000_000_000),
            ("--users", users, 1...50_000_000), ("--items", items, 1...50_000_000), ("--rounds", rounds, 1...1000),
        ] where !range.contains(value) {
            throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
        }
    }

    func run() async throws {
        MachineLoad.tell()
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        try await options.withEvents { folder in
            var configuration = RestartRun.Configuration(node: options.node, folder: folder)
            configuration.events = events
            configuration.tail = tail
            configuration.users = .pattern(userPattern, count: users)
            configuration.items = .pattern(itemPattern, count: items)
            configuration.rounds = rounds
            configuration.seed = seed
            Terminal.say(RestartRun.Start.header)
            try await RestartRun(configuration).run(
                stop: stop, { Terminal.say($0.line) }, told: { Terminal.complain($0) })
        }
        if stop.wasSet { throw ExitCode(interrupts.exitCode) }
    }
}
