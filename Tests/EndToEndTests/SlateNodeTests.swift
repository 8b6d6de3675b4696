import Artifacts
import CandidateRanking
import EventLog
import Features
import Foundation
import MartletClient
import RankingModels
import Retrieval
import Serving
import TestSupport
import Testing
import Training
import VectorMath
import Vocabulary

@testable import MartletServer

/// Slates from the node that shows them to the ranker that learns from them.
@Suite("Logged slates", .timeLimit(.minutes(30)), .ownThreads)
struct SlateNodeTests {
    private func ranker(_ model: RetrievalModel, _ later: Interactions) throws -> NetworkRanker {
        var network = NetworkConfiguration(
            shape: .init(embeddingWidth: 4, hidden: [8], hasLinear: true, hasPairs: true))
        network.epochs = 2
        network.batchRows = 128
        var plan = RankerPlan(network: network)
        plan.candidates = 60
        return try RankerFit(plan, k: 10, threads: 2).fit(
            RankerWindow(model: model, later: later, isPast: false), clock: { 0 }
        ).ranker
    }

    private func withNode(
        change: @escaping (inout ServerConfiguration) -> Void = { _ in },
        _ body: (TestNode, TemporaryFolder) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world", ranker: ranker)
        let node = try await TestNode(bundle: bundle) {
            $0.events.directory = folder.file("events")
            $0.slates.sample = 1
            $0.slates.candidatesMax = 30
            $0.rankerPrecision = .f32
            change(&$0)
        }
        do {
            try await body(node, folder)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    /// Waits until so many slates are stored, then reads them.
    private func slates(_ node: TestNode, _ folder: TemporaryFolder, _ count: Int) async throws -> [LoggedSlate] {
        for _ in 0..<12_000 where node.node.slateReading.logged < UInt64(count) {
            try await Task.sleep(for: .milliseconds(50))
        }
        var found: [LoggedSlate] = []
        let report = try LogArchive(path: folder.file("events/slates")).readSlates { found.append($0) }
        #expect(!report.isDamaged && found.count == count)
        return found
    }

    @Test("a slate is logged as it was answered, with the features that the same state gives again")
    func features() async throws {
        try await withNode { node, folder in
            let path = folder.file("world")
            let bundle = try Bundle(opening: path)
            let model = try RetrievalModel(bundle: bundle)
            let file = try NetworkRanker(bundle.file(NetworkRanker.fileName))
            var replies: [RecommendReply] = []
            for user in 0..<12 {
                var request = RecommendRequest(user: model.users.name(UInt32(user)), k: 10)
                request.context = [ContextEntry(key: "hour", value: "21")]
                let reply = try await node.client.recommend(request)
                #expect(reply.requestID.utf8.count == 16)
                replies.append(reply)
            }
            let found = try await slates(node, folder, 12)
            #expect(
                try folder.entries("events/slates").contains(LoggedSlate.schemaFileName(file.schema.hash)))
            #expect(SlateSchema.read(file.schema.hash, beside: folder.file("events/slates"))?.schema == file.schema)
            for reply in replies {
                let slate = try #require(found.first { $0.requestID == reply.requestID })
                #expect(Array(slate.items.prefix(10)) == reply.items && slate.shownCount == 10)
                #expect(Array(slate.scores.prefix(10)) == reply.scores)
                #expect(slate.model == reply.model && slate.generation == reply.generation)
                #expect(slate.context == ["hour": "21"] && slate.marks == .ranked && slate.arm.isEmpty)
                #expect(slate.propensities == [Float](repeating: 1, count: 10))
                #expect(Array(slate.places.prefix(10)) == (1...10).map { UInt32($0) })
                #expect(slate.items.count == 40 && slate.bestCount == 15 && slate.candidateCount > 40)
                #expect(Set(slate.items).count == 40)
                // The best that were not shown follow at once; the drawn ones lie anywhere behind them.
                #expect(Array(slate.places[10..<25]) == (11...25).map { UInt32($0) })
                #expect(slate.places[25...].allSatisfy { $0 > 25 && $0 <= UInt32(slate.candidateCount) })
                try check(slate, model, file)
            }
        }
    }

    /// Computes the features of a logged slate anew, from the bundle.
    private func check(_ slate: LoggedSlate, _ model: RetrievalModel, _ file: NetworkRanker) throws {
        let user = try #require(model.users.row(of: slate.user))
        let history = model.users.history(of: user)
        let generator = CandidateGenerator(model: model)
        generator.mask.begin()
        generator.mask.block(history)
        generator.begin(user: user, history: history, mix: model.mix)
        while try !generator.step() {}
        var candidates: [ScoredRow] = []
        generator.select(file.candidates?.count ?? 200, into: &candidates)
        let features = CandidateFeatures(try FeaturePlan(file.schema, model, path: "world"))
        features.fill(
            RankingRequest(
                user: user, history: history, context: slate.context, candidates: candidates, lists: generator.lists))
        let logged = try #require(slate.features)
        #expect(logged.schema == file.schema.hash)
        let reader = SlateRows(features.plan.layout)
        #expect(reader.fits(logged))
        let rows = FeatureRows(features.plan.layout)
        for (row, item) in logged.items.enumerated() {
            reader.append(row, of: logged, to: rows)
            let known = try #require(model.items.row(of: slate.items[Int(item)]))
            let place = try #require(candidates.firstIndex { $0.row == known })
            for number in features.plan.layout.dense.indices {
                #expect(abs(rows.number(row, number) - features.rows.number(place, number)) < 1e-5)
            }
            for number in features.plan.layout.categorical.indices {
                #expect(rows.id(row, number) == features.rows.id(place, number))
            }
            for bag in rows.bagFields.indices { #expect(rows.bag(row, bag) == features.rows.bag(place, bag)) }
        }
        // Every ranked item that was logged has them: here, all that are shown.
        #expect(logged.items.prefix(10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        // The ranker gives logged rows the scores that were served.
        let logits = NetworkFit.scores(Network(file.weights, layout: features.plan.layout), rows, threads: 1)
        for (row, item) in logged.items.enumerated() {
            #expect(abs(logits[row] - slate.scores[Int(item)]) < 1e-4)
        }
    }

    @Test(
        "a cached slate is logged again under an ID of its own, and names the first; own IDs are kept; many share one")
    func identities() async throws {
        try await withNode { node, folder in
            let user = SmallWorld.user(3)
            let first = try await node.client.recommend(user: user, k: 5)
            let again = try await node.client.recommend(user: user, k: 5)
            #expect(again.items == first.items && again.requestID != first.requestID && !again.requestID.isEmpty)
            var options = CallOptions()
            options.requestID = "page-view-7"
            let own = try await node.client.recommend(RecommendRequest(user: user, k: 5), options: options)
            let other = try await node.client.recommend(RecommendRequest(user: user, k: 6), options: options)
            #expect(own.requestID == "page-view-7" && own.items == first.items && other.requestID == "page-view-7")
            let many = try await node.client.recommendMany(
                RecommendManyRequest(users: (0..<6).map(SmallWorld.user), k: 4))
            #expect(many.requestID.utf8.count == 16)
            let found = try await slates(node, folder, 10)
            let repeated = try #require(found.first { $0.requestID == again.requestID })
            #expect(repeated.marks == .cached && repeated.original == first.requestID && repeated.items == first.items)
            #expect(repeated.features == nil && repeated.user == user && repeated.scores == first.scores)
            #expect(found.count { $0.requestID == "page-view-7" } == 2)
            let parts = found.filter { $0.requestID == many.requestID }
            #expect(Set(parts.map(\.user)) == Set((0..<6).map(SmallWorld.user)))
            #expect(parts.allSatisfy { $0.marks.contains(.many) && $0.shownCount == 4 })
        }
    }

    @Test(
        "nothing is logged, and no ID named, where a scenario samples nothing; a log that cannot be opened costs nothing else"
    )
    func off() async throws {
        try await withNode(change: {
            var quiet = $0.scenarios["default"] ?? MartletServer.ScenarioConfiguration()
            quiet.slatesSample = 0
            $0.scenarios["quiet"] = quiet
        }) { node, folder in
            for _ in 0..<3 {
                let reply = try await node.client.recommend(
                    RecommendRequest(user: SmallWorld.user(1), k: 5, scenario: "quiet"))
                #expect(reply.requestID.isEmpty && reply.items.count == 5)
            }
            _ = try await node.client.recommend(user: SmallWorld.user(1), k: 5)
            let found = try await slates(node, folder, 1)
            #expect(found[0].scenario.isEmpty)
        }
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "plain")
        try folder.write([1], to: "file")
        let node = try await TestNode(bundle: bundle) {
            $0.slates.directory = folder.file("file")
            $0.slates.sample = 1
        }
        let reply = try await node.client.recommend(user: SmallWorld.user(1), k: 5)
        #expect(reply.items.count == 5 && reply.requestID.isEmpty && node.node.slateReading.isRefusing)
        let stored = try await node.client.recordEvents(
            RecordEventsRequest(events: [UserEvent(user: "u", item: "i", type: "click")]))
        #expect(stored.stored == 1)
        await node.stop()
    }

    @Test("shown, clicked, exported, learnt from and judged by", .timeLimit(.minutes(30)))
    func whole() async throws {
        try await withNode(change: {
            $0.scenarios["default"]?.reranking = RerankingConfiguration()
            $0.scenarios["default"]?.reranking?.exploration = .init(.epsilon(0.3), among: 10)
            // Fewer than chance draws from: those it draws from are logged all the same.
            $0.slates.candidatesMax = 4
        }) { node, folder in
            var random = SeededGenerator(seed: 4)
            var events: [UserEvent] = []
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("world")))
            let users = (0..<UInt32(model.users.count)).map { model.users.name($0) }
            for user in users {
                let reply = try await node.client.recommend(user: user, k: 8)
                #expect(reply.propensities.count == 8 && !reply.requestID.isEmpty)
                for item in reply.items where Int.random(in: 0..<3, using: &random) == 0 {
                    events.append(
                        UserEvent(
                            user: user, item: item, type: "click", requestID: reply.requestID))
                }
            }
            let clicked = events.count
            // Later than every window.
            let now = UInt64(Date().timeIntervalSince1970 * 1000)
            events.append(UserEvent(user: "late", item: "x", type: "click", timeMilliseconds: now + 250_000))
            for start in stride(from: 0, to: events.count, by: 500) {
                let part = Array(events[start..<min(events.count, start + 500)])
                #expect(try await node.client.recordEvents(RecordEventsRequest(events: part)).stored == part.count)
            }
            let found = try await slates(node, folder, users.count)
            #expect(found.contains { slate in slate.propensities.contains { $0 < 1 } && slate.drawnAmong > 0 })
            let (log, slates) = (folder.file("events"), folder.file("events/slates"))

            let info = try await MartletProgram.run(["log", "info", slates])
            #expect(info.status == 0 && info.output.contains("with places left to chance"), "\(info)")
            let verified = try await MartletProgram.run(["log", "verify", slates])
            #expect(verified.status == 0 && verified.output.contains("sound; \(users.count) slates"), "\(verified)")
            let window = ["--impression-window", "1m"]
            let csv = try await MartletProgram.run(["log", "export", slates, "--joined"] + window)
            #expect(csv.status == 0, "\(csv.errors)")
            let lines = csv.output.split(separator: "\n")
            let answered = lines.dropFirst().count { $0.hasSuffix(",1.0,0") }
            #expect(answered == clicked, "\(answered) of \(clicked)")
            let jsonl = try await MartletProgram.run(["log", "export", slates, "--format", "jsonl"])
            #expect(jsonl.status == 0 && jsonl.output.split(separator: "\n").count == users.count)

            let next = folder.file("next")
            let trained = try await MartletProgram.run(
                [
                    "train", "--input", folder.file("data-world"), "--from-log", log, "--output", next, "--factors",
                    "als,spectral", "--rank", "16", "--iterations", "4", "--threads", "2", "--ranker", "deepfm",
                    "--ranker-hidden", "8", "--force-ranker",
                ] + window)
            #expect(trained.status == 0, "\(trained)")
            #expect(
                (trained.output + trained.errors).contains("of them answered, from \(users.count) slates"), "\(trained)"
            )
            let old = try NetworkRanker(Bundle(opening: folder.file("world")).file(NetworkRanker.fileName))
            let new = try NetworkRanker(Bundle(opening: next).file(NetworkRanker.fileName))
            // The slates' schema stays, so that they, and those to come, can judge the new one.
            #expect(new.schema.hash == old.schema.hash && new.weights.bias != old.weights.bias)

            let judged = try await MartletProgram.run(
                ["evaluate", "--bundle", next, "--against", folder.file("world"), "--slates", slates, "--json"] + window
            )
            #expect(judged.status == 0, "\(judged)")
            #expect(
                judged.output.contains("\"slates\" : \(users.count)")
                    || judged.output.contains("\"slates\": \(users.count)"))
            #expect(judged.output.contains("\"snips\""), "\(judged)")
            let table = try await MartletProgram.run(["evaluate", "--bundle", next, "--slates", slates] + window)
            #expect(table.status == 0 && table.output.contains("clicks at a place that chance filled"), "\(table)")
        }
    }
}
