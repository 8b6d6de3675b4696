import CandidateRanking
import Catalog
import Features
import Retrieval
import VectorMath
import Vocabulary

/// The features of a bundle's ranker.
struct RankerSchema {
    /// Whether the model holds nothing that came after the choices the ranker learns from. Only then does what is told of
    /// time mean in training what it means in serving.
    let hasTimes: Bool
    /// Whether each item has an embedding. It remembers what was chosen in one stretch of time, which seldom is what is
    /// chosen in the next.
    let hasItemIDs: Bool
    /// What happened when, for features of users' live state; nil: without them.
    var timeline: EventTimeline? = nil

    /// What can be known of any user and item: attributes of the item, how popular it is, what each source says. The
    /// normalisations are still to be fitted.
    func unfitted(_ model: RetrievalModel) -> FeatureSchema {
        var fields: [FeatureField] = []
        let items = model.items
        let rows = 0..<UInt32(items.count)
        func plain(_ name: String, _ source: FeatureSource) {
            fields.append(FeatureField(name, from: source, .dense(.standard(mean: 0, deviation: 1), missing: 0)))
        }
        func log(_ name: String, _ source: FeatureSource) {
            fields.append(FeatureField(name, from: source, .dense(.log(mean: 0, deviation: 1), missing: 0)))
        }
        func texts(_ attribute: TextAttribute, _ name: String, _ source: FeatureSource) {
            guard attribute.valueCount > 0 else { return }
            let values = (0..<UInt32(attribute.valueCount)).map(attribute.value)
            fields.append(FeatureField(name, from: source, .categorical(.dictionary(values), isMultivalued: true)))
            plain("shared_\(name)", .sharedAttribute(name))
            plain("affinity_\(name)", .attributeAffinity(name))
        }
        if hasItemIDs {
            fields.append(
                FeatureField(
                    "item", from: .itemID, .categorical(.dictionary(rows.map(items.name)), isMultivalued: false)))
        }
        texts(items.tagValues, items.details.tagsName, .itemTags)
        for attribute in items.details.attributes {
            switch attribute.content {
            case .text(let values): texts(values, attribute.name, .itemAttribute(attribute.name))
            case .number(let numbers):
                let values = rows.compactMap(numbers.value)
                fields.append(
                    FeatureField(
                        attribute.name, from: .itemAttribute(attribute.name),
                        .dense(
                            .fit(.quantile, to: values), missing: values.sorted().dropFirst(values.count / 2).first ?? 0
                        )))
            }
        }
        log("popularity", .itemPopularity)
        log("history", .userHistory)
        if hasTimes, model.users.hasTimes {
            log("recent_popularity", .itemRecentPopularity)
            for days in [1, 3, 7, 30] { log("recent_\(days)d", .itemRecent(days: days)) }
            log("age", .itemAge)
            log("item_idle", .itemIdle)
            log("user_idle", .userIdle)
        }
        for kind in [RetrievalSource.als, .spectral] where model.factors(of: kind) != nil {
            plain("product_\(kind.rawValue)", .factorProduct(kind.rawValue))
        }
        for entry in model.mix.sources where model.has(entry.source) {
            let name = entry.source.rawValue
            // The others' scores are there already, as products of factors and as counts.
            if entry.source == .itemToItem { plain("score_\(name)", .sourceScore(name)) }
            log("rank_\(name)", .sourceRank(name))
        }
        if model.neighbors != nil {
            for items in [1, 3, 10] { plain("near_last_\(items)", .historySum(items: items)) }
            plain("nearest", .historyMax)
        }
        plain("score", .retrievalScore)
        log("rank", .retrievalRank)
        if let timeline {
            for window in LiveWindow.allCases { log("events_\(window.rawValue)", .live(.events(.any, window))) }
            log("session_events", .live(.sessionEvents))
            log("session_items", .live(.sessionItems))
            log("session_seconds", .live(.sessionSeconds))
            log("idle_seconds", .live(.idle))
            for signal in ItemSignal.allCases where timeline.hasShown || signal == .clicks || signal == .trend {
                plain("item_\(signal.rawValue)_now", .live(.item(signal)))
            }
            if timeline.hasShown {
                for window in [LiveWindow.hour, .day] {
                    log("shown_\(window.rawValue)", .live(.events(.shown, window)))
                    log("shown_item_\(window.rawValue)", .live(.pair(.shown, window)))
                }
            }
        }
        return FeatureSchema(fields: fields)
    }

    /// The schema with normalisations fitted to some users' candidates.
    func fitted(_ examples: CandidateExamples, _ cases: [CandidateExamples.Case]) throws -> FeatureSchema {
        let model = examples.model
        var schema = unfitted(model)
        let plan = try FeaturePlan(schema, model, path: "ranker")
        let fields = schema.fields
        let crossFields = fields.indices.filter { fields[$0].isPerCandidate }
        let itemFields = fields.indices.filter { fields[$0].side == .item && fields[$0].isNormalised }
        let columns = try examples.forEach(
            cases, plan, keepsCrossNumbers: true, make: { [[Double]](repeating: [], count: fields.count) }
        ) { columns, _, request, features in
            for (place, candidate) in request.candidates.enumerated() {
                for (number, field) in crossFields.enumerated() {
                    if let value = features.crossNumbers[place * crossFields.count + number] {
                        columns[field].append(value)
                    }
                }
                for field in itemFields {
                    if let value = plan.itemNumber(field: field, item: candidate.row) { columns[field].append(value) }
                }
            }
            for live in features.liveNumbers { if let number = live.number { columns[live.field].append(number) } }
            for field in fields.indices {
                let history = request.history.count
                if case .userHistory = fields[field].source { columns[field].append(Double(history)) }
            }
        }
        for field in fields.indices where fields[field].isNormalised {
            guard case .dense(let normalisation, _) = fields[field].kind else { continue }
            let values = columns.flatMap { $0[field] }
            let missing: Double
            switch fields[field].source {
            // Past the last place of all.
            case .sourceRank: missing = (values.max() ?? 0) + 1
            case .userIdle, .itemAge, .itemIdle: missing = 0
            // Of who did nothing for so long: no events, and a pause at least as long.
            case .live(.idle): missing = Double(fields[field].timeToLive ?? 0)
            case .live: missing = 0
            // What a source did not bring counts like the least that it brought.
            default: missing = values.min() ?? 0
            }
            let isFitted = !values.isEmpty
            schema.fields[field].kind = .dense(
                isFitted ? .fit(normalisation.form, to: values) : .log(mean: 2, deviation: 2), missing: missing)
        }
        return schema
    }
}

extension FeatureField {
    /// Whether its normalisation is to be fitted to candidates.
    fileprivate var isNormalised: Bool {
        guard case .dense(let normalisation, _) = kind else { return false }
        return normalisation.form == .standard || normalisation.form == .log
    }
}
