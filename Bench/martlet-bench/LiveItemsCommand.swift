import ArgumentParser
import LiveStateBench
import LoadGenerator

/// `martlet-bench live-items`
struct LiveItemsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live-items",
        abstract:
            "Measures what counting what happens to items takes: an event, a merge, memory, a look, on one thread.",
        discussion: "Items and events are made. Pin it (taskset -c 0) for steady figures.")

    @Option(parsing: .unconditional, help: "Items, 1 to 10000000.") var items = 100_000
    @Option(parsing: .unconditional, help: "Scenarios, 1 to 64.") var scenarios = 10
    @Option(parsing: .unconditional, help: "Events between two merges, 1 to 10000000.") var events = 100_000
    @Option(parsing: .unconditional, help: "Merges of each kind, 1 to 1000.") var merges = 30

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("--items", items, 1...10_000_000)
        try check("--scenarios", scenarios, 1...64)
        try check("--events", events, 1...10_000_000)
        try check("--merges", merges, 1...1000)
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        var configuration = ItemActivityBench.Configuration()
        configuration.items = items
        configuration.scenarios = scenarios
        configuration.eventsPerMerge = events
        configuration.merges = merges
        var bench = try ItemActivityBench(configuration)
        bench.run { Terminal.say($0.text) }
    }
}
