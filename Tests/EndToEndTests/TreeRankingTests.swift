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
@Suite("A node with trees as its ranker", .ownThreads)
struct TreeRankingTests {
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
        let schema = FeatureSchema.forTrees(model, hasTimes: true)
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
        try await SmallTrees.withNode(trees, in: folder) { node in
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

    @Test("ranks many items of many calls at the same time as it ranks them alone")
    func together() async throws {
        let folder = try TemporaryFolder()
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) { node in
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
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            let before = try await node.client.recommend(user: model.users.name(1), k: 5)
            var strange = SmallTrees.schema
            strange.fields[1].source = .factorProduct("nothing")
            _ = try SmallWorld.makeBundle(in: folder, name: "strange", trees: try SmallTrees.ranker(strange))
            let broken = try SmallWorld.makeBundle(in: folder, name: "broken", trees: try SmallTrees.ranker())
            let file = URL(fileURLWithPath: broken + "/ranker.safetensors")
            var bytes = [UInt8](try Data(contentsOf: file))
            bytes[bytes.count - 60] ^= 1
            try Data(bytes).write(to: file)
            for (name, reason) in [("strange", "no factors of that name"), ("broken", "ranker.safetensors")] {
                let error = await #expect(throws: (any Error).self) {
                    _ = try await node.client.loadModel(
                        LoadModelRequest(path: name))
                }
                #expect("\(error.map { "\($0)" } ?? "")".contains(reason), "\(error.map { "\($0)" } ?? "")")
                let after = try await node.client.recommend(user: model.users.name(1), k: 5)
                #expect(after.items == before.items && after.generation == before.generation)
            }
            // And one that fits takes over.
            _ = try SmallWorld.makeBundle(in: folder, name: "next", trees: try SmallTrees.ranker())
            let loaded = try await node.client.loadModel(
                LoadModelRequest(path: "next"))
            #expect(loaded.generation == before.generation + 1)
            #expect(try await node.client.recommend(user: model.users.name(1), k: 5).items == before.items)
        }
    }
}
