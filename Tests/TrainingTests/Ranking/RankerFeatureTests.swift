import Artifacts
import CandidateRanking
import Features
import Foundation
import RankingModels
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Training

/// Features of time and of the history against what a plain count of the interactions says.
@Suite(.ownThreads) struct RankerFeatureTests {
    private static let day = 86_400

    private func world(_ folder: ScratchFolder, hasTimes: Bool = true) throws -> (RetrievalModel, Interactions) {
        var random = SeededGenerator(seed: 12)
        var lines = [hasTimes ? "user,item,value,timestamp" : "user,item"]
        for user in 0..<80 {
            for item in Set((0..<9).map { _ in Int.random(in: 0..<40, using: &random) }).sorted() {
                let time = 1_600_000_000 + Int.random(in: 0..<60 * Self.day, using: &random)
                lines.append("u\(user),i\(item)" + (hasTimes ? ",1,\(time)" : ""))
            }
        }
        try "item,title,tags\n\((0..<40).map { "i\($0),,t\($0 % 4)" }.joined(separator: "\n"))\n".write(
            toFile: folder.path + "/items.csv", atomically: true, encoding: .utf8)
        let path = try folder.write("pairs.csv", lines.joined(separator: "\n") + "\n")
        let data = try InteractionImporter().read(path).interactions
        var plan = TrainingPlan()
        plan.threads = 2
        plan.als?.rank = 8
        plan.als?.iterations = 2
        plan.spectral = nil
        plan.neighbors.lowPassRank = 8
        let bundle = folder.path + "/bundle"
        try Trainer(plan).train(
            data, attributes: try ItemAttributes.beside(path), into: BundleWriter(destination: bundle))
        return (try RetrievalModel(bundle: Bundle(opening: bundle)), data.inBundleOrder())
    }

    private func number(_ name: String, _ source: FeatureSource) -> FeatureField {
        FeatureField(name, from: source, .dense(.none, missing: -1))
    }

    /// Shape `[candidates][fields]`.
    private func values(_ sources: [FeatureSource], _ model: RetrievalModel, user: UInt32) throws -> [[Double]] {
        let schema = FeatureSchema(fields: sources.enumerated().map { number("f\($0)", $1) })
        let features = CandidateFeatures(try FeaturePlan(schema, model, path: "test"))
        let generator = CandidateGenerator(model: model)
        let history = model.users.history(of: user)
        generator.mask.begin()
        generator.begin(user: user, history: history, mix: model.mix)
        while try !generator.step() {}
        features.fill(
            RankingRequest(
                user: user, history: history,
                candidates: (0..<UInt32(model.items.count)).map { ScoredRow(row: $0, score: 0) }, lists: generator.lists
            ))
        return (0..<features.rows.count).map { row in
            sources.indices.map { Double(features.rows.dense[row * sources.count + $0]) }
        }
    }

    @Test func `times are counted back from the newest interaction`() throws {
        let folder = try ScratchFolder()
        let (model, data) = try world(folder)
        let times = try #require(data.times)
        let newest = try #require(times.max())
        for user in [UInt32(0), 31, 79] {
            let found = try values([.itemRecent(days: 7), .itemAge, .itemIdle, .userIdle], model, user: user)
            let own = data.range(of: Int(user)).map { times[$0] }.max() ?? 0
            for item in 0..<data.itemCount {
                let of = data.itemRows.indices.filter { data.itemRows[$0] == item }.map { newest - times[$0] }
                let days = of.map { Double($0) / 86_400_000 }
                #expect(found[item][0] == Double(days.count { $0 < 7 }))
                #expect(abs(found[item][1] - (days.max() ?? -1)) < 1e-4)
                #expect(abs(found[item][2] - (days.min() ?? -1)) < 1e-4)
                #expect(abs(found[item][3] - Double(newest - own) / 86_400_000) < 1e-4)
            }
        }
    }

