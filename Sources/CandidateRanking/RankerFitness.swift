import Features
import RankingModels
import Retrieval

/// Whether a mix and a number of candidates are what a ranker was fitted or judged with.
package struct RankerFitness: Sendable {
    /// Nil for a ranker of which nobody knows it.
    package let fitted: FittedCandidates?
    /// Names of the sources that the ranker looks at or was fitted with, in no order that matters.
    private let sources: [String]

    package init(_ ranker: RankerArtifact) { self.init(ranker.candidates, ranker.schema) }

    init(_ fitted: FittedCandidates?, _ schema: FeatureSchema) {
        self.fitted = fitted
        var sources = fitted?.sources ?? []
        for field in schema.fields {
            switch field.source {
            case .sourceScore(let name), .sourceRank(let name): if !sources.contains(name) { sources.append(name) }
            default: break
            }
        }
        self.sources = sources
    }

    /// A number of candidates that is more or less than the fitted one by a greater factor deserves a word.
    private static let factorMax = 2

    /// What of a scenario is so different that the ranker's order may be worse than it was judged to be; a sentence each.
    ///
    /// - Parameter count: Candidates that the scenario ranks; nil: as many as the ranker was fitted with.
    package func differences(mix: RetrievalMix, count: Int?) -> [String] {
        var found: [String] = []
        if let count, let fitted,
            count > fitted.count * Self.factorMax || count * Self.factorMax < fitted.count
        {
            found.append("it ranks \(count) candidates, and the ranker was fitted with \(fitted.count)")
        }
        let names = Set(mix.sources.map(\.source.rawValue))
        let lacking = sources.filter { !names.contains($0) }
        if !lacking.isEmpty {
            found.append(
                "its mix lacks \(lacking.joined(separator: ", ")), with which the ranker was fitted; what it takes of that is missing"
            )
        }
        return found
    }
}
