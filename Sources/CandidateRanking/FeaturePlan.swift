import Artifacts
import Catalog
import FactorModels
import Features
import Retrieval
import VectorMath
import Vocabulary

/// How the features of a schema are computed from a model's data: which value goes where, worked out once a generation.
///
/// Item features are computed here, for every item; a candidate's row begins as a copy of its item's. Immutable; shared by all
/// shards. Training and serving go through the same plan.
package final class FeaturePlan: @unchecked Sendable {
    // Sendable: `items` is not written to after `init`.
    package let schema: FeatureSchema
    package let layout: FeatureLayout
    let model: RetrievalModel
    /// The encoded item side, a row an item; what is not of items is unknown there.
    let items: FeatureRows

    private let itemFields: [Extractor<ItemValue>]
    let userFields: [Extractor<UserValue>]
    let contextFields: [Extractor<String>]
    let crossFields: [CrossField]
    /// Of the user's live state; the same for all candidates.
    let liveFields: [Extractor<LiveUserValue>]
    /// What must be read of live state for each request.
    package let live: LiveNeeds

    /// Which encoded place a value goes to, and how.
    struct Extractor<Value> {
        var value: Value
        var place: Place
        var encoder: FieldEncoder
        /// Number of the field in the schema.
        var field: Int
    }

    enum Place: Equatable {
        case categorical(Int, isMultivalued: Bool)
        case dense(Int)
    }

    enum UserValue {
        case id
        case history
        case idle(InteractionTimes)
    }

    enum CrossValue {
        case product(RetrievalModel.Factors)
        case source(RetrievalSource)
        case score
        case rank
        case sourceRank(RetrievalSource)
        case shared(TextAttribute)
        case affinity(AttributeShares)
        case historySum(Int)
        case historyMax
        case live(LiveUserValue)
        case liveItem(LiveItemValue)
    }

    struct CrossField {
        var value: CrossValue
        var number: Int
        var encoder: FieldEncoder
        var field: Int
    }

    /// Compiles a schema.
    ///
    /// - Parameter path: The file of the schema, for messages.
    /// - Throws: `ArtifactError` naming the feature that this model cannot compute.
    package init(_ schema: FeatureSchema, _ model: RetrievalModel, path: String) throws(ArtifactError) {
        self.schema = schema
        self.model = model
        let layout = FeatureLayout(schema)
        self.layout = layout
        func place(_ number: Int) -> (Place, FieldEncoder) {
            let field = schema.fields[number]
            if let at = layout.categorical.firstIndex(where: { $0.field == number }) {
                let categorical = layout.categorical[at]
                return (
                    .categorical(at, isMultivalued: categorical.isMultivalued),
                    FieldEncoder(field, tableOffset: categorical.tableOffset)
                )
            }
            return (
                .dense(layout.dense.firstIndex { $0.field == number } ?? 0), FieldEncoder(field, tableOffset: 0)
            )
        }
        var users: [Extractor<UserValue>] = []
        var contexts: [Extractor<String>] = []
        var crosses: [CrossField] = []
        var lives: [Extractor<LiveUserValue>] = []
        var itemSide: [Extractor<ItemValue>] = []
        let times = InteractionTimes(model, days: schema.fields.compactMap(\.source.days))
        for (number, field) in schema.fields.enumerated() {
            let (place, encoder) = place(number)
            func refuse(_ fault: String) -> ArtifactError {
                ArtifactError(
                    .invalidContent, path: path,
                    "its feature \"\(field.name)\" comes from \(field.source.text): \(fault)")
            }
            switch field.source {
            case .userID: users.append(.init(value: .id, place: place, encoder: encoder, field: number))
            case .userHistory: users.append(.init(value: .history, place: place, encoder: encoder, field: number))
            case .userIdle:
                guard let times else { throw refuse(InteractionTimes.fault) }
                users.append(.init(value: .idle(times), place: place, encoder: encoder, field: number))
            case .context(let name), .column(let name):
                contexts.append(.init(value: name, place: place, encoder: encoder, field: number))
            case .itemID, .itemTags, .itemAttribute, .itemPopularity, .itemRecentPopularity, .itemRecent, .itemAge,
                .itemIdle:
                guard let value = ItemValue(field.source, model.items, times) else {
                    throw refuse(
                        field.source.isTimed
                            ? InteractionTimes.fault
                            : "the bundle's items have no such attribute; there are \(model.items.details.attributes.map(\.name))"
                    )
                }
                itemSide.append(.init(value: value, place: place, encoder: encoder, field: number))
            case .live(let source):
                let timeToLive = field.timeToLive ?? source.timeToLive
                let value = LiveUserValue(source, timeToLive: timeToLive)
                guard case .dense(let at) = place else { throw refuse("it is a number, and declared categorical") }
                if case .item(let signal) = source {
                    crosses.append(
                        CrossField(
                            value: .liveItem(LiveItemValue(signal: signal, timeToLive: timeToLive)), number: at,
                            encoder: encoder, field: number))
                } else if source.isPerCandidate {
                    crosses.append(CrossField(value: .live(value), number: at, encoder: encoder, field: number))
                } else {
                    lives.append(.init(value: value, place: place, encoder: encoder, field: number))
                }
            case .factorProduct, .sourceScore, .retrievalScore, .retrievalRank, .sharedAttribute, .sourceRank,
                .attributeAffinity, .historySum, .historyMax:
                guard case .dense(let at) = place else { throw refuse("it is a number, and declared categorical") }
                let value: CrossValue
                do throws(ArtifactError) {
                    value = try Self.cross(field.source, model)
                } catch {
                    throw refuse(error.fault)
                }
                crosses.append(CrossField(value: value, number: at, encoder: encoder, field: number))
            }
        }
        userFields = users
        contextFields = contexts
        crossFields = crosses
        liveFields = lives
        live = LiveNeeds(schema)
        itemFields = itemSide
        items = Self.encoded(itemSide, layout, itemCount: model.items.count)
    }

    private static func cross(_ source: FeatureSource, _ model: RetrievalModel) throws(ArtifactError) -> CrossValue {
        func missing(_ fault: String) -> ArtifactError { ArtifactError(.invalidContent, path: "", fault) }
        switch source {
        case .factorProduct(let name):
            guard let kind = RetrievalSource(rawValue: name), let factors = model.factors(of: kind) else {
                throw missing("the bundle has no factors of that name")
            }
            return .product(factors)
        case .sourceScore(let name), .sourceRank(let name):
            guard let kind = RetrievalSource(rawValue: name), model.has(kind) else {
                throw missing("the bundle has no source of that name")
            }
            if case .sourceRank = source { return .sourceRank(kind) }
            return .source(kind)
        case .historySum(let items):
            guard model.neighbors != nil else { throw missing("the bundle has no item_to_item neighbours") }
            return .historySum(items)
        case .historyMax:
            guard model.neighbors != nil else { throw missing("the bundle has no item_to_item neighbours") }
            return .historyMax
        case .retrievalScore: return .score
        case .retrievalRank: return .rank
        case .sharedAttribute(let name), .attributeAffinity(let name):
            guard case .texts(let attribute)? = ItemValue(.itemAttribute(name), model.items, nil) else {
                throw missing("the bundle's items have no attribute of texts of that name")
            }
            if case .attributeAffinity = source { return .affinity(AttributeShares(attribute, model.items)) }
            return .shared(attribute)
        default: throw missing("it is of no user and item together")
        }
    }

    private static func encoded(
        _ fields: [Extractor<ItemValue>], _ layout: FeatureLayout, itemCount: Int
    ) -> FeatureRows {
        let rows = FeatureRows(layout, capacity: max(itemCount, 1))
        for row in 0..<UInt32(itemCount) {
            let at = rows.append()
            var lists: [Int: [UInt32]] = [:]
            for field in fields {
                switch field.place {
                case .dense(let number): rows.set(at, dense: number, to: field.encoder.number(field.value.number(row)))
                case .categorical(let number, let isMultivalued):
                    let ids = field.value.texts(row).map(field.encoder.row(of:))
                    if isMultivalued {
                        lists[number] = ids
                    } else {
                        rows.set(at, categorical: number, to: ids.first ?? field.encoder.unknown)
                    }
                }
            }
            if !lists.isEmpty { rows.setBags { lists[$0] ?? [] } }
        }
        // What is not of items is zero until a candidate sets it.
        return rows
    }

    /// The number that an item feature is before normalisation, by its number in the schema; nil where the item has none.
    package func itemNumber(field: Int, item: UInt32) -> Double? {
        itemFields.first { $0.field == field }?.value.number(item)
    }

    /// Bytes of the encoded items.
    package var byteCount: Int { items.byteCount }
}

