import ArgumentParser
import Foundation
import MartletClient
import Vocabulary

/// `martlet rank`: asks a node in which order its ranker puts items.
struct RankCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rank", abstract: "Ask a running node in which order its ranker puts items for a user.",
        discussion: """
            Items are named behind the user, or in a file with one ID a line (- is standard input), at most 10 000; with \
            --explain at most 200. Scores are a network's logits (0 is even odds), or what trees predict. The node's bundle must \
            hold a ranker.
            """)

    @Argument(help: "The user's ID; perhaps one that the node does not know.")
    var user: String
    @Argument(help: "The items' IDs.")
    var item: [String] = []
    @Option(
        name: .customLong("items"),
        help: ArgumentHelp("A file with the items' IDs, one a line; - is standard input.", valueName: "file"),
        completion: .file())
    var file: String?
    @OptionGroup(title: "Moment") var moment: ContextArguments
    @Option(help: .hidden) var scenario = ""
    @Flag(help: "Say why: what each feature did to an item's score.")
    var explain = false
    @Option(help: ArgumentHelp("The tenant that users and items belong to.", valueName: "name"))
    var tenant = ""
    @OptionGroup(title: "Node") var node: NodeArguments

    /// Bytes that are read of a file of items.
    static let fileBytesMax = 4 << 20

    func validate() throws {
        try ArgumentCheck.id(user, "the user")
        for one in item { try ArgumentCheck.id(one, "an item") }
        try ArgumentCheck.path(file, "--items")
        try ArgumentCheck.name(tenant, "--tenant")
        if !scenario.isEmpty {
            throw ValidationError(
                "--scenario is for recommend: a scenario says what is retrieved and shown; rank takes the bundle's ranker"
                    + " and the items that you name")
        }
        switch (item.isEmpty, file) {
        case (true, nil): throw ValidationError("no item is named: write their IDs behind the user, or --items FILE")
        case (false, .some): throw ValidationError("items stand behind the user and in --items; name them in one place")
        default: break
        }
        if file == nil { try Self.check(count: item.count, explain: explain) }
    }

    private static func check(count: Int, explain: Bool) throws {
        let most = explain ? 200 : RequestLimits.rankItemsMax
        if count > most {
            throw ValidationError(
                "\(count) items; at most \(most) are ranked at once" + (explain ? " with --explain" : ""))
        }
    }

    /// The lines of a file that hold something.
    static func lines(of path: String) throws -> [String] {
        let data: Data?
        if path == "-" {
            data = try FileHandle.standardInput.read(upToCount: fileBytesMax + 1) ?? Data()
        } else {
            guard let handle = FileHandle(forReadingAtPath: path) else {
                throw ValidationError("--items: \(path) cannot be read; name a file with an item's ID on each line")
            }
            defer { try? handle.close() }
            do {
                data = try handle.read(upToCount: fileBytesMax + 1) ?? Data()
            } catch {
                throw ValidationError("--items: \(path) cannot be read; name a file with an item's ID on each line")
            }
        }
        guard let data, data.count <= fileBytesMax else {
            throw ValidationError("--items: \(path) has more than \(fileBytesMax) bytes; ask in several calls")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw ValidationError("--items: \(path) is not UTF-8")
        }
        var items: [String] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let id = line.trimmingCharacters(in: .whitespaces)
            if id.isEmpty { continue }
            try ArgumentCheck.id(id, "--items: line \(number + 1) of \(path)")
            items.append(id)
        }
        if items.isEmpty { throw ValidationError("--items: \(path) names no item; write one ID a line") }
        return items
    }

    func run() async throws {
        let items = try file.map { try Self.lines(of: $0) } ?? item
        try Self.check(count: items.count, explain: explain)
        var request = RankRequest(user: user, items: items)
        request.tenant = tenant
        request.context = try moment.entries()
        request.explain = explain
        try await node.ask("rank") { [request] client in
            let reply = try await client.rank(request)
            if node.json {
                print(try AnswerOutput.json(Document(user: user, items, reply)))
            } else {
                print(Self.text(items, reply), terminator: "")
            }
        }
    }

    /// For people.
    static func text(_ items: [String], _ reply: RankReply) -> String {
        var columns: [(title: String, alignment: AnswerTable.Alignment)] = [
            ("#", .right), ("item", .left), ("score", .right),
        ]
        if !reply.features.isEmpty { columns.append(("what did most", .left)) }
        var table = AnswerTable(columns)
        for (index, place) in reply.places.enumerated() {
            var cells = ["\(index + 1)", name(place, items), AnswerOutput.score(reply.scores[index])]
            if !reply.features.isEmpty {
                cells.append(AnswerOutput.contributions(reply.features, reply.contributions, of: index))
            }
            table.add(cells)
        }
        var text = reply.places.isEmpty ? "Nothing to rank.\n" : table.text
        if !reply.unknown.isEmpty {
            let names = reply.unknown.prefix(10).map { AnswerTable.printable(name($0, items)) }
            let more = reply.unknown.count > names.count ? " and \(reply.unknown.count - names.count) more" : ""
            text += "Not known to this model: \(names.joined(separator: ", "))\(more).\n"
        }
        return text + "\(reply.model), generation \(reply.generation).\n"
    }

    private static func name(_ place: UInt32, _ items: [String]) -> String {
        items.indices.contains(Int(place)) ? items[Int(place)] : "?"
    }

    /// The answer as JSON.
    struct Document: Encodable {
        struct Item: Encodable {
            var rank: Int
            var item: String
            var score: Float
            var features: [FeatureShare]?
        }

        var user: String
        var items: [Item]
        /// Items that the model does not know.
        var unknown: [String]
        var generation: UInt64
        var model: String

        init(user: String, _ asked: [String], _ reply: RankReply) {
            self.user = user
            items = reply.places.enumerated().map { index, place in
                Item(
                    rank: index + 1, item: name(place, asked), score: reply.scores[index],
                    features: reply.features.isEmpty
                        ? nil : FeatureShare.all(reply.features, reply.values, reply.contributions, of: index))
            }
            unknown = reply.unknown.map { name($0, asked) }
            generation = reply.generation
            model = reply.model
        }
    }
}
