import ArgumentParser
import FilterBench
import Foundation
import LoadGenerator

/// `martlet-bench filters`
struct FiltersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "filters",
        abstract: "Measures what filters by attributes, availability windows and seen items cost, on one thread.",
        discussion: """
            The items are made: 1000 shops, 8 colours, a price and a window each. Pin it (taskset -c 0) for steady figures.
            """)

    @Option(parsing: .unconditional, help: "How many items, one or more counts of 64 to 10000000.")
    var items = "100000,1000000"
    @Option(parsing: .unconditional, help: "Rounds of each step, 1 to 10000; medians are told.") var repeats = 101

    func validate() throws {
        _ = try counts()
        guard (1...10_000).contains(repeats) else {
            throw ValidationError("--repeats is \(repeats); allowed: 1 to 10000")
        }
    }

    private func counts() throws -> [Int] {
        try items.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let count = Int(word), (64...10_000_000).contains(count) else {
                throw ValidationError("--items: '\(word)' is not a count of 64 to 10000000")
            }
            return count
        }
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        for count in try counts() {
            let bench = try FilterBench(itemCount: count, repeats: repeats)
            say(bench.heading)
            try bench.run { say("  " + $0.text) }
        }
    }

    /// A line on standard output, at once.
    private func say(_ line: String) { Terminal.say(line) }
}
