import ArgumentParser
import Foundation
import LoadGenerator
import RankerBench
import VectorMath

/// `martlet-bench networks`
struct NetworksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "networks",
        abstract: "Measures how fast a network (DeepFM and its parts) scores rows, on one thread.",
        discussion: """
            Bench/peers/networks.py makes a network and rows, and measures onnxruntime and torch beside this command.
            Pin it (taskset -c 0) for steady figures; MARTLET_ISA lowers the instruction set.
            """)

    @Option(help: "A ranker's file, as martlet ranker train writes it.") var ranker: String
    @Option(help: "Rows: a safetensors file of ids (U32) and dense (F32); random ones without it.") var rows: String?
    @Option(help: "Rows to a call, one or more counts of 1 to 10000.") var batch = "1,8,32,200,256"
    @Option(help: "Precisions, with commas between (default: what this machine is fast at).") var precisions: String?
    @Option(parsing: .unconditional, help: "Rounds for each point, 1 to 1000; medians are told.") var rounds = 11
    @Option(parsing: .unconditional, help: "Seconds of each round, 0.001 to 10.") var seconds = 0.1
    @Flag(help: "Keep embeddings as IEEE halves.") var halfTables = false
    @Option(help: "Write the logits here, Float32 row by row, one file a precision: FILE.f32, FILE.bf16 ...")
    var logits: String?
    @Option(help: "Write the figures to this file.") var json: String?

    func validate() throws {
        _ = try (batches(), precisionList())
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds is \(rounds); allowed: 1 to 1000") }
        guard (0.001...10).contains(seconds) else {
            throw ValidationError("--seconds is \(seconds); allowed: 0.001 to 10")
        }
    }

    private func batches() throws -> [Int] {
        try batch.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let count = Int(word), (1...10_000).contains(count) else {
                throw ValidationError("--batch: '\(word)' is not a count of 1 to 10000")
            }
            return count
        }
    }

    private func precisionList() throws -> [LayerPrecision] {
        guard let precisions else { return LayerPrecision.supported }
        return try precisions.split(separator: ",", omittingEmptySubsequences: false).map { word in
            guard let precision = LayerPrecision(rawValue: String(word)) else {
                throw ValidationError("--precisions: '\(word)' is none of f32, bf16, int8")
            }
            return precision
        }
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        let bench = try NetworkBench(ranker: ranker, rows: rows)
        Terminal.say(bench.heading)
        var points: [NetworkBench.Point] = []
        func take(_ point: NetworkBench.Point) {
            Terminal.say("  " + point.text)
            points.append(point)
        }
        for precision in try precisionList() {
            if let logits {
                let values = bench.logits(precision)
                try values.withUnsafeBytes {
                    try Data($0).write(to: URL(fileURLWithPath: "\(logits).\(precision.rawValue)"))
                }
            }
            for batch in try batches() {
                take(bench.measure(precision, batch: batch, halfTables: halfTables, rounds: rounds, seconds: seconds))
            }
            for batch in try batches() where batch >= 32 {
                if let point = bench.measureRanking(precision, batch: batch, rounds: rounds, seconds: seconds) {
                    take(point)
                }
            }
        }
        if let json {
            let figures = points.map {
                [
                    "way": $0.way, "precision": $0.precision.rawValue, "batch": $0.batch,
                    "microsecondsPerCall": $0.microsecondsPerCall, "rowsPerSecond": $0.rowsPerSecond,
                ] as [String: Any]
            }
            try JSONSerialization.data(withJSONObject: ["points": figures], options: [.prettyPrinted, .sortedKeys])
                .write(to: URL(fileURLWithPath: json))
        }
    }
}
