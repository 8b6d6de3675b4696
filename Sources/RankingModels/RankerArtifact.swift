import Artifacts
import Features

/// A ranker as a file holds it, of whatever kind.
package enum RankerArtifact: Sendable {
    case network(NetworkRanker)
    case trees(TreeRanker)

    /// The file of a bundle that holds it.
    package static let fileName = NetworkRanker.fileName

    /// Reads and checks a ranker's file by the kind that its metadata name.
    ///
    /// - Throws: `ArtifactError` naming what does not fit, and where.
    package init(_ file: TensorFile) throws(ArtifactError) {
        switch file.metadata["kind"] {
        case TreeRanker.kind: self = .trees(try TreeRanker(file))
        case NetworkRanker.kind: self = .network(try NetworkRanker(file))
        case let kind:
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its metadata says kind \(kind ?? "nothing"); a ranker's says \(NetworkRanker.kind) or \(TreeRanker.kind)"
            )
        }
    }

    package var schema: FeatureSchema {
        switch self {
        case .network(let ranker): ranker.schema
        case .trees(let ranker): ranker.schema
        }
    }

    /// The candidates that it was fitted to or judged by; nil where nobody knows them.
    package var candidates: FittedCandidates? {
        get {
            switch self {
            case .network(let ranker): ranker.candidates
            case .trees(let ranker): ranker.candidates
            }
        }
        set {
            switch self {
            case .network(var ranker):
                ranker.candidates = newValue
                self = .network(ranker)
            case .trees(var ranker):
                ranker.candidates = newValue
                self = .trees(ranker)
            }
        }
    }

    package var metadata: [String: String] {
        get throws(ArtifactError) {
            switch self {
            case .network(let ranker): try ranker.metadata
            case .trees(let ranker): ranker.metadata
            }
        }
    }

    /// Writes all tensors; the file was begun with `metadata`.
    package func write(to writer: TensorFileWriter) throws(ArtifactError) {
        switch self {
        case .network(let ranker): try ranker.write(to: writer)
        case .trees(let ranker): try ranker.write(to: writer)
        }
    }
}
