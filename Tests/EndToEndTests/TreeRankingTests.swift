import Artifacts
import CandidateRanking
import Features
import Foundation
import MartletClient
import RankingModels
import Retrieval
import TestSupport
import Testing
import Training

@testable import MartletServer

/// A bundle whose ranker is an ensemble of trees.
@Suite("A node with trees as its ranker")
struct TreeRankingTests {
    /// Popular items first, those without a factor product (unknown users') by popularity alone.
    private static func byHand(popularity: String = "popularity") -> String {
        """
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        max_feature_idx=1
        objective=lambdarank
        feature_names=\(popularity) product

        Tree=0
        num_leaves=4
        num_cat=0
        split_feature=0 1 0
        threshold=30 0.1 60
        decision_type=8 8 8
        left_child=1 -1 -3
        right_child=2 -2 -4
        leaf_value=-1 -0.5 0.25 1.5
        leaf_count=40 30 20 10
        is_linear=0

        end of trees

        """
    }

    private static let schema = FeatureSchema(fields: [
        FeatureField("popularity", from: .itemPopularity, .dense(.none, missing: nil)),
        FeatureField("product", from: .factorProduct("als"), .dense(.none, missing: nil)),
    ])

    private func handMade(_ schema: FeatureSchema = schema) throws -> TreeRanker {
        try TreeRanker(schema: schema, file: Array(Self.byHand().utf8), path: "model.txt")
    }

