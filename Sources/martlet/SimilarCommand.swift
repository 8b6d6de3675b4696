import ArgumentParser
import MartletClient

/// `martlet similar`: asks a node for the items most like an item.
struct SimilarCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "similar", abstract: "Ask a running node which items are most like an item.")

    @Option(help: "The item's ID.")
    var item: String
    @Option(help: ArgumentHelp("item_to_item, als or spectral.", valueName: "source"))
    var source = ""
    @Flag(help: .hidden) var explain = false
    @OptionGroup(title: "Items") var slate: SlateArguments
    @OptionGroup(title: "Node") var node: NodeArguments

    func validate() throws {
        try ArgumentCheck.id(item, "--item")
        try ArgumentCheck.name(source, "--source")
        if explain {
            throw ValidationError(
                "--explain is for recommend, where sources are put together; similar items come from one source, which the "
                    + "answer names, and --source chooses it")
        }
    }

    func run() async throws {
        var request = SimilarItemsRequest(item: item, k: slate.k, source: source)
        request.tenant = slate.tenant
        request.excludeItems = slate.exclude
        request.filter = try slate.filter()
        request.includeDetails = true
        try await node.ask("similar") { [request] client in
            let reply = try await client.similarItems(request)
            if node.json {
                print(try AnswerOutput.json(Document(item: item, reply)))
            } else {
                show(reply)
            }
        }
    }

    private func show(_ reply: SimilarItemsReply) {
        var table = AnswerTable(
            [("#", .right), ("item", .left)] + (reply.titles.isEmpty ? [] : [("title", .left)]) + [("score", .right)])
        for index in reply.items.indices {
            table.add(
                ["\(index + 1)", reply.items[index]] + (reply.titles.isEmpty ? [] : [reply.titles[index]])
                    + [AnswerOutput.score(reply.scores[index])])
        }
        print(reply.items.isEmpty ? "Nothing is like it.\n" : table.text, terminator: "")
        if let hint = AnswerOutput.hint(slate, shown: reply.items.count) { print(hint) }
        print("\(reply.model), generation \(reply.generation), source \(reply.source).")
    }

    /// The answer as JSON.
    struct Document: Encodable {
        struct Item: Encodable {
            var rank: Int
            var item: String
            var score: Float
            var title: String?
        }

        var item: String
        var source: String
        var items: [Item]
        var generation: UInt64
        var model: String

        init(item: String, _ reply: SimilarItemsReply) {
            self.item = item
            source = reply.source
            items = reply.items.indices.map { index in
                Item(
                    rank: index + 1, item: reply.items[index], score: reply.scores[index],
                    title: reply.titles.isEmpty ? nil : reply.titles[index])
            }
            generation = reply.generation
            model = reply.model
        }
    }
}
