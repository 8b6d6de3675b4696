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

    let userFields: [Extractor<UserValue>]
    let contextFields: [Extractor<String>]
    let crossFields: [CrossField]

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
    }

    enum CrossValue {
        case product(RetrievalModel.Factors)
        case source(RetrievalSource)
        case score
        case rank
        case shared(TextAttribute)
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
        var itemSide: [Extractor<ItemValue>] = []
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
            case .context(let name), .column(let name):
                contexts.append(.init(value: name, place: place, encoder: encoder, field: number))
            case .itemID, .itemTags, .itemAttribute, .itemPopularity, .itemRecentPopularity:
                guard let value = ItemValue(field.source, model.items) else {
                    throw refuse(
                        "the bundle's items have no such attribute; there are \(model.items.details.attributes.map(\.name))"
                    )
                }
                itemSide.append(.init(value: value, place: place, encoder: encoder, field: number))
            case .factorProduct, .sourceScore, .retrievalScore, .retrievalRank, .sharedAttribute:
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
        case .sourceScore(let name):
            guard let kind = RetrievalSource(rawValue: name), model.has(kind) else {
                throw missing("the bundle has no source of that name")
            }
            return .source(kind)
        case .retrievalScore: return .score
        case .retrievalRank: return .rank
        case .sharedAttribute(let name):
            guard case .texts(let attribute)? = ItemValue(.itemAttribute(name), model.items) else {
                throw missing("the bundle's items have no attribute of texts of that name")
            }
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

    /// Bytes of the encoded items.
    package var byteCount: Int { items.byteCount }
}

extension FeatureSource {
    /// What missing values are counted as; nil for what is never missing, or is the item's own and known at load.
    var group: FeatureGroup? {
        switch self {
        case .userID: .user
        case .context, .column: .context
        case .factorProduct: .product
        case .sharedAttribute: .shared
        case .retrievalScore, .retrievalRank: .retrieval
        case .sourceScore: .source
        case .userHistory, .itemID, .itemTags, .itemAttribute, .itemPopularity, .itemRecentPopularity: nil
        }
    }
}

/// Where an item feature reads.
enum ItemValue {
    case id(ItemCatalog)
    case texts(TextAttribute)
    case numbers(NumberAttribute)
    case popularity(ItemCatalog)
    case recent(ItemCatalog)

    init?(_ source: FeatureSource, _ items: ItemCatalog) {
        switch source {
        case .itemID: self = .id(items)
        case .itemTags: self = .texts(items.tagValues)
        case .itemPopularity: self = .popularity(items)
        case .itemRecentPopularity: self = .recent(items)
        case .itemAttribute(let name):
            if name == items.details.tagsName {
                self = .texts(items.tagValues)
                return
            }
            switch items.details.attributes.first(where: { $0.name == name })?.content {
            case .text(let texts): self = .texts(texts)
            case .number(let numbers): self = .numbers(numbers)
            case nil: return nil
            }
        default: return nil
        }
    }

    /// The item's values as texts; those of numbers as they print.
    func texts(_ row: UInt32) -> [String] {
        switch self {
        case .id(let items): [items.name(row)]
        case .texts(let texts): texts.numbers(row).map(texts.value)
        case .numbers, .popularity, .recent: number(row).map { ["\($0)"] } ?? []
        }
    }

    /// The item's value as a number; nil where it has none.
    func number(_ row: UInt32) -> Double? {
        switch self {
        case .id: nil
        case .texts(let texts): texts.numbers(row).first.flatMap { Double(texts.value($0)) }
        case .numbers(let numbers): numbers.value(row)
        case .popularity(let items): Double(items.interactions(row))
        case .recent(let items): Double(items.recentScores[Int(row)])
        }
    }
}
