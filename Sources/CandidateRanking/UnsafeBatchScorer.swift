import Features
import RankingModels

/// Scores rows of several requests in one call of the ranker. One for each shard and generation.
///
/// A batch costs a network's weights once, however many rows it has. The result of a row does not depend on the rows
/// beside it, so a request gets the same scores alone and in company, bit for bit.
package final class BatchScorer {
    package let ranker: CandidateRanker
    private let rows: FeatureRows
    private let scratch: RankerScratch
    private var logits: UnsafeMutablePointer<Float>
    private var capacity = 256

    /// Which rows of which request.
    package struct Part {
        package var scorer: CandidateScorer
        /// The next ones of the request that are not scored.
        package var rows: Range<Int>

        package init(scorer: CandidateScorer, rows: Range<Int>) {
            self.scorer = scorer
            self.rows = rows
        }
    }

    package init(_ ranker: CandidateRanker) {
        self.ranker = ranker
        rows = FeatureRows(ranker.plan.layout, capacity: capacity)
        scratch = RankerScratch(ranker)
        logits = .allocate(capacity: capacity)
    }

    deinit { logits.deallocate() }

    /// The place of one request's candidates; works with this scorer's scratch.
    package func makeScorer() -> CandidateScorer { CandidateScorer(ranker, scratch: scratch) }

    /// Scores the parts of a batch.
    ///
    /// - Complexity: one call of the ranker; rows of one request alone are not copied.
    package func score(_ parts: [Part]) {
        guard parts.count != 1 else { return parts[0].scorer.step(rows: parts[0].rows.count) }
        for part in parts { precondition(part.scorer.ranker === ranker, "candidates of another ranker") }
        if case .parts(let batch) = scratch { return batch.score(parts) }
        rows.removeAll()
        for part in parts {
            for row in part.rows { rows.append(copying: row, of: part.scorer.features.rows) }
        }
        if rows.count > capacity {
            logits.deallocate()
            capacity = rows.count * 2
            logits = .allocate(capacity: capacity)
        }
        ranker.model.score(rows, 0..<rows.count, scratch, into: logits)
        var first = 0
        for part in parts {
            part.scorer.take(logits + first, part.rows)
            first += part.rows.count
        }
    }
}
