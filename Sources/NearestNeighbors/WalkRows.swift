import VectorMath

/// What the walks over a graph read of each row.
package enum GraphRows: String, Sendable, Codable, CaseIterable {
    /// 8-bit codes of long rows, else half precision where that gains something, else the rows that searches score by.
    case auto
    /// The rows that searches score by.
    case rows
    /// Half precision.
    case f16
    /// 8-bit codes.
    case int8
}

/// Those rows, where they are not those that searches score by.
enum WalkRows: Sendable {
    case own
    case halves(HalfMatrix)
    case codes(WalkCodes)

    /// From so many dimensions on, walks by codes are the faster ones: below, a row of codes and what goes with them lies on
    /// as many cache lines as one of halves.
    static func codeDimensionsMin(_ metric: SimilarityMetric) -> Int {
        // Halves are not taken for l2 unasked: no common part of the rows is taken off them, and distances among near rows
        // lose what it takes of their bits. So codes are held against floats.
        metric == .l2 ? 64 : 96
    }

    /// What a shortlist by codes must hold of the best among near rows for `auto` to take codes.
    private static let codeRecallMin = 0.99

    /// Takes what is wanted where it can hold the rows: codes, then halves, then the rows themselves.
    ///
    /// Unasked, codes are taken only of rows that they tell apart near enough.
    init(_ wanted: GraphRows, of scorer: RowScorer, over graph: HNSWGraph, threads: Int) {
        let isLong = scorer.dimension >= Self.codeDimensionsMin(scorer.metric)
        let wantsCodes = wanted == .int8 || (wanted == .auto && isLong)
        if wantsCodes, let codes = WalkCodes(scorer, threads: threads),
            wanted == .int8 || CodeTrial(scorer, codes, graph).recall >= Self.codeRecallMin
        {
            self = .codes(codes)
            return
        }
        let wantsHalves = wanted == .f16 || (wanted != .rows && scorer.metric != .l2)
        if wantsHalves, case .floats(let vectors) = scorer.rows, let halves = HalfMatrix(vectors, threads: threads) {
            self = .halves(halves)
            return
        }
        self = .own
    }

    /// What was taken.
    var kind: GraphRows {
        switch self {
        case .own: .rows
        case .halves: .f16
        case .codes: .int8
        }
    }

    /// Of what is taken unasked for inner products, where its values allow it.
    static func byteCount(rowCount: Int, dimension: Int) -> Int {
        dimension >= codeDimensionsMin(.innerProduct)
            ? rowCount * WalkCodes.stride(dimension: dimension)
            : HalfMatrix.byteCount(rowCount: rowCount, columnCount: dimension)
    }

    var byteCount: Int {
        switch self {
        case .own: 0
        case .halves(let halves): halves.byteCount
        case .codes(let codes): codes.byteCount
        }
    }

    /// How many of the best that a walk of the breadth `ef` found are scored again where `count` are wanted: a little more
    /// than those, as rounding may have swapped some at the border, and of codes the more, the more care a search takes. Nil
    /// where the walk's scores are those of the rows.
    func scoredAgain(for count: Int, ef: Int) -> Int? {
        switch self {
        case .own: nil
        case .halves: count + count / 8 + 8
        case .codes: Self.shortlist(for: count, ef: ef)
        }
    }

    /// As many as `scoredAgain` says of codes.
    static func shortlist(for count: Int, ef: Int) -> Int { max(count + count / 8 + 5, ef / 4) }
}

extension WalkCodes {
    /// The codes of a scorer's rows; of the normalised rows for cosine.
    convenience init?(_ scorer: RowScorer, threads: Int) {
        self.init(
            rowCount: scorer.rowCount, dimension: scorer.dimension, isL2: scorer.metric == .l2, threads: threads
        ) { row, room in (scorer.floats(of: row, room), scorer.rowScale.map { $0[row] } ?? 1) }
    }
}
