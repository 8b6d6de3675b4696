import Features
import RankingModels
import Retrieval
import VectorMath

/// Whether items' parts of the first layer are held, and why.
package struct ItemPartsFinding: Sendable, Encodable, Equatable {
    package enum Kind: String, Sendable, Encodable {
        case f32, f16
        /// Whole rows are computed.
        case none
    }

    package var kind = Kind.none
    package var bytes = 0
    /// For people.
    package var reason = "not looked for"
    /// Processor time of a user's candidates by whole rows over that with parts; nil where it was not measured.
    package var gain: Double?
    /// The share of pairs of a user's candidates that stand the other way round than in whole rows of Float32.
    package var orderLoss: Double?

    package init(kind: Kind = .none, bytes: Int = 0, reason: String = "not looked for") {
        self.kind = kind
        self.bytes = bytes
        self.reason = reason
    }
}

extension RankerCalibration {
    /// What whole rows must cost at least beside parts; less is not worth the memory.
    static let partsGainMin = 1.1

    /// Cuts a network where that pays, fits into `itemBytesMax` and hardly changes anybody's order.
    ///
    /// - Parameters:
    ///   - whole: Computes whole rows.
    ///   - network: Its network.
    ///   - weights: Those that the network was made of.
    ///   - exact: Logits of the samples' candidates in whole rows of Float32.
    ///   - orderLoss: Of the network in whole rows.
    func cut(
        _ whole: CandidateRanker, _ network: Network, _ weights: NetworkWeights, _ samples: [RankingRequest],
        exact: [[Float]], orderLoss wholeLoss: Double
    ) -> CandidateRanker {
        let (plan, fitted) = (whole.plan, whole.fitness.fitted)
        func refused(_ reason: String, _ finding: ItemPartsFinding = .init()) -> CandidateRanker {
            var finding = finding
            (finding.kind, finding.bytes, finding.reason) = (.none, 0, reason)
            return CandidateRanker(plan: plan, network: network, fitted: fitted, itemParts: finding)
        }
        guard itemBytesMax > 0 else { return refused("ranker_item_bytes is 0") }
        guard SplitNetwork.isPossible(network.shape, plan.layout),
            plan.schema.fields.allSatisfy({ $0.side == $0.source.side })
        else { return refused("the network has no first layer that can be cut by side") }
        guard !samples.isEmpty else { return refused("no user has candidates to measure with") }
        let count = plan.items.count
        func bytes(_ isHalf: Bool) -> Int { SplitNetwork.byteCount(network.shape, itemCount: count, isHalf: isHalf) }
        let isHalf = network.precision != .f32 || bytes(false) > itemBytesMax
        guard bytes(isHalf) <= itemBytesMax else {
            return refused("they would take \(bytes(isHalf)) bytes; ranker_item_bytes allows \(itemBytesMax)")
        }
        guard
            let split = SplitNetwork(
                weights, of: network, items: plan.items, isHalf: isHalf, threads: threads ?? Parallel.coreCount)
        else { return refused("the bundle has no items") }
        var finding = ItemPartsFinding(
            kind: isHalf ? .f16 : .f32, bytes: split.byteCount, reason: "cheaper than whole rows")
        let ranker = CandidateRanker(plan: plan, network: network, fitted: fitted, split: split)
        let loss = Self.orderLoss(exact, logits(ranker, samples))
        finding.orderLoss = loss
        guard loss <= max(orderLossMax, wholeLoss) else {
            return refused("with them more of the users' orders would change than may", finding)
        }
        let gain = Self.gain(whole, ranker, samples)
        finding.gain = gain
        guard forcesItemParts || gain >= Self.partsGainMin else {
            return refused("whole rows cost no more, as measured at load", finding)
        }
        return CandidateRanker(
            plan: plan, network: network, fitted: fitted, split: split, itemParts: finding)
    }

    /// Processor time of one ranker over another's, features included; the least of some turns each.
    private static func gain(_ one: CandidateRanker, _ other: CandidateRanker, _ samples: [RankingRequest]) -> Double {
        let scorers = [CandidateScorer(one), CandidateScorer(other)]
        var least = [UInt64](repeating: .max, count: 2)
        for _ in 0..<5 {
            for (place, scorer) in scorers.enumerated() {
                let started = ThreadClock.nanoseconds()
                for sample in samples {
                    scorer.begin(sample)
                    while !scorer.step() {}
                }
                least[place] = min(least[place], ThreadClock.nanoseconds() - started)
            }
        }
        return Double(least[0]) / Double(max(least[1], 1))
    }
}
