import Features
import RankingModels
import VectorMath

extension NetworkFit {
    /// The logits of all rows, by several threads.
    package static func scores(_ network: Network, _ rows: FeatureRows, threads: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: rows.count) { buffer, count in
            count = rows.count
            guard let base = buffer.baseAddress else { return }
            // One scratch for a run: rows are many times what a scratch costs.
            Parallel.forEach(count: rows.count, grain: 1 << 14, threads: threads) { range in
                network.score(rows, range, NetworkScratch(network), into: base + range.lowerBound)
            }
        }
    }
}
