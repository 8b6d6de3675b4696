import Artifacts
import Features
import RankingModels
import Retrieval
import TestSupport
import Testing

@testable import Training

@Suite("A ranker and what was passed over", .ownThreads) struct ShownItemsFitTests {
    /// How many examples a fit learnt from, and its weights.
    private static func fit(_ sample: TrainedSample, _ shown: ShownItems?) throws -> (
        examples: Int, weights: NetworkWeights
    ) {
        var network = NetworkConfiguration(
            shape: NetworkShape(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false))
        network.epochs = 2
        network.seed = 3
        var plan = RankerPlan(network: network)
        plan.negatives = 1
        plan.shown = shown
        let model = try RetrievalModel(bundle: Bundle(opening: sample.bundlePath))
        let (ranker, report) = try RankerFit(plan, k: 10, threads: 1).fit(
            RankerWindow(model: model, later: sample.split.test, isPast: false), clock: { 0 })
        return (report.examples, ranker.weights)
    }

    @Test("everything that was passed over and is a candidate is learnt from; nothing shown changes nothing")
    func shown() throws {
        let sample = try TrainedSample()
        var none = ImpressionCollector(window: 1000)
        none.shown(event("nobody", "nothing", "impression", 0))
        none.notice(1_700_001_000_000)
        var all = ImpressionCollector(window: 1000)
        for user in 0..<sample.interactions.userCount {
            for item in 0..<sample.interactions.itemCount {
                all.shown(
                    event(
                        sample.interactions.users.string(UInt32(user)), sample.interactions.items.string(UInt32(item)),
                        "impression", 0))
            }
        }
        all.notice(1_700_001_000_000)
        let without = try Self.fit(sample, nil)
        let withNone = try Self.fit(sample, none.finish(until: nil))
        #expect(withNone.examples == without.examples && withNone.weights == without.weights)
        let with = try Self.fit(sample, all.finish(until: nil))
        // One negative for each choice, or every candidate that was not chosen.
        #expect(with.examples > without.examples * 3, "\(with.examples), \(without.examples)")
        let again = try Self.fit(sample, all.finish(until: nil))
        #expect(again.examples == with.examples && again.weights == with.weights)
    }
}
