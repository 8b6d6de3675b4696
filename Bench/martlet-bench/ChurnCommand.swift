import ArgumentParser
import Foundation
import IndexBench
import LoadGenerator
import VectorMath

/// `martlet-bench churn`
struct ChurnCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "churn",
        abstract:
            "Changes a mutable index while threads search it: does it stay fast, small and as good as built anew?",
        discussion: """
            One thread inserts, updates and deletes rows of made data at random, a third of each; others search all the \
            time. Recall is measured at several moments and compared at the end with a graph built anew over the same rows.
            Exit codes: 0 fine; 1 the run failed; 64 wrong options.
            """)

    @Option(help: "Data to make: hubs, unit or noise.") var shape = SyntheticShape.hubs
    @Option(parsing: .unconditional, help: "Rows at the start; about as many stay.") var rows = 100_000
    @Option(parsing: .unconditional, help: "Columns.") var dimension = 64
    @Option(help: "inner_product, cosine or l2.") var metric = SimilarityMetric.innerProduct
    @Option(help: "What links are chosen by; default: the metric.") var links: SimilarityMetric?
    @Option(parsing: .unconditional, help: "Changes to make.") var operations = 1_000_000
    @Option(parsing: .unconditional, help: "Neighbours wanted.") var k = 10
    @Option(parsing: .unconditional, help: "efSearch.") var ef = 64
    @Option(parsing: .unconditional, help: "Queries to ask in turn.") var queryCount = 1000
    @Option(parsing: .unconditional, help: "Links per node, 2 to 128 (twice on layer 0).") var m = 16
    @Option(parsing: .unconditional, help: "Breadth of the search for a new node's neighbours, 1 to 10000.")
    var efConstruction = 200
    @Option(parsing: .unconditional, help: "Share of dead nodes that begins a repair, 0.01 to 0.5.")
    var tombstoneRatio = 0.1
    @Option(parsing: .unconditional, help: "Seed of changes and layers.") var seed: UInt64 = 1
    @Option(parsing: .unconditional, help: "Threads that search beside the changes.") var readers = 1
    @Option(parsing: .unconditional, help: "Threads that build.") var threads = 2
    @Option(parsing: .unconditional, help: "Times at which recall is measured during the changes.") var moments = 5
    @Option(help: "Write the report as JSON to this file; - is the standard output, without the table.")
    var json: String?

    func validate() throws {
        do { try settings().validate() } catch { throw ValidationError("\(error)") }
    }

    func run() throws {
        let jsonFile: ReportFile?
        do {
            jsonFile = try json.flatMap { $0 == "-" ? nil : try ReportFile($0, flag: "--json") }
        } catch { throw ValidationError("\(error)") }
        do {
            if let note = MachineLoad.note() { Terminal.complain(note) }
            var run = try ChurnRun(settings())
            let report = try run.run { moment in
                Terminal.complain("after \(moment.changes) changes: recall \(moment.recall), \(moment.repairs) repairs")
            }
            let document = try report.json() + Data("\n".utf8)
            Terminal.put(json == "-" ? document : Data((report.text + "\n").utf8))
            try jsonFile?.write(document)
        } catch {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
    }

    func settings() -> ChurnConfiguration {
        var settings = ChurnConfiguration()
        settings.shape = shape
        settings.rows = rows
        settings.dimension = dimension
        settings.metric = metric
        settings.linkMetric = links
        settings.operations = operations
        settings.k = k
        settings.efSearch = ef
        settings.queries = queryCount
        settings.m = m
        settings.efConstruction = efConstruction
        settings.tombstoneRatio = tombstoneRatio
        settings.seed = seed
        settings.readers = readers
        settings.buildThreads = threads
        settings.moments = moments
        return settings
    }
}
