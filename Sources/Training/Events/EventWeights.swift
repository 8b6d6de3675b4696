import Vocabulary

/// What an event of each type says about the interest of a user in an item.
///
/// | weight | means |
/// |---|---|
/// | above 0 | an interaction with this value; of `rating`, this many times the value of the event |
/// | 0 | nothing, but that the item was shown |
/// | below 0 | the user does not want the item: the pair is no interaction, whatever else was done |
package struct EventWeights: Sendable, Equatable {
    package static let standard = EventWeights([
        "impression": 0, "view": 1, "click": 1, "like": 2, "rating": 1, "purchase": 3, "dislike": -1, "hide": -1,
    ])
    /// The type whose events carry their own value.
    static let ratingType = "rating"
    /// The type that says that an item was shown.
    static let impressionType = "impression"
    private static let typesMax = 100

    private let weights: [String: Double]

    package init(_ weights: [String: Double]) { self.weights = weights }

    /// Nil: the type has no weight, and its events are left out.
    package subscript(type: String) -> Double? { weights[type] }

    /// "click=1,purchase=3": these in place of the standard ones, which the other types keep.
    package init(parsing text: String) throws(DatasetError) {
        var weights = Self.standard.weights
        var named: Set<String> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", omittingEmptySubsequences: false)
                .map { String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
            guard pair.count == 2, !pair[0].isEmpty, pair[0].utf8.count <= Identity.bytesMax,
                let weight = Double(pair[1]), weight.isFinite, abs(weight) <= 1e6
            else {
                throw DatasetError(
                    .unreadable,
                    "'\(part.prefix(60))' is no weight: write TYPE=NUMBER[,TYPE=NUMBER...], such as click=1,purchase=3,hide=-1"
                )
            }
            guard named.insert(pair[0]).inserted else {
                throw DatasetError(.unreadable, "the weight of '\(pair[0])' is given twice")
            }
            weights[pair[0]] = weight
        }
        guard weights.count <= Self.typesMax else {
            throw DatasetError(.unreadable, "\(weights.count) types have weights; at most \(Self.typesMax) may")
        }
        self.init(weights)
    }

    /// By name.
    var sorted: [(name: String, weight: Double)] {
        weights.sorted { $0.key < $1.key }.map { (name: $0.key, weight: $0.value) }
    }

    /// "click=1,hide=-1,...", for notes.
    package var text: String {
        weights.sorted { $0.key < $1.key }.map { type, weight in
            "\(type)=\(weight == weight.rounded() ? String(Int(weight)) : "\(weight)")"
        }.joined(separator: ",")
    }
}
