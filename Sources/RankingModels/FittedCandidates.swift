import Artifacts

/// What a ranker was fitted and judged with: how many candidates of a user, and which sources brought them.
package struct FittedCandidates: Sendable, Equatable {
    package var count: Int
    /// Names of sources, in the order of the mix.
    package var sources: [String]

    package init(count: Int, sources: [String]) {
        self.count = count
        self.sources = sources
    }

    /// The key in a ranker's metadata, and beside a schema of features.
    package static let key = "candidates"
    /// More are no candidates of one request.
    private static let countMax = 100_000

    package var json: JSONValue {
        ["count": .int(Int64(count)), "sources": .array(sources.map { .string($0) })]
    }

    /// Nil where the value is not as `json` makes it.
    init?(json: JSONValue) {
        guard let count = json["count"]?.intValue, (1...Self.countMax).contains(count),
            let list = json["sources"]?.arrayValue
        else { return nil }
        sources = list.compactMap(\.stringValue)
        guard sources.count == list.count else { return nil }
        self.count = count
    }

    /// What stands in a ranker's metadata.
    var text: String { JSONText.print(json, indented: false) }

    /// What a ranker's file says; nil where it says nothing.
    ///
    /// - Throws: `ArtifactError` for something else.
    static func read(_ file: TensorFile) throws(ArtifactError) -> FittedCandidates? {
        guard file.metadata[key] != nil else { return nil }
        guard let found = FittedCandidates(json: try StoredSchema.json(key, file)) else {
            throw ArtifactError(.invalidContent, path: file.path, "its metadata \(wanted)")
        }
        return found
    }

    /// What a JSON value that is not as `json` makes it lacks, for messages.
    static let wanted = "\"candidates\" needs a \"count\" of 1 or more and a list \"sources\" of names"
}
