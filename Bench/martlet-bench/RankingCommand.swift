import ArgumentParser
import CandidateRanking
import LoadGenerator
import RankerBench

/// `martlet-bench ranking`
struct RankingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ranking",
        abstract: "Measures what a bundle's ranker, network or trees, costs a request, on one thread.",
        discussion: """
            Computes the features of users' candidates and scores them as a node does; medians over users and rounds. \
            Bench/peers/tree_ranker.py makes bundles with both kinds. Pin it (taskset -c 0) for steady figures.
            """)

    @Option(help: "A bundle with a ranker.") var bundle: String
    @Option(parsing: .unconditional, help: "Candidates of a request, 1 to 2000.") var candidates = 200
    @Option(parsing: .unconditional, help: "Users to ask for, 1 to 100000.") var users = 500
    @Option(parsing: .unconditional, help: "Rounds, 1 to 1000.") var rounds = 5
    @Option(help: "How a network's layers are computed: auto, f32, bf16 or int8.") var precision = "auto"

    func validate() throws {
        for (value, flag, range) in [
            (candidates, "--candidates", 1...2000), (users, "--users", 1...100_000), (rounds, "--rounds", 1...1000),
        ] where !range.contains(value) {
            throw ValidationError("\(flag) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
        }
        guard RankerPrecision(rawValue: precision) != nil else {
            throw ValidationError("--precision '\(precision)' is none of auto, f32, bf16, int8")
        }
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        let bench = try BundleRankingBench(bundle: bundle, precision: RankerPrecision(rawValue: precision) ?? .auto)
        Terminal.say(bench.heading)
        Terminal.say("  " + (try bench.measure(candidates: candidates, users: users, rounds: rounds)).text)
    }
}
