import VectorMath

/// What the pages before this one showed: some rows, and all candidates down to one.
///
/// A re-ranked page is not a run of the order by score, so a cursor names the rows that were shown. It has room for
/// `rowsMax`; beyond them the next page begins after the lowest candidate shown so far, and what was passed over before
/// that is not shown.
package struct ShownItems: Sendable, Equatable {
    package static let rowsMax = 1000

    /// Candidates down to this one, in the order of falling score and rising row, count as shown.
    package private(set) var end: ScoredRow?
    /// Ascending.
    package private(set) var rows: [UInt32]
    private var set: Set<UInt32>

    /// - Parameter rows: In any order; at most `rowsMax`.
    package init(end: ScoredRow? = nil, rows: [UInt32] = []) {
        self.end = end
        set = Set(rows)
        self.rows = set.sorted()
    }

    package func contains(_ row: UInt32) -> Bool { !set.isEmpty && set.contains(row) }

    /// Whether a candidate was shown, or counts as if it were.
    func contains(_ row: UInt32, score: Float) -> Bool {
        if let end, score > end.score || (score == end.score && row <= end.row) { return true }
        return contains(row)
    }

    /// Adds the rows of a page.
    ///
    /// - Parameter score: The boosted score of a row; nil for one that is no candidate.
    package mutating func add(_ page: [UInt32], score: (UInt32) -> Float?) {
        var all = set.union(page)
        if all.count > Self.rowsMax {
            for row in all {
                guard let score = score(row) else { continue }
                // The lowest of them.
                if let end, score > end.score || (score == end.score && row <= end.row) { continue }
                end = ScoredRow(row: row, score: score)
            }
            // Pinned items that no source brought stay, to be left out where popular items fill up.
            all = all.filter { score($0) == nil }
        }
        self = ShownItems(end: end, rows: Array(all.sorted().prefix(Self.rowsMax)))
    }
}

extension ShownItems {
    /// What comes after everything: nothing counts as shown but the rows.
    private static let noEnd = ScoredRow(row: 0, score: .greatestFiniteMagnitude)

    /// What the pages before a cursor showed; nil: nothing.
    package init(after cursor: PageCursor?) {
        guard let cursor else {
            self.init()
            return
        }
        let end = ScoredRow(row: cursor.row, score: cursor.score)
        let ends = cursor.pool == .candidates && end.score != Self.noEnd.score
        self.init(end: ends ? end : nil, rows: cursor.shownRows ?? [])
    }

    /// How a cursor says where the shown candidates end.
    package var cursorEnd: ScoredRow { end ?? Self.noEnd }

    /// Adds the rows of a page that was made of `candidates`.
    mutating func add(_ page: [UInt32], among candidates: [ScoredRow], _ reranker: Reranker) {
        guard rows.count + page.count > Self.rowsMax else {
            add(page) { _ in nil }
            return
        }
        let scores = Dictionary(
            reranker.boosted(candidates).map { ($0.row, $0.score) }, uniquingKeysWith: { first, _ in first })
        add(page) { scores[$0] }
    }
}
