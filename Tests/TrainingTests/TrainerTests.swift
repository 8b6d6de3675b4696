import Artifacts
import Catalog
import FactorModels
import Foundation
import NearestNeighbors
import Retrieval
import TestSupport
import Testing
import VectorMath
import Vocabulary

@testable import Training

/// A small invented data set, trained once for the tests of a suite.
struct TrainedSample {
    let folder: ScratchFolder
    let interactions: Interactions
    let attributes: ItemAttributes
    let split: Split
    let bundlePath: String

    static var plan: TrainingPlan {
        var plan = TrainingPlan()
        plan.name = "sample"
        plan.version = "1"
        plan.als?.rank = 16
        plan.als?.iterations = 6
        plan.spectral?.rank = 16
        plan.neighbors.count = 50
        plan.neighbors.lowPassRank = 16
        return plan
    }

    init() throws {
        folder = try ScratchFolder()
        let data = SampleData(SampleConfiguration(users: 300, items: 150, interactions: 9_000, seed: 5))
        _ = try data.write(to: folder.path)
        interactions = try imported(folder.path)
        attributes = try ItemAttributes.beside(folder.path + "/ratings.csv")
        split = try interactions.split(.random, share: 0.2, seed: 1)
        bundlePath = folder.path + "/bundle"
        try Trainer(TrainedSample.plan).train(
            split.training, attributes: attributes, into: BundleWriter(destination: bundlePath))
    }
}

@Suite(.ownThreads) struct TrainerTests {
    @Test func `A bundle holds users, items, titles, histories and all sources`() throws {
        let sample = try TrainedSample()
        let bundle = try Bundle(opening: sample.bundlePath)
        let training = sample.split.training.inBundleOrder()
        #expect(bundle.manifest.name == "sample" && bundle.manifest.version == "1")
        #expect(
            bundle.manifest.counts
                == .init(users: training.userCount, items: training.itemCount, interactions: training.count))
        #expect(bundle.manifest.training["als"]?["rank"]?.intValue == 16)
        #expect(bundle.manifest.training["recent_window_seconds"] != nil)

        var options = RetrievalModel.Options()
        options.keepsGraphs = true
        let model = try RetrievalModel(bundle: bundle, options: options)
        for source in ["als", "spectral", "item_to_item"] { #expect(bundle.has(source)) }
        #expect(model.als?.index.graph != nil && model.spectral?.index.graph != nil)
        #expect(model.mix == TrainedSample.plan.defaultMix(hasTimes: true))
        for user in 0..<UInt32(training.userCount) {
            #expect(model.users.name(user) == training.users.string(user))
            #expect(Array(model.users.history(of: user)) == Array(training.itemRows[training.range(of: Int(user))]))
        }
        let counts = training.itemCounts()
        for item in 0..<UInt32(training.itemCount) {
            let id = training.items.string(item)
            #expect(model.items.name(item) == id && model.items.interactions(item) == UInt64(counts[Int(item)]))
            #expect(model.items.title(item) == sample.attributes[id]?.title)
            #expect(Set(model.items.tags(item)) == Set(sample.attributes[id]?.tags ?? []))
        }
        #expect(model.items.recentOrder.count < model.items.count)
    }

