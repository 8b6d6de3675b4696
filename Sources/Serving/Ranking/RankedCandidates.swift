import NearestNeighbors
import Retrieval
import VectorMath

/// A request's candidates in retrieval's order, those that a ranker can know apart from those that it cannot.
struct RankableCandidates {
    private(set) var known: [ScoredRow] = []
    /// Items beside the model's, with their places among all.
    private(set) var added: [(place: Int, row: UInt32)] = []

    /// - Parameter candidates: In retrieval's order.
    init(_ candidates: [ScoredRow], itemCount: Int) {
        known.reserveCapacity(candidates.count)
        for (place, candidate) in candidates.enumerated() {
            if Int(candidate.row) < itemCount { known.append(candidate) } else { added.append((place, candidate.row)) }
        }
    }
}

/// The order in which a ranker puts a request's candidates, for as many pages as are asked for.
///
/// Candidates past those that are ranked follow in retrieval's order, with scores below the last ranked one. Items that the
/// ranker cannot know keep the places that they had in retrieval's order, with the scores of those before them.
struct RankedCandidates {
    /// Best first, ties by row.
    private(set) var rows: [ScoredRow] = []

    /// Takes the ranker's verdict.
    ///
    /// - Parameters:
    ///   - all: All candidates; the first `count` of those that the ranker knows were ranked.
    ///   - logit: The score of a ranked one, by place.
    /// - Returns: False, and nothing is taken, when a score is not finite.
    mutating func take(_ all: RankableCandidates, ranked count: Int, logit: (Int) -> Float) -> Bool {
        let candidates = all.known
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
        if count < candidates.count {
            let floor = (rows.last?.score ?? 0) - 1
            for candidate in candidates[count...] {
                rows.append(
                    ScoredRow(row: candidate.row, score: floor - (candidates[count].score - candidate.score)))
            }
        }
        insert(all.added)
        return true
    }

    private mutating func insert(_ added: [(place: Int, row: UInt32)]) {
        guard !added.isEmpty else { return }
        for (place, row) in added {
            let place = min(place, rows.count)
            // The score of the one before, where a greater row comes after it, or the next lower one.
            var score = rows.first?.score ?? 0
            if place == 0 {
                // Room for those that come between this one and the first that was ranked.
                for _ in added { score = score.nextUp }
            } else {
                let before = rows[place - 1]
                score = before.row < row ? before.score : before.score.nextDown
            }
            rows.insert(ScoredRow(row: row, score: score), at: place)
        }
        // Pages follow this order, ties included.
        rows.sort { ($1.score, $0.row) < ($0.score, $1.row) }
    }

    /// The best `k` that come after `last` in the order of falling score and rising row.
    func page(_ k: Int, after last: ScoredRow?, among visible: AvailableRows?) -> [ScoredRow] {
        var page: [ScoredRow] = []
        for row in rows where page.count < k {
            if let last, (-row.score, row.row) <= (-last.score, last.row) { continue }
            if let visible, !visible.contains(row.row) { continue }
            page.append(row)
        }
        return page
    }
}
