import Retrieval

/// How much is done for a slate. A node with more to do than time gives simpler answers before it gives none.
///
/// | level | candidates | of them ranked |
/// |---|---|---|
/// | 0 | all | all |
/// | 1 | all | half |
/// | 2 | half | a quarter |
/// | 3 | half | none: the order is retrieval's |
/// | 4 | a quarter | none |
///
/// A source never brings fewer than two slates' worth of candidates, and the ranker never sees fewer than one.
package enum QualityLevel: UInt8, CaseIterable, Comparable, Sendable {
    case full = 0
    case halfRanked = 1
    case quarterRanked = 2
    case unranked = 3
    case least = 4

    package static func < (a: QualityLevel, b: QualityLevel) -> Bool { a.rawValue < b.rawValue }

    /// Of a quality factor from 0.2 to 1.
    package init(quality: Double) {
        switch quality {
        case 0.9...: self = .full
        case 0.7...: self = .halfRanked
        case 0.5...: self = .quarterRanked
        case 0.3...: self = .unranked
        default: self = .least
        }
    }

    /// Of the candidates that each source is asked for.
    var candidateShare: Double {
        switch self {
        case .full, .halfRanked: 1
        case .quarterRanked, .unranked: 0.5
        case .least: 0.25
        }
    }

    /// Of the candidates that the ranker scores.
    var rankedShare: Double {
        switch self {
        case .full: 1
        case .halfRanked: 0.5
        case .quarterRanked: 0.25
        case .unranked, .least: 0
        }
    }

    /// What the sources are asked for where a slate has `k` items.
    func reduced(_ mix: RetrievalMix, k: Int) -> RetrievalMix {
        guard candidateShare < 1 else { return mix }
        var mix = mix
        for place in mix.sources.indices {
            let limit = mix.sources[place].limit
            mix.sources[place].limit = min(limit, max(2 * k, Int(Double(limit) * candidateShare)))
        }
        return mix
    }

    /// How many of `count` candidates the ranker is to score where a slate has `k` items.
    func reduced(ranked count: Int, k: Int) -> Int {
        rankedShare == 0 ? 0 : min(count, max(k, Int(Double(count) * rankedShare)))
    }
}