    @Test func `neighbours of the newest items are summed, and the nearest found`() throws {
        let folder = try ScratchFolder()
        let (model, _) = try world(folder)
        let neighbors = try #require(model.neighbors)
        for user in [UInt32(3), 40] {
            let history = Array(model.users.history(of: user))
            let found = try values(
                [.historySum(items: 1), .historySum(items: 3), .historyMax, .sourceRank("als")], model, user: user)
            for item in 0..<UInt32(model.items.count) {
                func weight(_ from: UInt32) -> Float {
                    let (rows, weights) = neighbors.neighbors(of: from)
                    return rows.firstIndex(of: item).map { weights[$0] } ?? 0
                }
                let all = history.reversed().map(weight)
                #expect(abs(found[Int(item)][0] - Double(all[0])) < 1e-5)
                #expect(abs(found[Int(item)][1] - Double(all.prefix(3).reduce(0, +))) < 1e-5)
                #expect(abs(found[Int(item)][2] - Double(all.max() ?? 0)) < 1e-5)
            }
            // The places of a source are 1, 2, ...
            let places = found.map { $0[3] }.filter { $0 > 0 }.sorted()
            #expect(places == (1...places.count).map(Double.init))
        }
    }

    @Test func `a user leans to the tags of which the history holds more than everybody's`() throws {
        let folder = try ScratchFolder()
        let (model, data) = try world(folder)
        let user = UInt32(5)
        let found = try values([.attributeAffinity(model.items.details.tagsName)], model, user: user)
        func share(_ tag: UInt32, _ items: [UInt32]) -> Double {
            Double(items.count { model.items.hasTag(tag, row: $0) }) / Double(items.count)
        }
        let history = Array(model.users.history(of: user))
        for item in 0..<UInt32(model.items.count) {
            let tag = model.items.tagIDs(item)[0]
            let (own, all) = (share(tag, history), share(tag, data.itemRows))
            let expected = log((own * Double(history.count) + 5 * all) / (Double(history.count + 5) * all))
            #expect(abs(found[Int(item)][0] - expected) < 1e-4)
        }
    }

    @Test func `a bundle without times refuses features of time by name`() throws {
        let folder = try ScratchFolder()
        let (model, _) = try world(folder, hasTimes: false)
        for source in [FeatureSource.itemAge, .itemIdle, .itemRecent(days: 3), .userIdle] {
            let error = #expect(throws: ArtifactError.self) {
                _ = try FeaturePlan(FeatureSchema(fields: [number("when", source)]), model, path: "test")
            }
            #expect(
                "\(error.map { "\($0)" } ?? "")".contains(
                    "comes from \(source.text): the bundle's interactions have no times"))
        }
    }

    @Test func `sources are spelled as they are read`() {
        for text in [
            "item.recent:7", "item.age", "item.idle", "user.idle", "history.sum:3", "history.max",
            "retrieval.rank:als", "cross.affinity:genres",
        ] { #expect(FeatureSource(text)?.text == text) }
        for text in ["item.recent:0", "item.recent:week", "history.sum:-1", "history.sum:10001", "history.max:3"] {
            #expect(FeatureSource(text) == nil, "\(text)")
        }
    }

    @Test func `what a scenario has otherwise than the ranker was fitted with is said`() throws {
        let schema = FeatureSchema(fields: [number("a", .sourceRank("als"))])
        var ranker = try NetworkRanker(
            schema: schema,
            weights: NetworkWeights(
                shape: .init(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false), table: [], linear: [],
                denseLinear: [1], layers: [], output: [], bias: 0), path: "test")
        let mix = RetrievalMix(sources: [.init(source: .als), .init(source: .recent)])
        #expect(RankerFitness(.network(ranker)).differences(mix: mix, count: 2000).isEmpty)
        ranker.candidates = FittedCandidates(count: 200, sources: ["item_to_item", "recent"])
        let fitness = RankerFitness(.network(ranker))
        #expect(fitness.differences(mix: mix, count: 400).count == 1)
        #expect(
            fitness.differences(mix: mix, count: 401).first
                == "it ranks 401 candidates, and the ranker was fitted with 200")
        #expect(fitness.differences(mix: mix, count: 99).count == 2)
        let lacking = fitness.differences(mix: RetrievalMix(sources: [.init(source: .popular)]), count: nil)
        #expect(lacking.count == 1 && lacking[0].contains("item_to_item, recent, als"))
        // It comes back from the file.
        let folder = try ScratchFolder()
        let path = folder.path + "/ranker.safetensors"
        try ranker.write(to: TensorFileWriter(path: path, metadata: ranker.metadata))
        #expect(try NetworkRanker(TensorFile(path: path)) == ranker)
    }
}