    @Test func `A bundle's factors can be held in half precision, and searches are exact for the rounded ones`() throws
    {
        let sample = try TrainedSample()
        let bundle = try Bundle(opening: sample.bundlePath)
        var options = RetrievalModel.Options(itemRows: .f16)
        options.keepsGraphs = true
        let model = try RetrievalModel(bundle: bundle, options: options)
        let wide = try RetrievalModel(bundle: bundle, options: RetrievalModel.Options(index: .scan))
        for (factors, floats) in [(model.als, wide.als), (model.spectral, wide.spectral)] {
            let (factors, floats) = (try #require(factors), try #require(floats))
            #expect(factors.rows.precision == .f16 && floats.rows.precision == .f32)
            #expect(factors.index.graph != nil)
            let scratch = SearchScratch()
            let byProduct = try ExactIndex(factors.rows, metric: .innerProduct)
            let byAngle = try ExactIndex(factors.rows, metric: .cosine)
            for row in stride(from: 0, to: factors.model.itemCount, by: 7) {
                // The file's own floats can still be read.
                let query = Array(factors.model.itemFactors.row(row))
                #expect(query == Array(floats.model.itemFactors.row(row)))
                #expect(try factors.index.scan.search(query, k: 20) == byProduct.search(query, k: 20))
                #expect(try factors.similar.search(query, k: 20) == byAngle.search(query, k: 20))
                var (half, full): ([ScoredRow], [ScoredRow]) = ([], [])
                try factors.similar.search(like: row, k: 20, scratch: scratch, into: &half)
                try floats.similar.search(like: row, k: 20, scratch: scratch, into: &full)
                #expect(zip(half, full).allSatisfy { abs($0.score - $1.score) < 2e-3 })
            }
        }
    }

    @Test func `A bundle's graph is walked by what the options say, and answers with true scores`() throws {
        let sample = try TrainedSample()
        let bundle = try Bundle(opening: sample.bundlePath)
        for (itemRows, graphRows, expected): (RowPrecision, GraphRows, GraphRows) in [
            (.f32, .int8, .int8), (.f16, .int8, .int8), (.f32, .auto, .f16), (.f32, .rows, .rows), (.f16, .f16, .rows),
        ] {
            var options = RetrievalModel.Options(index: .hnsw, itemRows: itemRows, graphRows: graphRows)
            options.keepsGraphs = true
            let factors = try #require(try RetrievalModel(bundle: bundle, options: options).als)
            #expect(factors.index.graph?.graphRows == expected && factors.index.planner.graphRows == expected)
            let exact = try ExactIndex(factors.rows, metric: .innerProduct)
            let query = Array(factors.model.itemFactors.row(3))
            let scores = Dictionary(
                uniqueKeysWithValues: try exact.search(query, k: exact.rowCount).map { ($0.row, $0.score) })
            let found = try factors.index.search(query, k: 10)
            #expect(found.count == 10 && found.allSatisfy { scores[$0.row] == $0.score })
        }
    }

    @Test func `The same data in another order and on more threads gives the same factors`() throws {
        let sample = try TrainedSample()
        var random = SplitMix64(seed: 2)
        var lines = try String(contentsOfFile: sample.folder.path + "/ratings.csv", encoding: .utf8)
            .split(separator: "\n").map(String.init)
        let header = lines.removeFirst()
        lines.shuffle(using: &random)
        let other = try ScratchFolder()
        let shuffled = try imported(other.write("ratings.csv", ([header] + lines).joined(separator: "\n")))
        var plan = TrainedSample.plan
        plan.threads = 3
        try Trainer(plan).train(
            shuffled.split(.random, share: 0.2, seed: 1).training, attributes: sample.attributes,
            into: BundleWriter(destination: other.path + "/bundle"))
        for file in ["users", "items", "als", "spectral", "item_to_item"] {
            let name = "/bundle/\(file).safetensors"
            #expect(try readBytes(sample.folder.path + name) == readBytes(other.path + name), "\(file)")
        }
    }

    @Test func `A training that is stopped leaves nothing behind`() throws {
        let sample = try TrainedSample()
        let folder = try ScratchFolder()
        let cancellation = Cancellation()
        let trainer = Trainer(TrainedSample.plan, cancellation: cancellation) { event in
            if case .progress(step: "als", _, _) = event { cancellation.cancel() }
        }
        #expect(throws: CancellationError.self) {
            try trainer.train(
                sample.interactions, attributes: ItemAttributes(),
                into: BundleWriter(destination: folder.path + "/bundle"))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    @Test func `A plan without factors still gives a bundle that can be served`() throws {
        let sample = try TrainedSample()
        var plan = TrainedSample.plan
        plan.als = nil
        plan.spectral = nil
        let path = sample.folder.path + "/small"
        try Trainer(plan).train(
            sample.interactions, attributes: ItemAttributes(), into: BundleWriter(destination: path))
        let model = try RetrievalModel(bundle: Bundle(opening: path))
        #expect(
            model.als == nil && model.has(.itemToItem)
                && model.mix.sources.map(\.source) == [.itemToItem, .popular, .recent])
    }

    @Test func `Data without times has no window of recent popularity to tell of`() throws {
        let folder = try ScratchFolder()
        let lines = (0..<200).map { "u\($0 % 20),i\($0 * 7 % 30)\n" }.joined()
        let interactions = try imported(try folder.write("pairs.csv", lines))
        var plan = TrainedSample.plan
        plan.als = nil
        plan.spectral = nil
        let manifest = try Trainer(plan).train(
            interactions, attributes: ItemAttributes(), into: BundleWriter(destination: folder.path + "/bundle"))
        #expect(manifest.training["recent_window_seconds"] == nil && manifest.training["seed"] != nil)
    }

    @Test func `Made-up factors of a given size are a sound bundle`() throws {
        let folder = try ScratchFolder()
        let shape = SyntheticBundle(users: 500, items: 400, rank: 16, seed: 3, threads: 2)
        try shape.write(into: BundleWriter(destination: folder.path + "/a"))
        try shape.write(into: BundleWriter(destination: folder.path + "/b"))
        let model = try RetrievalModel(bundle: Bundle(opening: folder.path + "/a"))
        #expect(model.users.count == 500 && model.items.count == 400 && model.als?.model.rank == 16)
        #expect(model.users.row(of: "u0000001") != nil && model.items.name(0) == "i000001")
        #expect(abs(model.users.interactionCount - 10_000) < 1_000)
        #expect(Array(model.items.popularOrder) == Array(0..<400))
        for file in ["users", "items", "als"] {
            #expect(
                try readBytes(folder.path + "/a/\(file).safetensors")
                    == readBytes(folder.path + "/b/\(file).safetensors"))
        }
    }
}
