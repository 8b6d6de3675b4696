import Artifacts
import CandidateRanking
import Features
import MartletClient
import RankingModels
import Retrieval
import Serving
import TestSupport
import Testing
import Training
import VectorMath

@testable import MartletServer

@Suite("A node with a ranker", .ownThreads)
struct RankingTests {
    private func ranker(_ model: RetrievalModel, _ later: Interactions) throws -> NetworkRanker {
        var network = NetworkConfiguration(
            shape: .init(embeddingWidth: 8, hidden: [24, 16], hasLinear: true, hasPairs: true))
        network.epochs = 3
        network.batchRows = 128
        var plan = RankerPlan(network: network)
        plan.candidates = 60
        plan.hasItemIDs = true
        let (ranker, report) = try RankerFit(plan, k: 10, threads: 2).fit(
            RankerWindow(model: model, later: later, isPast: false), clock: { 0 })
        #expect(report.users > 10 && report.examples > 500)
        #expect(ranker.candidates?.count == 60 && ranker.candidates?.sources.contains("item_to_item") == true)
        #expect(report.classification.auc.map { $0 > 0.5 } == true)
        // It knows the genres and what the sources say.
        #expect(
            Set(ranker.schema.fields.map(\.name)).isSuperset(of: [
                "item", "genres", "shared_genres", "product_als", "rank",
            ])
        )
        return ranker
    }

    private func withRankedNode(
        bundle: (TemporaryFolder) throws -> String, change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (TestNode, TemporaryFolder) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let node = try await TestNode(bundle: bundle(folder), change: change)
        do {
            try await body(node, folder)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    /// The order that the bundle's ranker gives, put together by hand from its parts.
    private func ranked(
        _ path: String, user: UInt32, context: [String: String] = [:], candidatesMax: Int? = nil
    ) throws -> [(row: UInt32, score: Float)] {
        let bundle = try Bundle(opening: path)
        let model = try RetrievalModel(bundle: bundle)
        let file = try NetworkRanker(bundle.file(NetworkRanker.fileName))
        let generator = CandidateGenerator(model: model)
        let history = model.users.history(of: user)
        generator.mask.begin()
        generator.mask.block(history)
        generator.begin(user: user, history: history, mix: model.mix)
        while try !generator.step() {}
        var candidates: [ScoredRow] = []
        generator.select(candidatesMax ?? file.candidates?.count ?? 200, into: &candidates)
        let features = CandidateFeatures(try FeaturePlan(file.schema, model, path: path))
        features.fill(
            RankingRequest(
                user: user, history: history, context: context, candidates: candidates, lists: generator.lists))
        let logits = NetworkFit.scores(
            Network(file.weights, layout: features.plan.layout), features.rows, threads: 1)
        return zip(candidates, logits).map { (row: $0.row, score: $1) }.sorted {
            ($1.score, $0.row) < ($0.score, $1.row)
        }
    }

    @Test("serves the order of the ranker's scores, over all pages, and retrieval's where a scenario says so")
    func order() async throws {
        try await withRankedNode(
            bundle: { try SmallWorld.makeBundle(in: $0, name: "world", ranker: ranker) },
            change: {
                $0.rankerPrecision = .f32
                var plain = $0.scenarios["default"] ?? MartletServer.ScenarioConfiguration()
                plain.ranker = .none
                $0.scenarios["plain"] = plain
                plain.ranker = .required
                $0.scenarios["strict"] = plain
                var reranked = $0.scenarios["default"] ?? MartletServer.ScenarioConfiguration()
                reranked.reranking = RerankingConfiguration()
                reranked.reranking?.exploration = .init(.epsilon(0.5))
                $0.scenarios["reranked"] = reranked
            }
        ) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            var changed = 0
            for user in stride(from: UInt32(0), to: UInt32(model.users.count), by: 17) {
                let name = model.users.name(user)
                let expected = try ranked(folder.file("world"), user: user)
                let reply = try await node.client.recommend(user: name, k: 10)
                #expect(reply.degraded.isEmpty && reply.items.count == 10)
                for (place, item) in reply.items.enumerated() {
                    #expect(abs(reply.scores[place] - expected[place].score) < 1e-4)
                    // Equal but for scores that are as good as equal.
                    if item != model.items.name(expected[place].row) {
                        #expect(
                            expected.contains {
                                model.items.name($0.row) == item && abs($0.score - reply.scores[place]) < 1e-4
                            })
                    }
                }
                let plain = try await node.client.recommend(user: name, k: 10, scenario: "plain")
                if plain.items != reply.items { changed += 1 }
                let strict = try await node.client.recommend(user: name, k: 10, scenario: "strict")
                #expect(strict.items == reply.items && strict.degraded.isEmpty)
                // Re-ranking takes the ranker's scores; without chance this one leaves their order.
                var certain = RecommendRequest(user: name, k: 10, scenario: "reranked")
                let drawn = try await node.client.recommend(certain)
                #expect(drawn.propensities.count == 10 && drawn.items[0] == reply.items[0])
                certain.noExploration = true
                let same = try await node.client.recommend(certain)
                #expect(same.items == reply.items && same.scores == reply.scores)
                var seen: [String] = []
                var request = RecommendRequest(user: name, k: 7)
                for _ in 0..<40 {
                    let page = try await node.client.recommend(request)
                    seen += page.items
                    request.cursor = page.nextCursor
                    if page.nextCursor.isEmpty { break }
                }
                #expect(Set(seen).count == seen.count)
                #expect(seen.count == model.items.count - model.users.history(of: user).count)
                #expect(Array(seen.prefix(10)) == reply.items)
            }
            #expect(changed > 3)
            var explained = RecommendRequest(user: model.users.name(3), k: 5)
            explained.explain = true
            #expect(try await node.client.recommend(explained).timings.contains { $0.stage == "rank" })
            // Whom nobody knows gets what is popular, in its order.
            #expect(try await node.client.recommend(user: "a stranger", k: 5).fallback == .unknownUser)
        }
    }

    /// A network nobody trained: what an item is worth depends on the hour and on the user.
    private func contextual(_ model: RetrievalModel) throws -> NetworkRanker {
        func categorical(_ name: String, _ source: FeatureSource, bag: Bool = false) -> FeatureField {
            FeatureField(name, from: source, .categorical(.hashed(buckets: 40), isMultivalued: bag))
        }
        let schema = FeatureSchema(fields: [
            categorical("item", .itemID), categorical("hour", .context("hour")),
            categorical("moods", .context("moods"), bag: true), categorical("user", .userID),
            FeatureField("score", from: .retrievalScore, .dense(.none, missing: 0)),
            FeatureField("heat", from: .context("heat"), .dense(.standard(mean: 10, deviation: 5), missing: 12)),
        ])
        var random = SeededGenerator(seed: 5)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &random) } }
        let rows = FeatureLayout(schema).tableRows
        return try NetworkRanker(
            schema: schema,
            weights: NetworkWeights(
                shape: .init(embeddingWidth: 4, hidden: [8], hasLinear: true, hasPairs: true), table: values(rows * 4),
                linear: values(rows), denseLinear: values(2),
                layers: [.init(weights: values(8 * 18), bias: values(8))], output: values(8), bias: 0),
            path: "test")
    }

    @Test("what a request says of its moment reaches the ranker, and pages belong to it")
    func moment() async throws {
        try await withRankedNode(
            bundle: { try SmallWorld.makeBundle(in: $0, name: "world", ranker: { model, _ in try contextual(model) }) },
            change: { $0.rankerPrecision = .f32 }
        ) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            var orders: Set<[String]> = []
            for context in [
                [:], ["hour": "9"], ["hour": "21", "unheard": "of"], ["hour": "21", "heat": "30"],
                ["hour": "21", "moods": "glad|calm"], ["heat": "no number"],
            ] {
                let expected = try ranked(folder.file("world"), user: 11, context: context)
                var request = RecommendRequest(user: model.users.name(11), k: 12)
                request.context = context.map { ContextEntry(key: $0.key, value: $0.value) }
                let reply = try await node.client.recommend(request)
                #expect(reply.items == expected.prefix(12).map { model.items.name($0.row) })
                orders.insert(reply.items)
                request.cursor = reply.nextCursor
                let next = try await node.client.recommend(request)
                #expect(next.items == expected[12..<24].map { model.items.name($0.row) })
                request.context.append(ContextEntry(key: "hour", value: "3"))
                await expectFailure(.invalidArgument) { _ = try await node.client.recommend(request) }
            }
            #expect(orders.count >= 4)
        }
    }

    @Test("an explained slate tells what the ranker made of the items that it ranked")
    func explainedSlate() async throws {
        try await withRankedNode(
            bundle: { try SmallWorld.makeBundle(in: $0, name: "world", ranker: { model, _ in try contextual(model) }) },
            change: {
                $0.rankerPrecision = .f32
                $0.scenarios["default"]?.rankCandidates = 6
                $0.scenarios["plain"] = $0.scenarios["default"]
                $0.scenarios["plain"]?.ranker = .none
            }
        ) { node, folder in
            let path = folder.file("world")
            let model = try RetrievalModel(bundle: Bundle(opening: path))
            let file = try NetworkRanker(Bundle(opening: path).file(NetworkRanker.fileName))
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            let status = String(decoding: try socket.receiveAll(), as: UTF8.self)
            for word in ["\"ranker\" : {", "\"precision\" : \"f32\"", "\"item_parts\" : {", "\"reason\" : "] {
                #expect(status.contains(word), "\(word)")
            }
            let with = try ranked(path, user: 11, context: ["hour": "9"], candidatesMax: 6)
            let without = try ranked(path, user: 11, candidatesMax: 6)
            var request = RecommendRequest(user: model.users.name(11), k: 9)
            request.context = [ContextEntry(key: "hour", value: "9")]
            #expect(try await node.client.recommend(request).ranking == RankerFeatures())
            request.explain = true
            let reply = try await node.client.recommend(request)
            let ranking = reply.ranking
            #expect(ranking.features == file.schema.fields.map(\.name))
            // The others come after those that are ranked.
            #expect(reply.items.count == 9 && ranking.items == Array(0..<6))
            let width = ranking.features.count
            let hour = try #require(ranking.features.firstIndex(of: "hour"))
            let score = try #require(ranking.features.firstIndex(of: "score"))
            for place in 0..<6 {
                let row = with[place].row
                let other = try #require(without.first { $0.row == row }).score
                #expect(reply.items[place] == model.items.name(row))
                #expect(abs(ranking.contributions[place * width + hour] - (with[place].score - other)) < 1e-4)
                #expect(ranking.values[place * width + hour] > 0 && ranking.values[place * width + score] != 0)
            }
            request.scenario = "plain"
            #expect(try await node.client.recommend(request).ranking.features.isEmpty)
            request.scenario = ""
            request.user = "a stranger"
            #expect(try await node.client.recommend(request).ranking.features.isEmpty)
        }
    }

    @Test("ranks items that the caller found, and says what each feature did")
    func rank() async throws {
        try await withRankedNode(
            bundle: { try SmallWorld.makeBundle(in: $0, name: "world", ranker: { model, _ in try contextual(model) }) },
            change: { $0.rankerPrecision = .f32 }
        ) { node, folder in
            let path = folder.file("world")
            let model = try RetrievalModel(bundle: Bundle(opening: path))
            let file = try NetworkRanker(Bundle(opening: path).file(NetworkRanker.fileName))
            let plan = try FeaturePlan(file.schema, model, path: path)
            let network = Network(file.weights, layout: plan.layout)
            /// Scores by hand; features of retrieval are missing.
            func scores(_ user: UInt32?, _ rows: [UInt32], _ context: [String: String]) -> [Float] {
                let features = CandidateFeatures(plan)
                features.fill(
                    RankingRequest(
                        user: user, history: UnsafeBufferPointer(start: nil, count: 0), context: context,
                        candidates: rows.map { ScoredRow(row: $0, score: 0) }, isRetrieved: false))
                return NetworkFit.scores(network, features.rows, threads: 1)
            }
            let rows = (0..<UInt32(model.items.count)).map { ($0 * 37) % UInt32(model.items.count) }
            var request = RankRequest(user: model.users.name(4), items: rows.map(model.items.name))
            request.items.insert("nobody sells this", at: 10)
            request.context = [ContextEntry(key: "hour", value: "9")]
            let reply = try await node.client.rank(request)
            #expect(reply.unknown == [10] && reply.places.count == rows.count)
            #expect(reply.model == "world@1" && reply.generation == 1)
            let expected = scores(4, rows, ["hour": "9"])
            for (place, score) in zip(reply.places, reply.scores) {
                #expect(abs(expected[Int(place) - (place > 10 ? 1 : 0)] - score) < 1e-4)
            }
            #expect(zip(reply.scores, reply.scores.dropFirst()).allSatisfy { $0 >= $1 })
            // Many items, each more than once, pass in parts.
            var many = RankRequest(
                user: "a stranger", items: (0..<10_000).map { model.items.name(rows[$0 % rows.count]) })
            let all = try await node.client.rank(many)
            let plain = scores(nil, rows, [:])
            #expect(all.places.count == 10_000 && Set(all.places).count == 10_000)
            for (place, score) in zip(all.places, all.scores) {
                #expect(abs(plain[Int(place) % rows.count] - score) < 1e-4)
            }
            many.explain = true
            await expectFailure(.invalidArgument) { _ = try await node.client.rank(many) }
            request.items = Array(request.items.prefix(20))
            request.explain = true
            let explained = try await node.client.rank(request)
            #expect(explained.features == file.schema.fields.map(\.name))
            let width = explained.features.count
            let hour = try #require(explained.features.firstIndex(of: "hour"))
            for (n, place) in explained.places.enumerated() {
                let row = rows[Int(place) - (place > 10 ? 1 : 0)]
                let without = scores(4, [row], [:])[0]
                #expect(abs(explained.contributions[n * width + hour] - (explained.scores[n] - without)) < 1e-4)
                #expect(explained.values[n * width + hour] > 0)
                #expect(explained.values[n * width + 2] == 0)
            }
        }
    }

    @Test("a bundle without a ranker ranks nothing")
    func rankWithout() async throws {
        try await withNode { node, _ in
            await expectFailure(.failedPrecondition) {
                _ = try await node.client.rank(RankRequest(user: "u", items: ["i"]))
            }
        }
    }

    @Test("says so when a scenario wants a ranker and the bundle has none")
    func missing() async throws {
        try await withNode(change: { $0.scenarios["default"]?.ranker = .required }) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let reply = try await node.client.recommend(user: model.users.name(3), k: 5)
            #expect(reply.items.count == 5 && reply.degraded.contains(.rankerUnavailable))
        }
    }

    @Test("refuses a ranker that does not fit, and goes on serving")
    func refused() async throws {
        try await withNode(change: { _ in }) { node, folder in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let good = try ranker(model, heldOut(folder))
            for (name, change, reason) in [
                (
                    "nan", { (ranker: inout NetworkRanker) in ranker.weights.output[0] = .nan },
                    "output.weight holds nan"
                ),
                (
                    "attribute",
                    { ranker in
                        let place = ranker.schema.fields.firstIndex { $0.name == "shared_genres" } ?? 0
                        ranker.schema.fields[place].source = .sharedAttribute("colour")
                    }, "comes from cross.shared:colour"
                ),
            ] as [(String, (inout NetworkRanker) -> Void, String)] {
                var bad = good
                change(&bad)
                _ = try SmallWorld.makeBundle(in: folder, name: name, ranker: { _, _ in bad })
                let error = await #expect(throws: (any Error).self) {
                    _ = try await node.client.loadModel(
                        LoadModelRequest(path: name))
                }
                #expect("\(error.map { "\($0)" } ?? "")".contains(reason), "\(error.map { "\($0)" } ?? "")")
                #expect(try await node.client.recommend(user: model.users.name(1), k: 3).items.count == 3)
            }
        }
    }

    private func heldOut(_ folder: TemporaryFolder) throws -> Interactions {
        let (interactions, _) = try InteractionImporter().read(folder.file("data-world"))
        // What users had already is no choice among candidates: give them others'.
        var shifted = interactions
        shifted.itemRows = interactions.itemRows.map { ($0 + 7) % UInt32(interactions.itemCount) }
        return shifted
    }
}
