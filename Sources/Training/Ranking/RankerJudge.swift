import CandidateRanking
import Features
import RankingModels
import VectorMath

/// Compares a ranker's order of users' candidates with retrieval's, by what the users went on to choose.
struct RankerJudge {
    let examples: CandidateExamples
    let k: Int

    private struct Part {
        var retrieval: RankingMetrics
        var ranked: RankingMetrics
        var differences: [Double] = []
        var logits: [Float] = []
        var labels: [Float] = []
    }

    /// - Complexity: O(cases * candidates) rows through the network or trees.
    func judge(_ cases: [CandidateExamples.Case], _ ranker: CandidateRanker) throws -> RankerReport {
        let (model, k) = (examples.model, k)
        let counts = (0..<UInt32(model.items.count)).map { UInt32(clamping: model.items.interactions($0)) }
        let empty = RankingMetrics(k: k, itemCounts: counts, trainingUsers: model.users.count)
        let scores = ranker.model
        let parts = try examples.forEach(cases, ranker.plan, make: { Part(retrieval: empty, ranked: empty) }) {
            part, one, request, features in
            let relevant = Set(one.relevant)
            let found = RankerScores.all(scores, features.rows, threads: 1)
            let order = request.candidates.indices.sorted {
                found[$0] == found[$1] ? $0 < $1 : found[$0] > found[$1]
            }
            let before = part.retrieval.add(ranking: request.candidates.prefix(k).map(\.row), relevant: relevant)
            let after = part.ranked.add(
                ranking: order.prefix(k).map { request.candidates[$0].row }, relevant: relevant)
            part.differences.append(after - before)
            part.logits += found.map(scores.logit)
            part.labels += request.candidates.map { relevant.contains($0.row) ? 1 : 0 }
        }
        var whole = Part(retrieval: empty, ranked: empty)
        for part in parts {
            whole.retrieval.merge(part.retrieval)
            whole.ranked.merge(part.ranked)
            whole.differences += part.differences
            whole.logits += part.logits
            whole.labels += part.labels
        }
        return RankerReport(
            k: k, examples: 0, difference: PairedDifference(whole.differences),
            classification: BinaryMetrics(logits: whole.logits, labels: whole.labels),
            retrieval: whole.retrieval.result(), ranked: whole.ranked.result(),
            givesProbabilities: scores.givesProbabilities)
    }
}
