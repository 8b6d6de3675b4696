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

    /// The key in a ranker's metadata.
    static let key = "candidates"
    /// More are no candidates of one request.
    private static let countMax = 100_000

    var json: JSONValue {
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
}
