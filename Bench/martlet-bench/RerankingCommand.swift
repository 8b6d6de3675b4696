import ArgumentParser
import LoadGenerator
import RerankingBench

/// `martlet-bench reranking`
struct RerankingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reranking",
        abstract: "Measures what re-ranking a slate costs: diversity, caps, boosts, exploration, on one thread.",
        discussion: """
            The candidates are made: 64 factors, a category and some genres each. Pin it (taskset -c 0) for steady figures.
            """)

    @Option(parsing: .unconditional, help: "Items of a slate, 1 to 1000.") var k = 20
    @Option(parsing: .unconditional, help: "Candidates that places are chosen among, 1 to 1000.") var pool = 200
    @Option(parsing: .unconditional, help: "Candidates that the sources brought, 1 to 2000.") var candidates = 500
    @Option(parsing: .unconditional, help: "Pages of each kind, 1 to 100000.") var repeats = 1001

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("--k", k, 1...1000)
        try check("--pool", pool, 1...1000)
        try check("--candidates", candidates, 1...2000)
        try check("--repeats", repeats, 1...100_000)
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        let bench = try RerankingBench(itemCount: 20_000, candidateCount: candidates, repeats: repeats)
        bench.run(k: k, pool: pool) { Terminal.say($0.text) }
    }
}
