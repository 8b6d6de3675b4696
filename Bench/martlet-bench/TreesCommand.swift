import ArgumentParser
import Foundation
import LoadGenerator
import RankerBench
import VectorMath

/// `martlet-bench trees`
struct TreesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trees",
        abstract: "Measures how fast an ensemble of trees from LightGBM or XGBoost scores rows, on one thread.",
        discussion: """
            Rows are a file of Float32 values, row by row, as many to a row as the model has features; NaN is a missing
            value. Bench/peers/trees.py makes models and rows, and measures the libraries beside this command.
            Pin it (taskset -c 0) for steady figures; MARTLET_ISA lowers the instruction set.
            """)

    @Option(help: "LightGBM's text file, or XGBoost's JSON or UBJSON file.") var model: String
    @Option(help: "The rows.") var rows: String
    @Option(help: "Rows to a call, one or more counts of 1 to 1000000.") var batch = "1,100,500"
    @Option(help: "Rounds for each batch, 1 to 1000; medians are told.") var rounds = 11
    @Option(help: "Seconds for each round, 0.001 to 10.") var seconds = 0.1
    @Option(
        help: "Go through the trees this way: rows (together), row (alone) or walk; without it the cheapest is taken.")
    var form: String?
    @Option(help: "Write the predictions here: Float64, row by row.") var predictions: String?
    @Option(help: "Write the scores before the objective's transform here.") var rawScores: String?
    @Option(help: "Write the figures to this file.") var json: String?

    func validate() throws {
        _ = try batches()
        guard (1...1000).contains(rounds) else {
            throw ValidationError("--rounds is \(rounds); allowed: 1 to 1000")
        }
        if let form, TreeForm(rawValue: form) == nil {
            throw ValidationError("--form is '\(form)'; allowed: rows, row, walk")
        }
        guard (0.001...10).contains(seconds) else {
            throw ValidationError("--seconds is \(seconds); allowed: 0.001 to 10")
        }
    }

    private func batches() throws -> [Int] {
        try batch.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let count = Int(word), (1...1_000_000).contains(count) else {
                throw ValidationError("--batch: '\(word)' is not a count of 1 to 1000000")
            }
            return count
        }
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        let bench = try TreeBench(model: model, rows: rows)
        Terminal.say(bench.heading)
        let counts = try batches()
        if let predictions { try TreeBench.write(bench.predictions(batch: counts[counts.count - 1]), to: predictions) }
        if let rawScores { try TreeBench.write(bench.rawScores(batch: counts[counts.count - 1]), to: rawScores) }
        var points: [[String: Double]] = []
        for batch in counts {
            let point = bench.measure(
                batch: batch, rounds: rounds, seconds: seconds, form: form.flatMap(TreeForm.init(rawValue:)))
            Terminal.say("  " + point.text)
            points.append([
                "batch": Double(point.batch), "rowsPerSecond": point.rowsPerSecond,
                "microsecondsPerCall": point.microsecondsPerCall, "spread": point.spread,
            ])
        }
        if let json {
            let data = try JSONSerialization.data(
                withJSONObject: ["points": points], options: [.prettyPrinted, .sortedKeys])
            try data.write(to: URL(fileURLWithPath: json))
        }
    }
}
