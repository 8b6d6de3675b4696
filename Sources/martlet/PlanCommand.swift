import ArgumentParser
import Artifacts
import Foundation
import MartletServer
import Retrieval
import Telemetry

/// `martlet plan`: what a node will take, before there is one.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Tell how much memory a node will take, structure by structure.",
        discussion: """
            Counts come from --bundle, which is only looked at, or from the flags. What is planned is resident memory: \
            after the start, when caches and users' states are full, and while the next model is loaded.
            """)

    @Option(help: ArgumentHelp("Take the counts of a bundle.", valueName: "dir"))
    var bundle: String?
    @Option(parsing: .unconditional, help: "Users of the model, 1 to 1000000000 (default: 1000000).")
    var users: Int?
    @Option(parsing: .unconditional, help: "Items of the model, 1 to 100000000 (default: 100000).")
    var items: Int?
    @Option(parsing: .unconditional, help: "Dimensions of the factors, 1 to 1024 (default: 64).")
    var rank: Int?
    @Option(parsing: .unconditional, help: "Items of a user's history in the model, on average (default: 20).")
    var history: Double?
    @Option(parsing: .unconditional, help: "Events of a user since then, on average.")
    var events: Double = 0
    @Option(parsing: .unconditional, help: "Users who have such events (default: all, where --events is given).")
    var activeUsers: Int?
    @Option(
        help: ArgumentHelp("Bytes of all result caches, such as 256MiB (default: as configured).", valueName: "size"))
    var cache: String?
    @Option(
        parsing: .unconditional, help: "Different answers that are asked for (default: as many as the cache holds).")
    var answers: Int?
    @Option(parsing: .unconditional, help: "Bytes of an answer and its request together.")
    var answerBytes = MemoryPlan.Load().answerBytes
    @Option(parsing: .unconditional, help: "Open connections.")
    var connections = MemoryPlan.Load().connections
    @Option(parsing: .unconditional, help: "Event loops; 0: as configured, one for each core.")
    var shards = 0
    @Option(help: ArgumentHelp("A ranker's file.", valueName: "file"))
    var ranker: String?
    @Option(
        help: ArgumentHelp(
            "What the model finds candidates by, separated by commas: als, spectral, item_to_item.", valueName: "kinds")
    )
    var retrieval: String?
    @Option(help: ArgumentHelp("A YAML file with settings.", valueName: "file"))
    var config: String?
    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        try ArgumentCheck.range(users, "--users", 1...1_000_000_000)
        try ArgumentCheck.range(items, "--items", 1...100_000_000)
        try ArgumentCheck.range(rank, "--rank", 1...1024)
        try ArgumentCheck.range(activeUsers, "--active-users", 0...1_000_000_000)
        try ArgumentCheck.range(answers, "--answers", 0...1_000_000_000)
        try ArgumentCheck.range(answerBytes, "--answer-bytes", 1...(16 << 20))
        try ArgumentCheck.range(connections, "--connections", 0...1_000_000)
        try ArgumentCheck.range(shards, "--shards", 0...1024)
        for (name, value) in [("--history", history ?? 0), ("--events", events)]
        where !(0...1_000_000).contains(value) {
            throw ValidationError("\(name) is \(value); 0 to 1000000 make sense")
        }
        for kind in kinds ?? [] where !Self.kinds.contains(kind) {
            throw ValidationError("--retrieval names \(kind); there are \(Self.kinds.joined(separator: ", "))")
        }
    }

    private static let kinds = ["als", "spectral", "item_to_item"]
    /// Neighbours that training keeps of an item.
    private static let neighborsEach = 300

    private var kinds: [String]? {
        retrieval?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    func run() throws {
        let configuration: ServerConfiguration
        do {
            configuration = try loadConfiguration()
        } catch let error as ConfigurationError {
            StandardError.write("martlet plan: \(error.description)\n")
            throw ExitCode(78)
        }
        let plan: MemoryPlan
        do {
            plan = MemoryPlan(
                try shape(configuration), configuration, load: load(configuration),
                cores: ProcessInfo.processInfo.activeProcessorCount)
        } catch let error as ArtifactError {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
        }
        if json { try printJSON(plan) } else { printTable(plan) }
    }

    private func loadConfiguration() throws -> ServerConfiguration {
        var flags: [FlagValue] = []
        if let cache { flags.append(FlagValue(flag: "--cache", key: "cache.bytes", value: cache)) }
        if shards > 0 { flags.append(FlagValue(flag: "--shards", key: "shards", value: "\(shards)")) }
        let file = try config.map { (name: $0, text: try ServerConfiguration.text(ofFile: $0)) }
        return try ServerConfiguration.load(
            file: file, environment: ProcessInfo.processInfo.environment, flags: flags
        ).configuration
    }

    private func shape(_ configuration: ServerConfiguration) throws -> MemoryShape {
        var shape = try bundle.map { try MemoryShape(bundle: $0, configuration) } ?? MemoryShape()
        if let users { shape.users = users }
        if let items { shape.items = items }
        if let rank { shape.rank = rank }
        if let history {
            shape.historyEntries = Int(history * Double(shape.users))
        } else if bundle == nil {
            shape.historyEntries = 20 * shape.users
        }
        if let kinds {
            shape.factorKinds = kinds.filter { $0 != "item_to_item" }.count
            shape.neighborEntries =
                kinds.contains("item_to_item")
                ? shape.neighborEntries ?? shape.items * min(Self.neighborsEach, max(0, shape.items - 1)) : nil
        }
        if let ranker { try shape.readRanker(TensorFile(path: ranker), configuration) }
        return shape
    }

    private func load(_ configuration: ServerConfiguration) -> MemoryPlan.Load {
        var load = MemoryPlan.Load()
        load.eventsPerUser = events
        load.activeUsers = activeUsers ?? (events > 0 ? users ?? load.activeUsers : 0)
        load.answers = answers
        load.answerBytes = answerBytes
        load.connections = connections
        return load
    }

    private func printTable(_ plan: MemoryPlan) {
        let shape = plan.shape
        print(
            """
            \(shape.users) users, \(shape.items) items, rank \(shape.rank), \(shape.factorKinds) kinds of factors, \
            \(shape.historyEntries) entries of histories
            IDs of \(Self.short(shape.userIDBytes)) (users) and \(Self.short(shape.itemIDBytes)) bytes (items), \
            titles of \(Self.short(shape.titleBytes)); \
            \(plan.load.answers.map { "\($0)" } ?? "as many as fit") answers of \(plan.load.answerBytes) bytes; \
            \(plan.load.activeUsers) users with \(Self.short(plan.load.eventsPerUser)) events each
            """)
        print("structure                 start         steady")
        for (start, steady) in zip(plan.atStart, plan.steady) where steady.bytes > 0 {
            print(Self.row(steady.part.label, [start.bytes, steady.bytes]))
        }
        print(Self.row("all", [plan.startBytes, plan.steadyBytes]))
        print(
            """
            with the generation before, after a load: \(Self.megabytes(plan.steadyAfterLoadBytes)); at the peak of a load: \
            \(Self.megabytes(plan.peakBytes))
            """)
    }

    private static func short(_ value: Double) -> String { String(format: "%.4g", value) }
    private static func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }

    private static func row(_ name: String, _ bytes: [Int]) -> String {
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        return name + String(repeating: " ", count: max(1, 16 - name.count))
            + bytes.map { padded(megabytes($0), 15) }.joined()
    }

    private struct Document: Encodable {
        struct Part: Encodable {
            var part: String
            var startBytes: Int
            var steadyBytes: Int
        }
        var users: Int
        var items: Int
        var rank: Int
        var factorKinds: Int
        var historyEntries: Int
        var userIDBytes: Double
        var itemIDBytes: Double
        var titleBytes: Double
        var activeUsers: Int
        var eventsPerUser: Double
        var answers: Int?
        var answerBytes: Int
        var parts: [Part]
        var startBytes: Int
        var steadyBytes: Int
        var steadyAfterLoadBytes: Int
        var peakBytes: Int
    }

    private func printJSON(_ plan: MemoryPlan) throws {
        let shape = plan.shape
        let document = Document(
            users: shape.users, items: shape.items, rank: shape.rank, factorKinds: shape.factorKinds,
            historyEntries: shape.historyEntries, userIDBytes: shape.userIDBytes, itemIDBytes: shape.itemIDBytes,
            titleBytes: shape.titleBytes, activeUsers: plan.load.activeUsers, eventsPerUser: plan.load.eventsPerUser,
            answers: plan.load.answers, answerBytes: plan.load.answerBytes,
            parts: zip(plan.atStart, plan.steady).map {
                Document.Part(part: $0.part.label, startBytes: $0.bytes, steadyBytes: $1.bytes)
            }, startBytes: plan.startBytes, steadyBytes: plan.steadyBytes,
            steadyAfterLoadBytes: plan.steadyAfterLoadBytes, peakBytes: plan.peakBytes)
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(document), as: UTF8.self))
    }
}
