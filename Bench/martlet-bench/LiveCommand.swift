import ArgumentParser
import LiveBench
import LoadGenerator

/// `martlet-bench live`
struct LiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live",
        abstract: "Measures how soon a slate shows what its user did, and what events cost the slates of others.",
        discussion: """
            Puts events on a running node: give it one whose state may be spoilt. Windows with events in the background and
            without take turns. Exit code 1 when a slate still showed an item whose event had been acknowledged.
            """)

    @Option(help: "The node's RPC address.") var node = "127.0.0.1:7400"
    @Option(parsing: .unconditional, help: "Users of the node, 2 to 50000000, named by --user-pattern.")
    var users = 10_000
    @Option(help: "Names of users.") var userPattern = "u#######"
    @Option(help: "File with one user ID a line, instead of --users.") var usersFile: String?
    @Option(parsing: .unconditional, help: "Items of background events, 1 to 50000000.") var items = 10_000
    @Option(help: "Names of items.") var itemPattern = "i######"
    @Option(help: "File with one item ID a line, instead of --items.") var itemsFile: String?
    @Option(parsing: .unconditional, help: "Background events a second, above 0 to 1000000.") var eventsRate = 5000.0
    @Option(parsing: .unconditional, help: "Events of a background call, 1 to 1000.") var eventsPerCall = 10
    @Option(parsing: .unconditional, help: "Slates a second, above 0 to 100000.") var slatesRate = 200.0
    @Option(parsing: .unconditional, help: "Probes a second, above 0 to 10000.") var probesRate = 50.0
    @Option(parsing: .unconditional, help: "Seconds to measure, above 0 to 86400.") var duration = 10.0
    @Option(parsing: .unconditional, help: "Seconds of a window, 0.1 to 3600.") var window = 1.0
    @Option(
        name: [.customShort("k"), .customLong("k")], parsing: .unconditional, help: "Items of a slate, 1 to 1000.")
    var k = 20
    @Option(help: "The event type of probes; it must make its item a seen one.") var eventType = "click"
    @Option(parsing: .unconditional, help: "Number that decides all chance.") var seed: UInt64 = 1

    func validate() throws {
        for (name, value, range) in [
            ("--users", users, 2...50_000_000), ("--items", items, 1...50_000_000),
            ("--events-per-call", eventsPerCall, 1...1000), ("--k", k, 1...1000),
        ] where !range.contains(value) {
            throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
        }
        for (name, value, most) in [
            ("--events-rate", eventsRate, 1e6), ("--slates-rate", slatesRate, 1e5), ("--probes-rate", probesRate, 1e4),
            ("--duration", duration, 86_400),
        ] where !(value > 0 && value <= most) {
            throw ValidationError("\(name) is \(value); allowed: above 0 to \(Int(most))")
        }
        guard (0.1...3600).contains(window) else {
            throw ValidationError("--window is \(window); allowed: 0.1 to 3600")
        }
    }

    func run() async throws {
        MachineLoad.tell()
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        let report: LiveReport
        do {
            report = try await LiveRun(settings()).run(stop: stop)
        } catch {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
        Terminal.say(report.text)
        if report.isBad { throw ExitCode(1) }
        if stop.wasSet { throw ExitCode(interrupts.exitCode) }
    }

    private func settings() throws -> LiveRun.Configuration {
        var settings = LiveRun.Configuration()
        (settings.host, settings.port) = try LoadCommand.address(node)
        settings.users = try usersFile.map { try .reading(file: $0) } ?? .pattern(userPattern, count: users)
        settings.items = try itemsFile.map { try .reading(file: $0) } ?? .pattern(itemPattern, count: items)
        settings.eventsRate = eventsRate
        settings.eventsPerCall = eventsPerCall
        settings.slatesRate = slatesRate
        settings.probesRate = probesRate
        settings.duration = duration
        settings.window = window
        settings.k = k
        settings.eventType = eventType
        settings.seed = seed
        return settings
    }
}