    private func withTrees(
        _ trees: TreeRanker, in folder: TemporaryFolder, _ body: (TestNode) async throws -> Void
    ) async throws {
        let node = try await TestNode(bundle: SmallWorld.makeBundle(in: folder, name: "trees", trees: trees))
        do {
            try await body(node)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    /// What users "chose" after the model: others' items.
    private func later(_ folder: TemporaryFolder, _ name: String) throws -> Interactions {
        var (interactions, _) = try InteractionImporter().read(folder.file("data-\(name)"))
        interactions.itemRows = interactions.itemRows.map { ($0 + 7) % UInt32(interactions.itemCount) }
        return interactions
    }

    /// Rows of a file of examples by user, as (item, line after the header).
    private func lines(_ text: String) -> [String: [(item: String, line: Int)]] {
        var found: [String: [(item: String, line: Int)]] = [:]
        for (number, line) in text.split(separator: "\n").dropFirst().enumerated() {
            let parts = line.split(separator: ",", omittingEmptySubsequences: false)
            found[String(parts[2]), default: []].append((String(parts[3]), number))
        }
        return found
    }

    @Test(
        "gives the order and the scores of LightGBM's own predict on the exported rows",
        .enabled(if: PythonEnvironment.lightgbm.mayRun, Comment(rawValue: PythonEnvironment.lightgbm.commentText)),
        arguments: ["lambdarank", "binary"])
    func trained(objective: String) async throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        let model = try RetrievalModel(bundle: Bundle(opening: path))
        let schema = FeatureSchema.forTrees(model)
        #expect(schema.fields.contains { $0.name == "shared_genres" } && schema.fields.contains { $0.name == "genres" })
        var configuration = ExampleExport.Configuration()
        configuration.keepsApart = false
        configuration.threads = 2
        var text: [UInt8] = []
        let summary = try ExampleExport(configuration, model, schema: schema, path: "schema")
            .run(later(folder, "world"), write: { text += $0 })
        #expect(summary.users > 100 && summary.chosen > 500 && summary.rows > 5000)
        try folder.write(text, to: "examples.csv")
        try folder.write(Array(JSONText.print(schema.json(), indented: true).utf8), to: "features.json")
        // The worked example of the docs, as it stands there.
        let done = try PythonEnvironment.lightgbm.run(
            "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
            [
                Repository.root + "/docs/examples/lightgbm_ranker.py", "--examples", folder.file("examples.csv"),
                "--features", folder.file("features.json"), "--output", folder.file("model.txt"), "--rounds", "60",
                "--objective", objective, "--predict", folder.file("predictions"), "--threads", "1",
            ])
        try #require(done.status == 0, "\(done.output)")
        let predictions = try String(contentsOfFile: folder.file("predictions"), encoding: .utf8).split(separator: "\n")
            .compactMap { Double($0) }
        #expect(predictions.count == summary.rows)
        let file = try WholeFile.read(folder.file("model.txt"), bytesMax: 1 << 24)
        let trees = try TreeRanker(schema: schema, file: file, path: "model.txt")
        let rows = lines(String(decoding: text, as: UTF8.self))
        try await withTrees(trees, in: folder) { node in
            for user in rows.keys.sorted().prefix(60) {
                let exported = try #require(rows[user])
                let reply = try await node.client.recommend(user: user, k: 50)
                #expect(reply.degraded.isEmpty && reply.items.count == min(50, exported.count))
                let byItem = Dictionary(uniqueKeysWithValues: exported.map { ($0.item, predictions[$0.line]) })
                for (item, score) in zip(reply.items, reply.scores) {
                    let theirs = try #require(byItem[item], "\(item) was not exported for \(user)")
                    #expect(abs(Double(score) - theirs) <= 1e-6 * max(1, abs(theirs)))
                }
                // The best ones, best first: what comes next is never better.
                let sorted = byItem.values.sorted(by: >)
                for (score, best) in zip(reply.scores, sorted) {
                    #expect(abs(Double(score) - best) <= 1e-6 * max(1, abs(best)))
                }
            }
        }
    }

    @Test("says what each feature did: with the bias that is the score")
    func explained() async throws {
        let folder = try TemporaryFolder()
        try await withTrees(try handMade(), in: folder) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            let items = (0..<UInt32(100)).map(model.items.name)
            for user in [model.users.name(4), "a stranger"] {
                var request = RankRequest(user: user, items: items)
                request.explain = true
                let reply = try await node.client.rank(request)
                #expect(reply.features == ["popularity", "product", FeatureContributions.biasName])
                #expect(reply.places.count == 100 && Set(reply.scores).count > 1)
                for (place, score) in reply.scores.enumerated() {
                    let parts = reply.contributions[place * 3..<place * 3 + 3]
                    #expect(abs(parts.reduce(0, +) - score) < 1e-6)
                    #expect(abs((parts.last ?? 0) - (-0.4 - 0.15 + 0.05 + 0.15)) < 1e-6)
                    // Whom nobody knows has no product: it is missing.
                    #expect(reply.values[place * 3 + 1].isNaN == (user == "a stranger"))
                }
                #expect(
                    Set(reply.contributions.indices.filter { $0 % 3 == 0 }.map { reply.contributions[$0] }).count > 1)
            }
        }
    }

    @Test("ranks many items of many calls at the same time as it ranks them alone")
    func together() async throws {
        let folder = try TemporaryFolder()
        try await withTrees(try handMade(), in: folder) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            let client = node.client
            var alone: [String: [Float]] = [:]
            let users = (0..<UInt32(30)).map(model.users.name)
            for user in users { alone[user] = try await client.recommend(user: user, k: 40).scores }
            let many = RankRequest(user: users[0], items: (0..<5000).map { model.items.name(UInt32($0 % 100)) })
            let expected = alone
            try await withThrowingTaskGroup(of: Void.self) { group in
                for user in users {
                    group.addTask {
                        var request = RecommendRequest(user: user, k: 40)
                        request.context = [ContextEntry(key: "not", value: "cached")]
                        let scores = try await client.recommend(request).scores
                        #expect(scores == expected[user])
                    }
                }
                group.addTask {
                    let places = try await client.rank(many).places
                    #expect(places.count == 5000)
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("trees that are broken or do not fit are refused, and the old generation serves on")
    func refused() async throws {
        let folder = try TemporaryFolder()
        try await withTrees(try handMade(), in: folder) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            let before = try await node.client.recommend(user: model.users.name(1), k: 5)
            var strange = Self.schema
            strange.fields[1].source = .factorProduct("nothing")
            _ = try SmallWorld.makeBundle(in: folder, name: "strange", trees: try handMade(strange))
            let broken = try SmallWorld.makeBundle(in: folder, name: "broken", trees: try handMade())
            let file = URL(fileURLWithPath: broken + "/ranker.safetensors")
            var bytes = [UInt8](try Data(contentsOf: file))
            bytes[bytes.count - 60] ^= 1
            try Data(bytes).write(to: file)
            for (name, reason) in [("strange", "no factors of that name"), ("broken", "ranker.safetensors")] {
                let error = await #expect(throws: (any Error).self) {
                    _ = try await node.client.loadModel(
                        LoadModelRequest(path: name), options: CallOptions(timeout: .seconds(30)))
                }
                #expect("\(error.map { "\($0)" } ?? "")".contains(reason), "\(error.map { "\($0)" } ?? "")")
                let after = try await node.client.recommend(user: model.users.name(1), k: 5)
                #expect(after.items == before.items && after.generation == before.generation)
            }
            // And one that fits takes over.
            _ = try SmallWorld.makeBundle(in: folder, name: "next", trees: try handMade())
            let loaded = try await node.client.loadModel(
                LoadModelRequest(path: "next"), options: CallOptions(timeout: .seconds(30)))
            #expect(loaded.generation == before.generation + 1)
            #expect(try await node.client.recommend(user: model.users.name(1), k: 5).items == before.items)
        }
    }
}
