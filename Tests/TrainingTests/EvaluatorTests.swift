import Artifacts
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Training

@Suite(.ownThreads) struct EvaluatorTests {
    private func evaluator(_ path: String, k: Int, threads: Int = 1) throws -> Evaluator {
        let bundle = try Bundle(opening: path)
        let exact = try RetrievalModel(bundle: bundle, options: RetrievalModel.Options(index: .scan))
        var options = RetrievalModel.Options()
        options.keepsGraphs = true
        return Evaluator(
            served: try RetrievalModel(bundle: bundle, options: options), exact: exact, k: k, threads: threads)
    }

    @Test func `Each source is ranked as a plain program over all items would`() throws {
        let sample = try TrainedSample()
        let report = try evaluator(sample.bundlePath, k: 10).evaluate(sample.split.test, name: "split")
        let model = try RetrievalModel(bundle: Bundle(opening: sample.bundlePath))
        let counts = (0..<UInt32(model.items.count)).map { UInt32(model.items.interactions($0)) }
        var popular = RankingMetrics(k: 10, itemCounts: counts, trainingUsers: model.users.count)
        var als = popular
        var neighbors = popular
        let test = sample.split.test
        for testUser in 0..<test.userCount {
            guard let user = model.users.row(of: test.users.string(UInt32(testUser))) else { continue }
            let history = Set(model.users.history(of: user))
            let relevant = Set(
                test.range(of: testUser).compactMap { model.items.row(of: test.items.string(test.itemRows[$0])) }
            )
            .subtracting(history)
            if relevant.isEmpty { continue }
            func ranking(_ score: (UInt32) -> Float, where isWanted: (UInt32) -> Bool = { _ in true }) -> [UInt32] {
                (0..<UInt32(model.items.count)).filter { !history.contains($0) && isWanted($0) }
                    .map { (score($0), $0) }.sorted { ($1.0, $0.1) < ($0.0, $1.1) }.map(\.1)
            }
            popular.add(ranking: ranking { Float(counts[Int($0)]) }, relevant: relevant)
            let factors = try #require(model.als).model
            var query = [Float](repeating: 0, count: factors.rank)
            query.withUnsafeMutableBufferPointer { factors.userFactor(user, into: $0) }
            als.add(
                ranking: ranking { item in zip(query, factors.itemFactors.row(Int(item))).reduce(0) { $0 + $1.0 * $1.1 }
                },
                relevant: relevant)
            var sums = [Float](repeating: 0, count: model.items.count)
            for item in model.users.history(of: user) {
                let (rows, weights) = try #require(model.neighbors).neighbors(of: item)
                for (row, weight) in zip(rows, weights) { sums[Int(row)] += weight }
            }
            neighbors.add(ranking: ranking({ sums[Int($0)] }, where: { sums[Int($0)] != 0 }), relevant: relevant)
        }
        #expect(report.users == popular.users)
        for (name, oracle) in [("popular", popular), ("als", als), ("item_to_item", neighbors)] {
            let result = try #require(report[name])
            for (ours, theirs) in zip(result.named, oracle.result().named) {
                #expect(
                    abs(ours.value - theirs.value) < 0.002 * max(1, abs(theirs.value)),
                    "\(name) \(ours.name): \(ours.value), \(theirs.value)")
            }
        }
    }

    @Test func `What is served beats what is popular where people have tastes`() throws {
        let sample = try TrainedSample()
        let report = try evaluator(sample.bundlePath, k: 10).evaluate(sample.split.test, name: "split")
        let served = try #require(report["served"]).recall
        let popular = try #require(report["popular"]).recall
        #expect(served > popular * 1.1, "served \(served), popular \(popular)")
        #expect(report.rows.map(\.source) == ["als", "spectral", "item_to_item", "popular", "recent", "served"])
        #expect(report.index.map(\.kind) == ["als", "spectral"])
        for entry in report.index { #expect((entry.recall ?? 0) > 0.95 && entry.queries > 100) }
    }

    @Test func `The number of threads does not change the figures`() throws {
        let sample = try TrainedSample()
        let one = try evaluator(sample.bundlePath, k: 20).evaluate(sample.split.test, name: "split")
        let four = try evaluator(sample.bundlePath, k: 20, threads: 4).evaluate(sample.split.test, name: "split")
        for (a, b) in zip(one.rows, four.rows) {
            for (x, y) in zip(a.result.named, b.result.named) {
                #expect(abs(x.value - y.value) < 1e-9, "\(a.source) \(x.name)")
            }
        }
    }

    @Test func `What cannot be recommended is left out and counted`() throws {
        let sample = try TrainedSample()
        let model = try RetrievalModel(bundle: Bundle(opening: sample.bundlePath))
        let user = model.users.name(0)
        let seen = model.items.name(model.users.history(of: 0)[0])
        let fresh = try #require((0..<UInt32(model.items.count)).first { !model.users.history(of: 0).contains($0) })
        var builder = InteractionBuilder(hasValues: false, hasTimes: false)
        builder.add(user: user, item: seen)
        builder.add(user: user, item: "an item nobody knows")
        builder.add(user: user, item: model.items.name(fresh))
        builder.add(user: "a user nobody knows", item: seen)
        builder.add(user: model.users.name(1), item: "an item nobody knows")
        let report = try evaluator(sample.bundlePath, k: 5).evaluate(builder.finish().interactions, name: "test")
        #expect(report.users == 1 && report.unknownUsers == 1 && report.emptyUsers == 1)
        #expect(report.testInteractions == 4 && report.unknownItems == 2 && report.seenItems == 1)
    }

    @Test func `A test file that fits nothing says why`() throws {
        let sample = try TrainedSample()
        let evaluator = try evaluator(sample.bundlePath, k: 5)
        var strangers = InteractionBuilder(hasValues: false, hasTimes: false)
        strangers.add(user: "x", item: "y")
        let other = strangers.finish().interactions
        #expect(throws: DatasetError.self) { try evaluator.evaluate(other, name: "other.csv") }
        do {
            _ = try evaluator.evaluate(sample.split.training, name: "train.csv")
            Issue.record("the training data were accepted")
        } catch let error as DatasetError {
            #expect(error.message.contains("must not have been trained on"))
        }
    }
}
