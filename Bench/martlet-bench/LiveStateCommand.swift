import ArgumentParser
import LiveStateBench
import LoadGenerator

/// `martlet-bench live-state`
struct LiveStateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live-state",
        abstract:
            "Measures what a node's knowledge of its users takes: memory, events, readings, snapshots, on one thread.",
        discussion: """
            Users and events are made. Pin it (taskset -c 0) for steady figures. Memory is the allocator's: a node has jemalloc,
            this tool only with LD_PRELOAD=libjemalloc.so.2.
            """)

    @Option(parsing: .unconditional, help: "Users, 1 to 9999999.") var users = 1_000_000
    @Option(parsing: .unconditional, help: "Events of each user, 1 to 10000.") var events = 50
    @Option(parsing: .unconditional, help: "Items that they are about, 1 to 100000000.") var items = 100_000
    @Option(parsing: .unconditional, help: "Events that a history keeps, 1 to 4096.") var historyMax = 100

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("--users", users, 1...9_999_999)
        try check("--events", events, 1...10_000)
        try check("--items", items, 1...100_000_000)
        try check("--history-max", historyMax, 1...4096)
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        var bench = try LiveStateBench(users: users, events: events, items: items, historyMax: historyMax)
        bench.run { Terminal.say($0.text) }
    }
}
