import Foundation
import Retrieval
import TestSupport
import Testing

@testable import Training
@testable import martlet

@Suite("Words of a tuning", .ownThreads)
struct TuningWordsTests {
    private func outcome(_ trials: [(change: String, ndcg: Double, isKept: Bool)]) -> Tuner.Outcome {
        var plan = TrainingPlan()
        plan.mix = RetrievalMix(
            sources: [
                .init(source: .itemToItem, limit: 400, weight: 1), .init(source: .als, limit: 400, weight: 0.15),
            ], normalisation: .zscore)
        let trials = trials.enumerated().map { number, trial in
            Tuner.Trial(
                number: number, change: trial.change, ndcg: trial.ndcg, recall: 0.2, isKept: trial.isKept, seconds: 1)
        }
        let best = trials.filter(\.isKept).map(\.ndcg).max() ?? 0
        return Tuner.Outcome(plan: plan, trials: trials, ndcg: best, recall: 0.2, users: 600)
    }

    private let tune = TuningWords(k: 20, source: "a random tenth of the input", triesSettings: true)

    @Test("the opening says until when, and what comes on top")
    func opening() throws {
        let zone = try #require(TimeZone(secondsFromGMT: 0))
        let text = tune.opening(
            budget: .seconds(600), now: Date(timeIntervalSince1970: 3600), timeZone: zone)
        #expect(text.hasPrefix("tune: trials until 01:10:00 (10 min 00 s;"))
        #expect(text.contains("a random tenth of the input") && text.hasSuffix("the final training comes on top"))
    }

    @Test("the summary names what was chosen, the mix and the gain")
    func chosen() {
        let text = tune.summary(
            outcome([
                ("your settings", 0.1322, true), ("als.rank 128", 0.133, true),
                ("item_to_item.low_pass 0.2", 0.13, false),
                ("als.rank 256", 0.1335, true),
            ]))
        #expect(
            text.hasPrefix("ndcg@20 0.1335, +1.0 % over the first trial, recall@20 0.2000 for 600 users of a random"))
        #expect(text.contains("4 trials, chosen: als.rank 256;"))
        #expect(text.contains("mix: item_to_item 1, als 0.15"))
        #expect(
            tune.summary(outcome([("your settings", 0.1, true), ("als.rank 8", 0.09, false)])).contains(
                "+0.0 % over the first trial"))
    }

    @Test("a budget for one trial says so")
    func oneTrial() {
        let text = tune.summary(outcome([("your settings", 0.1, true)]))
        #expect(text.contains("--tune-minutes left no time for a second trial, so your settings stay"))
        #expect(!text.contains("over the first trial"))
    }

    @Test("weighing the sources alone is not called a tuning")
    func mixOnly() {
        let words = TuningWords(k: 20, source: "valid.csv", triesSettings: false)
        let texts = [words.label, words.opening(budget: .zero, now: Date()), words.summary(outcome([("", 0.1, true)]))]
        #expect(words.label == "mix" && texts[1].contains("weighs the sources by valid.csv"))
        #expect(texts.allSatisfy { !$0.contains("tun") && !$0.contains("trial") })
    }
}
