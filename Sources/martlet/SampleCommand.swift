import ArgumentParser
import Artifacts
import Foundation
import Training

/// Makes data to try the others with.
struct SampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract:
            "Make invented data: films with titles, genres, languages and years, people with tastes, ratings with times.",
        discussion: """
            Writes ratings.csv and movies.csv into the directory. With --bundle it writes a bundle of made-up factors of a \
            given size instead (default 1000000 users, 100000 items, rank 64), for load and memory tests.
            The same numbers and seed give the same data.
            """)

    @Option(help: "Directory for the two files (made if missing), or the bundle to write.")
    var output: String
    @Flag(help: "Write a bundle of made-up factors instead of ratings.")
    var bundle = false
    @Option(parsing: .unconditional, help: "Number of users, 10 to 10000000 (with --bundle: 1 to 100000000).")
    var users: Int?
    @Option(parsing: .unconditional, help: "Number of items, 24 to 1000000 (with --bundle: 100 to 10000000).")
    var items: Int?
    @Option(parsing: .unconditional, help: "About how many ratings (with --bundle: entries of all histories).")
    var interactions: Int?
    @Option(parsing: .unconditional, help: "Dimensions of the factors, 1 to 1024; only with --bundle.")
    var rank = 64
    @Option(parsing: .unconditional, help: "Number that decides all chance, 0 or more.")
    var seed: UInt64 = 1
    @Option(
        parsing: .unconditional, help: "Threads to use, 1 to 1024 (default: one for each core); only with --bundle.")
    var threads: Int?
    @Flag(help: "Replace what stands there.")
    var replace = false

    func validate() throws {
        try ArgumentCheck.path(output, "--output")
        try ArgumentCheck.range(users, "--users", bundle ? 1...100_000_000 : 10...10_000_000)
        try ArgumentCheck.range(items, "--items", bundle ? 100...10_000_000 : 24...1_000_000)
        try ArgumentCheck.range(threads, "--threads", 1...1024)
        if let fault = bundle ? shape.fault() : configuration.fault() { throw ValidationError(fault) }
    }

    private var configuration: SampleConfiguration {
        var configuration = SampleConfiguration(seed: seed)
        configuration.users = users ?? configuration.users
        configuration.items = items ?? configuration.items
        configuration.interactions = interactions ?? configuration.users * min(40, configuration.items / 4)
        return configuration
    }

    private var shape: SyntheticBundle {
        var shape = SyntheticBundle(rank: rank, seed: seed)
        shape.users = users ?? shape.users
        shape.items = items ?? shape.items
        shape.interactions = interactions ?? shape.users * 20
        shape.threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
        return shape
    }

    func run() throws {
        try LongCommand.run(unfinished: bundle ? "no bundle was written" : "no ratings were written") { cancellation in
            if bundle { try writeBundle(cancellation) } else { try writeRatings(cancellation) }
        }
    }

    private func writeRatings(_ cancellation: Cancellation) throws {
        let configuration = configuration
        let files = ["\(output)/ratings.csv", "\(output)/movies.csv"]
        if !replace, let taken = files.first(where: { FileManager.default.fileExists(atPath: $0) }) {
            throw DatasetError(
                .unreadable, "\(taken) is there already; --replace replaces it, or give another --output")
        }
        let isNew = try FileSystem.makeDirectory(output)
        let line = ProgressLine("sample")
        let count: Int
        do {
            count = try SampleData(configuration).write(to: output) { fraction in
                try cancellation.check()
                line.update(fraction)
            }
        } catch {
            // Half a file would be taken for a whole one.
            line.clear()
            for file in files { try? FileManager.default.removeItem(atPath: file) }
            if isNew { rmdir(output) }
            throw error
        }
        line.finish(
            "\(count) ratings by \(configuration.users) users of \(configuration.items) films in "
                + "\(output)/ratings.csv, titles in \(output)/movies.csv")
    }

    private func writeBundle(_ cancellation: Cancellation) throws {
        let progress = TrainingProgress()
        defer { progress.clear() }
        let writer = try BundleWriter(destination: output, replace: replace)
        let manifest = try shape.write(into: writer, cancellation: cancellation) { progress.show($0) }
        print(TrainCommand.summary(manifest, output))
    }
}
