import NearestNeighbors
import Retrieval
import VectorMath

/// The order in which a ranker puts a request's candidates, for as many pages as are asked for.
///
/// Candidates past those that are ranked follow in retrieval's order, with scores below the last ranked one.
struct RankedCandidates {
    /// Best first, ties by row.
    private(set) var rows: [ScoredRow] = []

    /// Takes the ranker's verdict.
    ///
    /// - Parameters:
    ///   - candidates: All candidates in retrieval's order; the first `count` were ranked.
    ///   - logit: The score of a ranked one, by place.
    /// - Returns: False, and nothing is taken, when a score is not finite.
    mutating func take(_ candidates: [ScoredRow], ranked count: Int, logit: (Int) -> Float) -> Bool {
        rows.removeAll(keepingCapacity: true)
        for place in 0..<count {
            let score = logit(place)
            guard score.isFinite else {
                rows.removeAll(keepingCapacity: true)
                return false
            }
            rows.append(ScoredRow(row: candidates[place].row, score: score))
        }
        rows.sort { ($1.score, $0.row) < ($0.score, $1.row) }
        guard count < candidates.count else { return true }
        let floor = (rows.last?.score ?? 0) - 1
        for candidate in candidates[count...] {
            rows.append(
                ScoredRow(row: candidate.row, score: floor - (candidates[count].score - candidate.score)))
        }
        return true
    }

    /// The best `k` that come after `last` in the order of falling score and rising row.
    func page(_ k: Int, after last: ScoredRow?, among visible: RowBitmap?) -> [ScoredRow] {
        var page: [ScoredRow] = []
        for row in rows where page.count < k {
            if let last, (-row.score, row.row) <= (-last.score, last.row) { continue }
            if let visible, !visible.contains(row.row) { continue }
            page.append(row)
        }
        return page
    }
}
