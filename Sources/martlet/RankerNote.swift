import Artifacts
import CandidateRanking
import RankingModels
import Retrieval
import Vocabulary

/// What `martlet model inspect` says of a bundle's ranker.
struct RankerNote {
    let line: String
    let json: JSONValue
    /// What of the bundle's own mix is not as the ranker was fitted with.
    let warnings: [String]

    /// Nil where the bundle has no ranker; a faulty one is the load's to tell of.
    init?(bundle path: String) throws {
        let bundle = try Bundle(opening: path, verify: .sizes)
        guard bundle.has(NetworkRanker.fileName) else { return nil }
        let ranker = try NetworkRanker(bundle.file(NetworkRanker.fileName))
        var members: [String: JSONValue] = ["network": .string(ranker.words)]
        if let fitted = ranker.candidates {
            let sources = fitted.sources.joined(separator: ", ")
            line = "ranker        \(ranker.words), fitted with \(fitted.count.counted("candidate")) of \(sources)"
            members["candidates"] = .int(Int64(fitted.count))
            members["sources"] = .array(fitted.sources.map { .string($0) })
        } else {
            line = "ranker        \(ranker.words), not fitted to candidates of retrieval"
        }
        json = .object(members)
        let mix = try RetrievalModel.mix(of: bundle)
        warnings = RankerFitness(ranker).differences(mix: mix, count: nil).map { "the bundle's ranker: \($0)" }
    }
}
