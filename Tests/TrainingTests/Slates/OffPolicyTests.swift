import EventLog
import Features
import Foundation
import RankingModels
import TestSupport
import Testing

@testable import Training

@Suite struct OffPolicyTests {
    /// Clicks of ten items under a policy that draws one evenly with probability 0.4 and else takes the first.
    @Test("intervals cover the truth of a known policy for most seeds, and self-normalised ones are narrower")
    func coverage() throws {
        var (coveredIPS, coveredSNIPS, coveredGain, narrower) = (0, 0, 0, 0)
        let runs = 200
        let rates = (0..<10).map { 0.05 + 0.03 * Double($0) }
        for seed in 0..<UInt64(runs) {
            var random = SeededGenerator(seed: seed)
            var builder = OffPolicyEstimate.Builder(clip: .infinity)
            var truth = 0.0
            // The other policy takes item 7 on even slates, 3 on odd ones.
            for number in 0..<2000 {
                let target = number % 2 == 0 ? 7 : 3
                truth += rates[target]
                let item = Double.random(in: 0..<1, using: &random) < 0.4 ? Int.random(in: 0..<10, using: &random) : 0
                let propensity = 0.04 + (item == 0 ? 0.6 : 0)
                let reward = Double.random(in: 0..<1, using: &random) < rates[item] ? 1.0 : 0
                builder.add([(reward: reward, propensity: propensity, target: item == target ? 1 : 0)])
            }
            truth /= 2000
            let found = try #require(builder.finish())
            if (found.ips.low...found.ips.high).contains(truth) { coveredIPS += 1 }
            if (found.snips.low...found.snips.high).contains(truth) { coveredSNIPS += 1 }
            let loggedTruth = 0.6 * rates[0] + 0.4 * rates.reduce(0, +) / 10
            if (found.gain.low...found.gain.high).contains(truth - loggedTruth) { coveredGain += 1 }
            if found.snips.standardError <= found.ips.standardError { narrower += 1 }
            #expect(abs(found.effectivePlaces - Double(found.matching)) < 1e-6)
        }
        // 95 % less what chance does to 200 runs, and what a normal interval is short of.
        #expect(
            coveredIPS >= 175 && coveredSNIPS >= 175 && coveredGain >= 175,
            "\(coveredIPS) \(coveredSNIPS) \(coveredGain)")
        #expect(narrower > 150, "\(narrower)")
    }

    @Test("without a drawn place, or without agreement, there is no estimate; weights are cut and counted")
    func edges() throws {
        #expect(OffPolicyEstimate.Builder(clip: 10).finish() == nil)
        var none = OffPolicyEstimate.Builder(clip: 10)
        none.add([(reward: 1, propensity: 0.5, target: 0)])
        #expect(none.finish() == nil)
        var cut = OffPolicyEstimate.Builder(clip: 10)
        for _ in 0..<4 { cut.add([(reward: 1, propensity: 0.01, target: 1), (reward: 0, propensity: 0.5, target: 1)]) }
        let found = try #require(cut.finish())
        #expect(found.clipped == 4 && found.matching == 8 && found.places == 8 && found.slates == 4)
        #expect(abs(found.ips.mean - 5) < 1e-9 && abs(found.snips.mean - 40.0 / 48) < 1e-9)
        #expect(abs(found.effectivePlaces - 48.0 * 48 / (4 * 100 + 4 * 4)) < 1e-9)
    }

    private let schema = FeatureSchema(fields: [
        FeatureField("n", from: .retrievalScore, .dense(.none, missing: 0))
    ])

    /// A ranker whose score is its only number times `slope`.
    private func ranker(slope: Float) throws -> RankerArtifact {
        let layout = FeatureLayout(schema)
        let shape = NetworkShape(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false)
        let data = LabelledRows(layout)
        for value in 0..<40 {
            data.append(label: slope > 0 ? value >= 20 : value < 20) { rows, row in
                rows.set(row, dense: 0, to: Float(value) / 20 - 1)
            }
        }
        var network = NetworkConfiguration(shape: shape)
        network.epochs = 200
        network.learningRate = 0.05
        let fit = try NetworkFit.fit(network, data, validation: data, threads: 1, clock: { 0 })
        return .network(try NetworkRanker(schema: schema, weights: fit.weights, path: "test"))
    }

    /// A node's epsilon-greedy slates of four shown items out of six, whose clicks grow with the item's number.
    private func slates(_ count: Int, epsilon: Double, _ random: inout SeededGenerator) -> [JoinedSlate] {
        (0..<count).map { number in
            let values = (0..<6).map { _ in Float.random(in: -1...1, using: &random) }
            var open = Array(0..<6)
            var (shown, propensities, answers) = ([Int](), [Float](), [Float]())
            for _ in 0..<4 {
                let isDrawn = Double.random(in: 0..<1, using: &random) < epsilon
                let among = min(open.count, 3)
                let pick = isDrawn ? Int.random(in: 0..<among, using: &random) : 0
                propensities.append(Float(epsilon / Double(among) + (pick == 0 ? 1 - epsilon : 0)))
                shown.append(open.remove(at: pick))
                let rate = Double(values[shown[shown.count - 1]] + 1) / 4
                answers.append(Double.random(in: 0..<1, using: &random) < rate ? 1 : 0)
            }
            var made = slate(
                "r\(number)", shown: shown.map { "i\($0)" }, others: open.map { "i\($0)" },
                numbers: (shown + open).map { values[$0] }, schema: schema.hash)
            made.places = (shown + open).map { UInt32($0 + 1) }
            made.propensities = propensities
            made.drawnAmong = epsilon > 0 ? 3 : 0
            return JoinedSlate(slate: made, answers: answers, isOpen: false)
        }
    }

    @Test(
        "a ranker that orders by what users click is estimated to earn more, its opposite less",
        arguments: [3 as UInt64, 4])
    func rankers(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let slates = slates(3000, epsilon: 0.5, &random)
        var (good, bad) = (
            SlateEvaluation(try ranker(slope: 1), k: 4, clip: 100),
            SlateEvaluation(try ranker(slope: -1), k: 4, clip: 100)
        )
        for slate in slates {
            good.add(slate)
            bad.add(slate)
        }
        let (up, down) = (good.finish(SlateJoinReport()), bad.finish(SlateJoinReport()))
        let (gain, loss) = (try #require(up.estimate), try #require(down.estimate))
        #expect(gain.gain.low > 0 && loss.gain.high < 0, "\(gain.gain) \(loss.gain)")
        #expect(up.difference.mean > 0 && down.difference.mean < 0)
        #expect(up.unknownPools == 0 && up.drawnPlaces == 12_000 && up.slates == 3000)
        // The best of three even draws from -1 to 1 is 0.5 on average, clicked (0.5 + 1) / 4 of the time, at every place.
        #expect((0.33...0.42).contains(gain.snips.mean), "\(gain.snips)")
    }

    @Test("slates that left nothing to chance give an order and no estimate; those of another schema nothing at all")
    func deterministic() throws {
        var random = SeededGenerator(seed: 9)
        var evaluation = SlateEvaluation(try ranker(slope: 1), k: 4, clip: 100)
        for slate in slates(50, epsilon: 0, &random) {
            evaluation.add(slate)
            var other = slate
            other.slate.features?.schema = "other"
            evaluation.add(other)
        }
        let report = evaluation.finish(SlateJoinReport())
        #expect(report.estimate == nil && report.drawnPlaces == 0 && report.slates == 50 && report.otherSchema == 50)
        #expect(report.answered > 0 && report.places == 200)
    }
}
