import Artifacts
import CandidateRanking
import RankingModels
import Retrieval

/// What `martlet model inspect` warns of in a bundle's ranker.
struct RankerNote {
    /// What of the bundle's own mix is not as the ranker was fitted with.
    let warnings: [String]

    /// Nil where the bundle has no ranker; a faulty one is the load's to tell of.
    init?(bundle path: String) throws {
        let bundle = try Bundle(opening: path, verify: .sizes)
        guard bundle.has(RankerArtifact.fileName) else { return nil }
        let ranker = try RankerArtifact(bundle.file(RankerArtifact.fileName))
        let mix = try RetrievalModel.mix(of: bundle)
        warnings = RankerFitness(ranker).differences(mix: mix, count: nil).map { "the bundle's ranker: \($0)" }
    }
}
