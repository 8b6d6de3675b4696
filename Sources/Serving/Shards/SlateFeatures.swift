import CandidateRanking
import VectorMath

/// What a slate's explanation tells of the ranker: for the shown items that it ranked, the values and contributions of its
/// features. Found out in short steps, as `FeatureContributions` takes them.
package struct SlateFeatures: Sendable, Equatable {
    /// Values of all items together; with more features fewer items are told of, the first ones of the page.
    package static let cellsMax = 16_384

    package var features: [String] = []
    /// Indexes into the slate.
    package var items: [Int] = []
    /// Shape `[items, features]`, as in `FeatureContributions`.
    package var values: [Float] = []
    package var contributions: [Float] = []
}

/// The work on `SlateFeatures`; holds a copy of the shown items' rows.
struct SlateFeatureRun {
    private let work: FeatureContributions
    private let items: [Int]

    /// - Parameters:
    ///   - ranked: The candidates in the order of the scorer's rows.
    ///   - scorer: Holds whole rows of them.
    /// - Returns: Nil where no shown item was ranked, or there are no rows.
    init?(_ shown: [SlateItem], ranked: some Collection<ScoredRow>, _ scorer: CandidateScorer) {
        guard scorer.features.rows.count == ranked.count else { return nil }
        var places: [UInt32: Int] = [:]
        for (place, candidate) in ranked.enumerated() { places[candidate.row] = place }
        let width = max(FeatureContributions.names(of: scorer.ranker).count, 1)
        let found = shown.indices.filter { places[shown[$0].row] != nil }.prefix(SlateFeatures.cellsMax / width)
        guard !found.isEmpty else { return nil }
        items = Array(found)
        work = FeatureContributions(
            scorer.ranker, scorer.features.rows, items.compactMap { places[shown[$0].row] })
    }

    /// Takes the next step; what was found after the last.
    func step() -> SlateFeatures? {
        guard work.step() else { return nil }
        return SlateFeatures(
            features: work.names, items: items, values: work.values, contributions: work.contributions)
    }
}