extension FeatureSource {
    /// What missing values are counted as; nil for what is never missing, or is the item's own and known at load.
    var group: FeatureGroup? {
        switch self {
        case .userID, .userIdle: .user
        case .context, .column: .context
        case .factorProduct: .product
        case .sharedAttribute, .attributeAffinity: .shared
        case .retrievalScore, .retrievalRank: .retrieval
        case .sourceScore, .sourceRank, .historySum, .historyMax: .source
        case .live: .live
        case .userHistory, .itemID, .itemTags, .itemAttribute, .itemPopularity, .itemRecentPopularity, .itemRecent,
            .itemAge, .itemIdle:
            nil
        }
    }
}

/// What a schema asks of live state.
package struct LiveNeeds: Sendable, Equatable {
    /// Whether anything of the user's.
    package var user = false
    /// Whether what the user did with single items.
    package var pairs = false
    /// Whether the activity of items.
    package var items = false
    /// Whether what users were only shown.
    package var shown = false
    /// The least time-to-live of all, in seconds: no answer is worth keeping for longer. Nil without live features.
    package var timeToLive: Int?

    package init(_ schema: FeatureSchema) {
        for field in schema.fields {
            guard let source = field.source.live else { continue }
            user = user || source.isOfUser
            pairs = pairs || (source.isOfUser && source.isPerCandidate)
            items = items || !source.isOfUser
            shown = shown || source.isOfShown
            timeToLive = min(timeToLive ?? .max, field.timeToLive ?? source.timeToLive)
        }
    }
}
