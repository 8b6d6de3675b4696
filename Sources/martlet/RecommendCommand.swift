import ArgumentParser
import MartletClient
import Vocabulary

/// `martlet recommend`: asks a node for a user's slate.
struct RecommendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recommend", abstract: "Ask a running node what to recommend to a user.")

    @Option(help: "The user's ID.")
    var user: String
    @OptionGroup(title: "Items") var slate: SlateArguments
    @Option(help: ArgumentHelp("The scenario; else the node's default.", valueName: "name"))
    var scenario = ""
    @OptionGroup(title: "Moment") var moment: ContextArguments
    @Option(help: ArgumentHelp("The next page, as the answer before named it.", valueName: "hex"))
    var cursor = ""
    @Flag(help: "Say why: the reason and the sources of each item, and how long each stage took.")
    var explain = false
    @Option(help: ArgumentHelp("An item for a place of the first page; may be given again.", valueName: "item@place"))
    var pin: [String] = []
    @Flag(help: "Leave nothing to chance, whatever the scenario says.")
    var noExploration = false
    @Option(
        help: ArgumentHelp(
            "Of what is left to chance: the same seed, above 0, draws the same slate; 0: the node draws one.",
            valueName: "number"))
    var seed: UInt64 = 0
    @OptionGroup(title: "Node") var node: NodeArguments

    func validate() throws {
        try ArgumentCheck.id(user, "--user")
        try ArgumentCheck.name(scenario, "--scenario")
        if AnswerOutput.bytes(hex: cursor) == nil { throw ValidationError("--cursor takes hexadecimal digits") }
        for text in pin where Self.pin(text) == nil {
            throw ValidationError("--pin takes an item and its place, such as m001@1, not '\(text)'")
        }
    }

    /// An item and its place; the item may hold the character itself.
    static func pin(_ text: String) -> Pin? {
        guard let sign = text.lastIndex(of: "@"), let place = Int(text[text.index(after: sign)...]), place > 0 else {
            return nil
        }
        let item = String(text[..<sign])
        return item.isEmpty ? nil : Pin(item: item, place: place)
    }

    func run() async throws {
        var request = RecommendRequest(user: user, k: slate.k, scenario: scenario)
        request.tenant = slate.tenant
        request.excludeItems = slate.exclude
        request.filter = try slate.filter()
        request.cursor = AnswerOutput.bytes(hex: cursor) ?? []
        request.context = try moment.entries()
        request.explain = explain
        request.includeDetails = true
        request.pins = pin.compactMap(Self.pin)
        request.noExploration = noExploration
        request.seed = seed
        try await node.ask("recommend") { [request] client in
            let (reply, info) = try await client.recommendWithInfo(request)
            if node.json {
                print(try AnswerOutput.json(Document(user: user, reply, info)))
            } else {
                show(reply, info)
            }
        }
    }

    private func show(_ reply: RecommendReply, _ info: ReplyInfo) {
        var columns: [(title: String, alignment: AnswerTable.Alignment)] = [("#", .right), ("item", .left)]
        if !reply.titles.isEmpty { columns.append(("title", .left)) }
        columns.append(("score", .right))
        if !reply.propensities.isEmpty { columns.append(("probability", .right)) }
        if !reply.placements.isEmpty { columns.append(("re-ranked", .left)) }
        if !reply.shares.isEmpty { columns.append(("sources", .left)) }
        if !reply.ranking.features.isEmpty { columns.append(("ranker", .left)) }
        if !reply.reasons.isEmpty { columns.append(("reason", .left)) }
        var table = AnswerTable(columns)
        let shares = Dictionary(grouping: reply.shares, by: \.item)
        let ranked = reply.ranking.places
        for index in reply.items.indices {
            var cells = ["\(index + 1)", reply.items[index]]
            if !reply.titles.isEmpty { cells.append(reply.titles[index]) }
            cells.append(AnswerOutput.score(reply.scores[index]))
            if !reply.propensities.isEmpty { cells.append(AnswerOutput.score(reply.propensities[index])) }
            if !reply.placements.isEmpty {
                cells.append(AnswerOutput.words(reply.placements[index], place: index + 1))
            }
            if !reply.shares.isEmpty {
                cells.append((shares[index] ?? []).map { "\($0.source) #\($0.rank)" }.joined(separator: ", "))
            }
            if !reply.ranking.features.isEmpty {
                cells.append(
                    ranked[UInt32(index)].map {
                        AnswerOutput.contributions(reply.ranking.features, reply.ranking.contributions, of: $0, most: 3)
                    } ?? "")
            }
            if !reply.reasons.isEmpty { cells.append(reply.reasons[index]) }
            table.add(cells)
        }
        print(reply.items.isEmpty ? "Nothing to recommend.\n" : table.text, terminator: "")
        let note = AnswerOutput.note(user: AnswerTable.printable(user), reply)
        if !note.isEmpty { print(note) }
        // A further page may be short because it is the last.
        if cursor.isEmpty, let hint = AnswerOutput.hint(slate, shown: reply.items.count) { print(hint) }
        if !reply.timings.isEmpty {
            print("Stages: " + reply.timings.map { "\($0.stage) \($0.microseconds) us" }.joined(separator: ", ") + ".")
        }
        if explain { print("\(reply.eligibleItems.counted("item")) could have been shown.") }
        print(
            "\(reply.model), generation \(reply.generation); \(info.serverMicroseconds) us in the node"
                + (info.isCached ? ", from its cache" : "") + ".")
        if reply.seed != 0 { print("Chance had a part in it: --seed \(reply.seed) draws the same.") }
        if !reply.nextCursor.isEmpty { print("Next page: --cursor \(AnswerOutput.hex(reply.nextCursor))") }
    }

    /// The answer as JSON.
    struct Document: Encodable {
        struct Item: Encodable {
            var rank: Int
            var item: String
            var score: Float
            var propensity: Float?
            var title: String?
            var reason: String?
            var placement: Placing?
            var sources: [Source]?
            var features: [FeatureShare]?
        }

        struct Placing: Encodable {
            var placeBefore: Int
            var pinned: Bool
            var explored: Bool
            var boost: Float
            var similarity: Float

            init(_ placement: Placement) {
                placeBefore = placement.placeBefore
                pinned = placement.isPinned
                explored = placement.isExplored
                boost = placement.boost
                similarity = placement.similarity
            }
        }

        struct Source: Encodable {
            var source: String
            var rank: Int
            var score: Float
            var contribution: Float
        }

        struct Stage: Encodable {
            var stage: String
            var microseconds: UInt32
        }

        var user: String
        var items: [Item]
        var fallback: String
        var degraded: [String]
        var qualityLevel: Int
        var generation: UInt64
        var model: String
        var arm: String?
        /// Under which the node logged the slate; nil: it did not.
        var requestId: String?
        var nextCursor: String?
        var seed: UInt64?
        var stages: [Stage]?
        var eligibleItems: Int?
        var serverMicroseconds: UInt32
        var cached: Bool
        var stale: Bool

        init(user: String, _ reply: RecommendReply, _ info: ReplyInfo) {
            self.user = user
            let shares = Dictionary(grouping: reply.shares, by: \.item)
            let (ranking, ranked) = (reply.ranking, reply.ranking.places)
            items = reply.items.indices.map { index in
                Item(
                    rank: index + 1, item: reply.items[index], score: reply.scores[index],
                    propensity: reply.propensities.isEmpty ? nil : reply.propensities[index],
                    title: reply.titles.isEmpty ? nil : reply.titles[index],
                    reason: reply.reasons.isEmpty ? nil : reply.reasons[index],
                    placement: reply.placements.isEmpty ? nil : Placing(reply.placements[index]),
                    sources: shares[index]?.map {
                        Source(source: $0.source, rank: $0.rank, score: $0.score, contribution: $0.contribution)
                    },
                    features: ranked[UInt32(index)].map {
                        FeatureShare.all(ranking.features, ranking.values, ranking.contributions, of: $0)
                    })
            }
            fallback = reply.fallback.name
            degraded = reply.degraded.names
            qualityLevel = reply.qualityLevel
            generation = reply.generation
            model = reply.model
            arm = reply.arm.isEmpty ? nil : reply.arm
            requestId = reply.requestID.isEmpty ? nil : reply.requestID
            nextCursor = reply.nextCursor.isEmpty ? nil : AnswerOutput.hex(reply.nextCursor)
            seed = reply.seed == 0 ? nil : reply.seed
            stages =
                reply.timings.isEmpty
                ? nil : reply.timings.map { Stage(stage: $0.stage, microseconds: $0.microseconds) }
            eligibleItems = reply.timings.isEmpty ? nil : reply.eligibleItems
            serverMicroseconds = info.serverMicroseconds
            cached = info.isCached
            stale = info.isStale
        }
    }
}
