import ArgumentParser
import Foundation
import IndexBench
import LoadGenerator
import VectorMath

/// `martlet-bench fold-in`
struct FoldInCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fold-in",
        abstract: "Measures how long it takes to solve for a user's factor, and how exact it is, on one thread.",
        discussion: """
            Each history is another one. The cosine is the least of some against a Float64 solve. Pin it \
            (taskset -c 0) for steady figures. Bench/peers/fold_in.py compares with numpy and implicit by --output.
            """)

    @Option(help: "A bundle with ALS factors (default: made-up ones).") var bundle: String?
    @Option(parsing: .unconditional, help: "Made-up items, 16 to 10000000.") var items = 50_000
    @Option(parsing: .unconditional, help: "Dimensions of made-up items, 1 to 512.") var rank = 64
    @Option(parsing: .unconditional, help: "Lengths of histories, with commas between.") var history =
        "1,10,50,200,1000"
    @Option(parsing: .unconditional, help: "Histories of each length, 10 to 1000000.") var repeats = 2000
    @Option(help: "How the items are held: f32 or f16.") var itemRows = "f32"
    @Option(help: "primal, dual, or auto (the quicker one).") var form = "auto"
    @Flag(help: "Give items weights of their own.") var weighted = false
    @Option(help: "Existing folder for items, histories and factors.") var output: String?

    func validate() throws {
        _ = try configuration()
        guard (16...10_000_000).contains(items) else {
            throw ValidationError("--items is \(items); allowed: 16 to 10000000")
        }
        guard (1...512).contains(rank) else { throw ValidationError("--rank is \(rank); allowed: 1 to 512") }
        guard (10...1_000_000).contains(repeats) else {
            throw ValidationError("--repeats is \(repeats); allowed: 10 to 1000000")
        }
    }

    private func configuration() throws -> FoldInBench.Configuration {
        var configuration = FoldInBench.Configuration()
        configuration.bundle = bundle
        configuration.items = items
        configuration.rank = rank
        configuration.repeats = repeats
        configuration.isWeighted = weighted
        configuration.histories = try history.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let count = Int(word), (1...100_000).contains(count) else {
                throw ValidationError("--history: '\(word)' is not a length of 1 to 100000")
            }
            return count
        }
        guard let precision = RowPrecision(rawValue: itemRows) else {
            throw ValidationError("--item-rows is '\(itemRows)'; there are f32 and f16")
        }
        configuration.rowPrecision = precision
        switch form {
        case "auto": configuration.form = nil
        case "primal": configuration.form = .primal
        case "dual": configuration.form = .dual
        default: throw ValidationError("--form is '\(form)'; there are primal, dual and auto")
        }
        return configuration
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        let configuration = try configuration()
        let bench = try FoldInBench(configuration, threads: Parallel.coreCount)
        Terminal.say(bench.heading)
        var results: [FoldInBench.Result] = []
        var samples: [FoldInBench.Sample] = []
        for count in configuration.histories {
            let (result, sample) = try bench.run(count)
            results.append(result)
            samples.append(sample)
            Terminal.say(
                String(
                    format: "  history %6d  %@  p50 %8.1f us  p99 %8.1f us (processor time %8.1f)  cosine %.7f", count,
                    result.form as NSString, result.p50Microseconds, result.p99Microseconds,
                    result.p99ProcessorMicroseconds, result.cosine))
        }
        if let output { try bench.write(samples, results: results, to: output) }
    }
}
