/// A slate as it was shown: what a click can be joined to, and what a ranker can learn from or be judged by.
///
/// Columns: the items that were shown in their order, then a sample of the candidates that were not.
package struct LoggedSlate: Sendable, Equatable {
    /// How a slate came about.
    package struct Marks: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Given out again from the result cache, under a request ID of its own; items, scores and no more.
        package static let cached = Marks(rawValue: 1)
        /// The ranker gave the order; else it is retrieval's.
        package static let ranked = Marks(rawValue: 2)
        /// Other pages were shown before it.
        package static let furtherPage = Marks(rawValue: 4)
        /// One of several slates of a call, for one of its users.
        package static let many = Marks(rawValue: 8)
    }

    /// What is said of an item that was shown.
    package struct ItemMarks: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let pinned = ItemMarks(rawValue: 1)
        /// Chance put another item here than the best one.
        package static let explored = ItemMarks(rawValue: 2)
    }

    package var requestID: String
    package var user: String
    package var scenario = ""
    /// Of an experiment; empty: none ran.
    package var arm = ""
    /// Milliseconds since 1970.
    package var timeMilliseconds: UInt64 = 0
    /// The node's number of the generation, and its bundle as "name@version".
    package var generation: UInt64 = 0
    package var model = ""
    package var marks: Marks = []
    /// As in an answer.
    package var fallback: UInt8 = 0
    package var degraded: UInt32 = 0
    /// Of a cached slate, the request ID of the slate that it repeats, where that one was logged.
    package var original = ""
    package var context: [String: String] = [:]
    /// Names of the sources; bit n of an item's sources is `sources[n]`.
    package var sources: [String] = []

    /// How many of the items were shown; the others are candidates.
    package var shownCount = 0
    package var items: [String] = []
    /// As answered; of candidates the ranker's score, or retrieval's, before boosts.
    package var scores: [Float] = []
    /// Which sources brought an item.
    package var itemSources: [UInt32] = []
    /// Places among all candidates in the order of the scores before re-ranking, from 1; 0: no source brought the item.
    package var places: [UInt32] = []
    /// Of the shown items, the probability that each took its place, given those before it.
    package var propensities: [Float] = []
    package var itemMarks: [ItemMarks] = []

    /// Candidates in all, those that were shown included.
    package var candidateCount = 0
    /// So many of the candidates that were not shown are the best of them; the others are drawn evenly from the rest.
    package var bestCount = 0
    /// Where chance fills places: among how many of the best that are left, behind how many protected places. 0: nowhere.
    package var drawnAmong = 0
    package var protectedPlaces = 0
    /// What the ranker took of the items that it ranked; nil where none did, or of a cached slate.
    package var features: LoggedFeatures?

    package init(requestID: String, user: String) {
        self.requestID = requestID
        self.user = user
    }
}

/// Encoded features of some items, column by column, as the ranker took them.
package struct LoggedFeatures: Sendable, Equatable {
    /// SHA-256 of the schema, in hexadecimal.
    package var schema: String
    /// Which of the slate's items the rows are of, ascending.
    package var items: [UInt32] = []
    /// Shape `[numbers, rows]`, after normalisation; NaN where trees take a value as missing.
    package var numbers: [[Float]] = []
    /// Shape `[categorical fields, rows]`: rows of the field's own table, 0 for unknown; of several values the first.
    package var categories: [[UInt32]] = []
    /// Shape `[multi-valued fields, rows]`: all values.
    package var lists: [[[UInt32]]] = []

    package init(schema: String) { self.schema = schema }
}

extension LoggedSlate {
    /// The file beside a log's segments that holds a feature schema as JSON.
    package static func schemaFileName(_ hash: String) -> String { "schema-\(hash).json" }

    package static func isSchemaFileName(_ name: String) -> Bool {
        name.hasPrefix("schema-") && name.hasSuffix(".json")
    }
}
