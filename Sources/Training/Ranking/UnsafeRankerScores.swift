import CandidateRanking
import Features
import RankingModels
import VectorMath

/// What a ranker of any kind gives whole sets of rows.
package enum RankerScores {
    /// The scores of all rows, by several threads.
    package static func all(_ model: RankerModel, _ rows: FeatureRows, threads: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: rows.count) { buffer, count in
            count = rows.count
            guard let base = buffer.baseAddress else { return }
            // One scratch for a run: rows are many times what a scratch costs.
            Parallel.forEach(count: rows.count, grain: 1 << 14, threads: threads) { range in
                model.score(rows, range, RankerScratch(wholeRowsOf: model), into: base + range.lowerBound)
            }
        }
    }
}

extension NetworkFit {
    /// The logits of all rows, by several threads.
    package static func scores(_ network: Network, _ rows: FeatureRows, threads: Int) -> [Float] {
        RankerScores.all(.network(network), rows, threads: threads)
    }
}
