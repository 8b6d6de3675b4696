import Artifacts
import Vocabulary

/// Which sources look for candidates, how many each brings, and how their scores become one.
///
/// Stands in a bundle's manifest (what training found best) and, per scenario, in the server's configuration.
package struct RetrievalMix: Codable, Sendable, Equatable {
    /// How a source's scores are made comparable with those of another, within one request.
    package enum Normalisation: String, Codable, Sendable, CaseIterable {
        /// `(score - lowest) / standard deviation` over the source's list: a z-score moved so that the last item of
        /// the list, and any item the source did not bring, counts nothing. Of `trending`, `score / root mean square`.
        case zscore
        /// `1 - (rank - 1) / length`, whatever the scores: robust when a source's scores mean little.
        case rank
        /// The score as it is: the weight carries the source's scale. Items a source did not bring count nothing.
        case none
    }

    /// One source's part.
    package struct Entry: Codable, Sendable, Equatable {
        package var source: RetrievalSource
        /// Candidates wanted from the source, `1...limitMax`.
        package var limit: Int
        /// What the normalised score is multiplied with; finite and not negative.
        package var weight: Float

        package init(source: RetrievalSource, limit: Int = 200, weight: Float = 1) {
            self.source = source
            self.limit = limit
            self.weight = weight
        }
    }

    /// Most candidates that one source may bring.
    package static let limitMax = 2000

    package var sources: [Entry]
    package var normalisation: Normalisation

    package init(sources: [Entry], normalisation: Normalisation = .zscore) {
        self.sources = sources
        self.normalisation = normalisation
    }

    /// What serves a user about whom nothing is known.
    package static let unknownUser = RetrievalMix(
        sources: [Entry(source: .popular, limit: 200, weight: 0.5), Entry(source: .recent, limit: 200, weight: 0.5)],
        normalisation: .rank)

    /// What serves such a user where `mix` serves the others: what trends is for everybody.
    package static func unknownUser(beside mix: RetrievalMix?) -> RetrievalMix {
        guard let trending = mix?.sources.first(where: { $0.source == .trending }) else { return unknownUser }
        return RetrievalMix(sources: unknownUser.sources + [trending], normalisation: unknownUser.normalisation)
    }

    /// Reads the mix in a bundle's manifest.
    ///
    /// - Throws: `ArtifactError` when it is none, or one that cannot be served.
    init(manifest value: JSONValue, path: String) throws(ArtifactError) {
        do {
            self = try value.decoded(as: RetrievalMix.self)
        } catch {
            throw ArtifactError(
                .invalidContent, path: "\(path)/\(Manifest.fileName)", "its retrieval mix cannot be read: \(error)")
        }
        if let fault = fault() {
            throw ArtifactError(
                .invalidContent, path: "\(path)/\(Manifest.fileName)", "its retrieval mix has \(fault)")
        }
    }

    /// What is wrong with the mix, or nil.
    package func fault() -> String? {
        if sources.isEmpty { return "no sources: name at least one of \(RetrievalSource.allNames)" }
        var seen: Set<RetrievalSource> = []
        for entry in sources {
            if !seen.insert(entry.source).inserted { return "the source '\(entry.source.rawValue)' stands twice" }
            if !(1...Self.limitMax).contains(entry.limit) {
                return "source '\(entry.source.rawValue)': limit \(entry.limit) is not in 1...\(Self.limitMax)"
            }
            if !entry.weight.isFinite || entry.weight < 0 {
                return "source '\(entry.source.rawValue)': weight \(entry.weight) is not a finite number of at least 0"
            }
        }
        return nil
    }
}

extension RetrievalSource {
    /// The sources' names, for messages.
    package static var allNames: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
